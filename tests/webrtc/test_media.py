"""WebRTC legs on the real media plane, in a process of their own (see `real_media`)."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
async def test_legs_on_the_real_media_plane() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.webrtc.real_media",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    # pjlib writes to standard output too, in its own time.
    report = json.loads(next(line for line in output.splitlines() if line.startswith(b"{")))
    for codec in ("opus", "pcmu"):
        found = report[codec]
        assert found["amplitude"] == pytest.approx(8000, rel=0.15)
        assert found["share"] > 0.95
        assert [digit for digit, _ in found["digits"]] == ["1", "2", "A", "B"]
        assert all(abs(duration - 100) <= 20 for _, duration in found["digits"])
        assert found["on_hold"] <= 1  # RTP stops; at most one packet was under way
        assert found["refused"] == found["lost"] == 0
        assert found["stats"]["srtp_failures"] == 0
        assert found["stats"]["rejected_source"] == 0
        assert found["stats"]["dtmf_received"] == 4
    assert report["churn"] == {"ports": 0, "legs": 0}

"""A Python program on the real media plane: its audio heard, its digits exact both ways."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from gateway.legs.webrtc.peer import ProbePeer
from tests.apps.test_call import write
from tests.calls.test_programs_live import call, until
from tests.support.gateway import Gateway

PROGRAM = """
from pathlib import Path
from gateway.apps import App, Call

app = App()

@app.call("live")
async def live(call: Call) -> None:
    await call.play(Path(__file__).with_name("tone.wav"))
    keys = await call.gather(min_digits=2, first_timeout=15)
    await call.send_dtmf(keys.digits, duration_ms=200, gap_ms=50)
    call.hangup(f"{call.callee} done")
"""


@pytest.mark.slow
async def test_a_program_plays_takes_digits_sends_them_and_hangs_up(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway")
    folder = tmp_path / "gateway"
    (folder / "live_program.py").write_text(PROGRAM)
    write(folder / "tone.wav", 1.5)
    config = yaml.safe_load((folder / "gateway.yaml").read_text())
    config["apps"] = ["live_program:app"]
    (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
    plan = yaml.safe_load((folder / "dialplan.yaml").read_text())
    plan["contexts"]["browser"].insert(0, {"match": "777", "app": "live"})
    (folder / "dialplan.yaml").write_text(yaml.safe_dump(plan))

    peer = ProbePeer()
    await gateway.start()
    try:
        await call(peer, gateway, "777")
        began = time.monotonic()

        def hears_the_tone() -> bool:
            heard = np.frombuffer(peer.received_audio(0.5), "<i2")
            if len(heard) < peer.sample_rate // 2 or np.abs(heard).max() < 2000:
                return False
            spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
            return bool(abs(np.argmax(spectrum) * peer.sample_rate / len(heard) - 440) < 4)

        await until(hears_the_tone)
        await peer.send_digits("42#", duration_ms=100, gap_ms=100)
        await until(peer.lost.is_set)
        assert time.monotonic() - began < 15
    finally:
        await peer.close()
        await gateway.stop()
    digits = [(found.digit, found.duration_ms) for found in peer.received_digits]
    assert digits == [("4", 200), ("2", 200)]
    assert "*** done" in gateway.log  # it has the number, which logs do not show
    gateway.assert_clean()

"""The bench itself: its telephone is one for SIPp too, its ear is exact, its report complete."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.calls import far_end
from bench.media import BURST_FRAMES, FRAME, Ear, Programme, bursts, encode
from tests.support.sipp import Calling, Sipp, dtmf_pcap

CONTRACT = {
    "cpu_ms_per_call_second",
    "rss_mb_per_call",
    "setup_ms",
    "round_trip_ms",
    "lost_percent",
}


async def _far_end_counts(port: int, folder: Path) -> None:
    calling = Calling(before_ms=100, play=[dtmf_pcap("1")], talk_ms=100).scenario()
    async with Sipp(folder, calling, remote_port=port, calls=1, echo=False) as caller:
        assert await caller.wait(15) == 0, caller.messages


@pytest.mark.sip
async def test_the_telephone_of_the_bench_answers_and_echoes(tmp_path: Path) -> None:
    async with far_end() as far:
        await _far_end_counts(far.port, tmp_path)
        counts = await far.counts()
    # SIPp's file repeats one sequence number in its three final packets: no holes.
    assert counts == {"answered": 1, "ended": 1, "packets": 10, "holes": 0}


def test_the_ear_finds_a_tone_where_it_begins() -> None:
    shift = FRAME // 2
    samples = np.roll(np.tile(bursts(), 6), shift)
    ear = Ear()
    found = [(n, ear.listen(packet)) for n, packet in enumerate(encode(samples, 48_000))]
    onsets = [n * 20 + onset for n, onset in found if onset is not None]
    lag = Programme(48_000).own_lag_ms
    for number, onset in enumerate(onsets, 1):
        assert onset == pytest.approx(number * BURST_FRAMES * 20 + 10 + lag, abs=0.5)


@pytest.mark.parametrize(("rate", "low", "high"), [(8_000, 10, 32), (48_000, 55, 90)])
def test_the_load_sends_what_a_browser_sends(rate: int, low: int, high: int) -> None:
    packets = Programme(rate).speech
    assert low <= sum(map(len, packets)) / len(packets) <= high


@pytest.mark.sip
@pytest.mark.slow
async def test_a_small_bench_reports_what_it_promises() -> None:
    bench = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.calls", "--calls", "2", "--bridge", "8000",
        "--seconds", "2", "--warm-up", "1", "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(90):
        output, errors = await bench.communicate()
    assert bench.returncode == 0, (output + errors).decode()
    report = json.loads(output)
    assert report.keys() >= CONTRACT
    assert report["failures"] == []
    assert report["talking_percent"] > 30
    assert report["cpu_ms_per_call_second"] > 0
    assert report["round_trip_ms"] is not None

"""Recordings of a running media plane: what is in the file, when, and what ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.errors import GatewayError
from gateway.media.engine import MediaEngine
from gateway.media.recordings import Recording, RecordingOptions, Recordings
from gateway.ports import MediaEvent, RecordClosed, RecordEnd, RecordStopped
from gateway.terms import RecordingFormat
from tests.media.test_encoding import decoded, level, mode, names
from tests.media.test_ports import until

STEREO = RecordingOptions(call="call-1")
MIXED = RecordingOptions(call="call-1", stereo=False)
ROOT = Path(__file__).parents[2]
SLACK = 5  # ticks between asking the bridge for something and its doing so, on a loaded machine


@dataclass
class Heard:
    """A finished recording, by ticks of the bridge."""

    samples: NDArray[np.int16]
    rate: int

    @property
    def ticks(self) -> int:
        return len(self.samples) * 50 // self.rate

    def tone(self, channel: int, frequency: float) -> list[int]:
        """The ticks in which a channel carries this tone."""
        size = self.rate // 50
        frames = [self.samples[n * size : (n + 1) * size, channel] for n in range(self.ticks)]
        return [n for n, frame in enumerate(frames) if level(frame, frequency, self.rate) > -20]

    def silent(self, channel: int) -> list[int]:
        """The ticks in which a channel carries nothing at all."""
        size = self.rate // 50
        by_tick = self.samples[: self.ticks * size, channel].reshape(self.ticks, size)
        return [int(n) for n in np.flatnonzero(~by_tick.any(axis=1))]


@pytest.fixture
async def recordings(media: MediaEngine, tmp_path: Path) -> AsyncIterator[Recordings]:
    made = Recordings(tmp_path / "recordings", media)
    yield made
    await made.close()


def now(media: MediaEngine) -> int:
    """The bridge's time in ticks, those given up included: they are silence in a recording."""
    clock = media.clock()
    return clock.ticks + clock.skipped_ticks


async def ticks(media: MediaEngine, count: int) -> None:
    """Until the bridge has run that often."""
    end = now(media) + count
    await until(lambda: now(media) >= end, 20.0)


async def first(events: list[MediaEvent]) -> MediaEvent:
    await until(lambda: bool(events))
    return events[0]


async def heard(recording: Recording) -> Heard:
    return Heard(*decoded((await recording.stop()).path))


async def test_both_sides_are_on_one_timeline(media: MediaEngine, recordings: Recordings) -> None:
    low, high = media.tone(440), media.tone(1000)
    begun = now(media)
    recording = recordings.start("a", STEREO)
    await ticks(media, 20)
    at_low = now(media) - begun
    media.connect(low, recording.near)
    await ticks(media, 20)
    at_high = now(media) - begun
    media.connect(high, recording.far)
    await ticks(media, 20)
    at_pause = now(media) - begun
    media.disconnect(low, recording.near)
    await ticks(media, 20)
    end = now(media) - begun
    file = await recording.stop()
    assert (file.path.name, file.format, file.channels, file.call) == (
        "a.wav",
        RecordingFormat.WAV,
        2,
        "call-1",
    )
    assert names(file.path.parent) == {"a.wav"}
    assert (mode(file.path), mode(file.path.parent)) == (0o600, 0o700)
    whole = Heard(*decoded(file.path))
    assert whole.rate == media.bridge_rate
    assert end <= whole.ticks + SLACK <= end + 3 * SLACK
    left, right = whole.tone(0, 440), whole.tone(1, 1000)
    for found, asked in ((left[0], at_low), (left[-1], at_pause), (right[0], at_high)):
        assert asked - SLACK <= found <= asked + SLACK
    assert right[-1] >= whole.ticks - SLACK
    # Everything before, between and after is silence, sample by sample.
    assert set(whole.silent(0)) >= set(range(left[0])) | set(range(left[-1] + 2, whole.ticks))
    assert set(whole.silent(1)) >= set(range(right[0]))
    assert not whole.tone(0, 1000)
    assert not whole.tone(1, 440)
    gaps = whole.ticks - len(right) - right[0]
    assert gaps <= media.clock().skipped_ticks + SLACK, "one tone, without a hole"


async def test_a_mixed_recording_has_both_voices(
    media: MediaEngine, recordings: Recordings
) -> None:
    recording = recordings.start("a", MIXED)
    assert recording.near == recording.far
    for frequency in (440, 1000):
        media.connect(media.tone(frequency), recording.near)
    await ticks(media, 30)
    whole = await heard(recording)
    assert whole.samples.shape[1] == 1
    assert len(whole.tone(0, 440)) > 15
    assert len(whole.tone(0, 1000)) > 15


async def test_a_pause_shortens_and_muting_does_not(
    media: MediaEngine, recordings: Recordings
) -> None:
    begun = now(media)
    recording = recordings.start("a", STEREO)
    media.connect(media.tone(440), recording.near)
    media.connect(media.tone(440), recording.far)
    await ticks(media, 15)
    recording.mute()
    muted = now(media)
    await ticks(media, 30)
    muted = now(media) - muted
    recording.unmute()
    await ticks(media, 15)
    recording.pause()
    paused = now(media)
    await ticks(media, 40)
    paused = now(media) - paused
    recording.resume()
    await ticks(media, 15)
    lasted = now(media) - begun
    whole = await heard(recording)
    assert abs(whole.ticks - (lasted - paused)) <= 2 * SLACK
    for channel in (0, 1):
        inside = [n for n in whole.silent(channel) if n > 10]
        assert abs(len(inside) - muted) <= SLACK
        assert len(whole.tone(channel, 440)) >= 45 - 2 * SLACK - 3


async def test_a_recording_ends_by_itself_at_its_maximum(
    media: MediaEngine, recordings: Recordings
) -> None:
    events: list[MediaEvent] = []
    recording = recordings.start("a", RecordingOptions(max_ms=500), events.append)
    media.connect(media.tone(440), recording.near)
    stopped = await first(events)
    await ticks(media, 10)
    assert events == [stopped]
    assert isinstance(stopped, RecordStopped)
    assert (stopped.port, stopped.reason) == (recording.near, RecordEnd.LENGTH)
    file = await recording.stop()
    assert file.seconds == 0.5
    closed = events[-1]
    assert isinstance(closed, RecordClosed)
    assert (closed.duration_ms, closed.lost_ms) == (500, 0)


async def test_silence_ends_a_recording_and_muting_is_no_silence(
    media: MediaEngine, recordings: Recordings
) -> None:
    events: list[MediaEvent] = []
    recording = recordings.start("a", RecordingOptions(silence_ms=400), events.append)
    tone, hum = media.tone(440), media.tone(50, volume=60)
    media.connect(hum, recording.near)
    media.connect(tone, recording.far)
    await ticks(media, 30)
    recording.mute()
    await ticks(media, 30)
    media.disconnect(tone, recording.far)
    assert not events, "one side speaks, and then the recording is muted"
    await ticks(media, 5)
    recording.unmute()
    unmuted = now(media)
    stopped = await first(events)
    assert now(media) - unmuted >= 20 - 1
    assert isinstance(stopped, RecordStopped)
    assert stopped.reason is RecordEnd.SILENCE


async def test_whoever_stops_gets_the_same_file_also_after_a_cancelled_stop(
    media: MediaEngine, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings.start("a", RecordingOptions(format=RecordingFormat.OGG))
    await ticks(media, 10)
    given_up = asyncio.create_task(recording.stop())
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    second, third = await asyncio.gather(recording.stop(), recording.stop())
    assert second is third is await recording.stop()
    assert names(tmp_path / "recordings") == {"a.ogg"}


async def test_closing_all_finishes_what_goes_on(
    media: MediaEngine, recordings: Recordings, tmp_path: Path
) -> None:
    for number, wanted in enumerate(RecordingFormat):
        recordings.start(f"r{number}", RecordingOptions(format=wanted))
    await ticks(media, 10)
    await recordings.close()
    assert names(tmp_path / "recordings") == {"r0.wav", "r1.ogg", "r2.mp3", "r3.flac"}
    assert media.port_count == 0
    with pytest.raises(GatewayError, match="shutting down"):
        recordings.start("late", STEREO)


async def test_closing_either_port_closes_the_recorder(media: MediaEngine, tmp_path: Path) -> None:
    for number, side in enumerate(("near", "far")):
        ports = media.record(tmp_path / f"{number}.wav", stereo=True)
        events: list[MediaEvent] = []
        media.subscribe(ports.near, events.append)
        assert media.port_count == 2
        await ticks(media, 5)
        media.close(getattr(ports, side))
        assert media.port_count == 0
        closed = await first(events)
        assert isinstance(closed, RecordClosed)
        length = len(decoded(tmp_path / f"{number}.wav")[0]) * 1000 // media.bridge_rate
        assert closed.duration_ms == length >= 60
        with pytest.raises(GatewayError, match="no media port"):
            media.record_pause(ports.near, True)


async def test_what_a_recorder_told_before_anybody_listened_is_told_then(
    media: MediaEngine, tmp_path: Path
) -> None:
    ports = media.record(tmp_path / "a.wav", max_ms=40)
    await ticks(media, 8)
    events: list[MediaEvent] = []
    media.subscribe(ports.near, events.append)
    assert [type(event) for event in events] == [RecordStopped]
    media.close(ports.near)
    await until(lambda: len(events) == 2)
    assert isinstance(events[1], RecordClosed)
    assert events[1].duration_ms == 40


async def test_recorders_are_refused_in_words(
    media: MediaEngine, recordings: Recordings, tmp_path: Path
) -> None:
    (tmp_path / "there").write_bytes(b"here first")
    with pytest.raises(GatewayError, match="File exists"):
        media.record(tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"here first"
    with pytest.raises(GatewayError, match="no recorder"):
        media.record_mute(media.tone(440), True)
    recordings.start("a", STEREO)
    with pytest.raises(GatewayError, match="already"):
        recordings.start("a", MIXED)


async def child(*arguments: str) -> asyncio.subprocess.Process:
    """tests/media/recording_child.py."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.media.recording_child",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_a_killed_process_loses_no_more_than_the_last_second(tmp_path: Path) -> None:
    process = await child("record", str(tmp_path))
    assert process.stdout is not None
    assert await process.stdout.readline() == b"recording\n"
    recovered = Recordings(tmp_path, MediaEngine())
    assert await recovered.recover() == [], "it lives"
    ran = 0.0
    async with asyncio.timeout(20):
        while ran < 1.0:
            ran = float(await process.stdout.readline())
        # The bridge's clock gives up what it misses in this time; a recording does not.
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.8)
        process.send_signal(signal.SIGCONT)
        while ran < 3.3:
            ran = float(await process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    while line := await process.stdout.readline():
        ran = float(line)
    await process.wait()
    files = await recovered.recover()
    assert [file.path.name for file in files] == ["a.ogg", "b.wav"]
    for file in files:
        assert ran - 1.0 < file.seconds < ran + 1.0
        assert file.call == "call-1"
        assert mode(file.path) == 0o600
        whole = Heard(*decoded(file.path))
        tone = whole.tone(1, 440)
        assert len(tone) > (ran - 2.5) * 50
        assert max(b - a for a, b in pairwise(tone)) >= 30, "the gap is kept"
        assert not whole.tone(0, 440)
    assert names(tmp_path) == {"a.ogg", "b.wav"}
    await recovered.close()


async def test_a_full_disk_ends_the_recording_alone(tmp_path: Path) -> None:
    process = await child("fill", str(tmp_path))
    assert process.stdout is not None
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    reason, seconds, alive = output.decode().split()
    assert (reason, alive) == ("disk", "alive")
    limit = 100 * 1024
    assert float(seconds) == pytest.approx((limit - 44) / (16000 * 2 * 2), abs=0.02)
    assert names(tmp_path) == {"a.wav"}
    samples, _ = decoded(tmp_path / "a.wav")
    assert len(samples) == round(float(seconds) * 16000)

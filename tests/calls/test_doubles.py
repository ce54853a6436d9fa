"""The doubles that ship behave as what they stand for, where tests rely on it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gateway.errors import NORMAL, GatewayError
from gateway.media.recordings import RecordingOptions, Recordings
from gateway.ports import (
    LegEnded,
    LegEvent,
    LegKind,
    LegMedia,
    LegRinging,
    MediaEvent,
    PlayDone,
    RecordClosed,
)
from gateway.terms import RecordingFormat
from gateway.testing import (
    FakeLeg,
    FakeMedia,
    InlineExecutor,
    LoopClock,
    ManualClock,
    run_virtual,
    virtual_time,
)
from gateway.testing.clock import DeadlockError


def test_virtual_time_passes_at_once_and_in_order() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def after(seconds: int) -> None:
            await asyncio.sleep(seconds)
            order.append(seconds)

        before = LoopClock().now()
        await asyncio.gather(after(3600), after(60), after(7200))
        after_all = LoopClock().now()
        assert after_all.monotonic - before.monotonic == pytest.approx(7200)
        assert (after_all.wall - before.wall).total_seconds() == pytest.approx(7200)
        return order

    started = time.monotonic()
    assert run_virtual(main()) == [60, 3600, 7200]
    assert time.monotonic() - started < 5


def test_waiting_for_what_never_comes_is_told_instead_of_waited_for() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        run_virtual(main())


@virtual_time
async def test_a_fake_leg_keeps_events_until_somebody_listens() -> None:
    leg = FakeLeg(LegKind.SIP, FakeMedia())
    leg.rings()
    port = leg.media(early=True)
    heard: list[LegEvent] = []
    leg.listen(heard.append)
    leg.hangup(NORMAL)
    assert heard == [LegRinging(), LegMedia(port, True, "pcmu/8000")]
    await asyncio.sleep(1)
    assert heard[-1] == LegEnded(NORMAL, by_peer=False)
    with pytest.raises(AssertionError):
        leg.rings()


@virtual_time
async def test_a_fake_recorder_tells_its_end_and_closes_both_ports(tmp_path: Path) -> None:
    media = FakeMedia()
    ports = media.record(tmp_path / "a.wav", stereo=True, max_ms=60_000)
    heard: list[MediaEvent] = []
    media.subscribe(ports.near, heard.append)
    media.record_pause(ports.far, True)
    media.record_mute(ports.near, True)
    (recorded,) = media.recorded
    assert (recorded.paused, recorded.muted, recorded.max_ms) == (True, True, 60_000)
    media.close(ports.far)
    media.close(ports.near)
    assert [type(event) for event in heard] == [RecordClosed]
    assert not media.open
    assert not media.subscribed
    with pytest.raises(GatewayError, match="no port"):
        media.record_pause(ports.near, False)
    with pytest.raises(GatewayError, match="no recorder"):
        media.record_mute(media.new_port(), True)


@virtual_time
async def test_recordings_of_fake_media_last_as_long_as_the_clock_says(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, FakeMedia(), InlineExecutor())
    for wanted in RecordingFormat:
        recording = recordings.start(wanted, RecordingOptions("call-1", wanted))
        await asyncio.sleep(30)
        recording.pause()
        await asyncio.sleep(3600)
        recording.resume()
        await asyncio.sleep(15)
        file = await recording.stop()
        assert (file.path, file.seconds, file.channels) == (tmp_path / f"{wanted}.{wanted}", 45, 2)
    with pytest.raises(GatewayError, match="already"):
        recordings.start("ogg", RecordingOptions(format=RecordingFormat.OGG))
    await recordings.close()


@virtual_time
async def test_a_fake_player_ends_when_its_samples_do() -> None:
    media = FakeMedia()
    heard: list[MediaEvent] = []
    port = media.play(bytes(16_000), 8_000)  # one second
    media.subscribe(port, heard.append)
    await asyncio.sleep(0.9)
    assert not heard
    await asyncio.sleep(0.2)
    assert [type(event) for event in heard] == [PlayDone]


@virtual_time
async def test_closing_a_fake_port_undoes_its_connections() -> None:
    media = FakeMedia()
    one, other = media.new_port(), media.new_port()
    media.connect(one, other)
    media.relay_digits(other, one)
    media.close(one)
    assert not media.connections
    assert not media.relays
    with pytest.raises(GatewayError):
        media.connect(one, other)


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(10)
    before = clock.now()
    clock.advance(2.5)
    after = clock.now()
    assert after.monotonic - before.monotonic == 2.5
    assert (after.wall - before.wall).total_seconds() == 2.5

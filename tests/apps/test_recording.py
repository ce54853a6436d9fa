"""The verb `record`: when, what and for how long, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.apps import Call
from gateway.errors import NORMAL, GatewayError
from gateway.events import (
    RecordingStarted,
    RecordingStopped,
)
from gateway.ports import RecordEnd, RecordStopped
from gateway.testing import Rehearsal, virtual_time
from tests.apps.far_ends import answering, breathe, program


@virtual_time
async def test_nothing_is_recorded_without_consent_or_configuration() -> None:
    @program
    async def run(call: Call) -> None:
        with pytest.raises(ValueError, match="consent"):
            await call.record()
        with pytest.raises(GatewayError, match="configure recordings"):
            await call.record(consent=True)

    async with Rehearsal(run) as caller:
        await caller.end()
        assert not [event for event in caller.events if isinstance(event, RecordingStarted)]


@virtual_time
async def test_a_recording_hears_both_sides_and_nothing_while_digits_are_secret(
    tmp_path: Path,
) -> None:
    @program
    async def run(call: Call) -> None:
        await call.record(consent=True, beep=True, max_seconds=600)
        await call.gather("Your card?", max_digits=4, secure=True)
        await call.record("pause")
        await call.say("Off the record.")
        await call.record("resume")
        await call.dial(trunk="t", number="200")

    async with Rehearsal(run, recordings=tmp_path) as caller:
        caller.phones.script = answering()
        await breathe(1)
        [recorder] = caller.media.recorded
        ports = recorder.ports
        assert (caller.leg.port, ports.near) in caller.media.connections
        [question] = caller.media.players()
        assert (question, ports.far) in caller.media.connections
        assert recorder.muted
        assert recorder.max_ms == 600_000
        caller.press("7391")
        await breathe()
        assert not recorder.muted
        assert recorder.paused
        await breathe(4)
        assert not recorder.paused
        phone = caller.phones.legs[0]
        assert (phone.port, ports.far) in caller.media.connections
        phone.ends(NORMAL)
        await caller.call.wait_ended()
        names = [event.recording for event in caller.events if isinstance(event, RecordingStarted)]
        assert names == [f"{caller.call.id}-1"]
        assert RecordingStopped(names[0], "call_ended") in caller.events


@virtual_time
async def test_a_recording_that_has_lasted_long_enough_ends_by_itself(tmp_path: Path) -> None:
    @program
    async def run(call: Call) -> None:
        await call.record(consent=True, max_seconds=5)
        await call.pause(20)
        with pytest.raises(GatewayError, match="not being recorded"):
            await call.record("stop")

    async with Rehearsal(run, recordings=tmp_path) as caller:
        await breathe(1)
        recorder = caller.media.recorded[0]
        caller.media.emit(RecordStopped(recorder.ports.near, RecordEnd.LENGTH, 0.0))
        await caller.end()
        stops = [event for event in caller.events if isinstance(event, RecordingStopped)]
        assert [stop.reason for stop in stops] == ["length"]

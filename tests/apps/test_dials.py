"""Dials of a Python program: what both sides notice, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.apps import Call, Dialled
from gateway.errors import BUSY, FETCH_FAILED, NORMAL, GatewayError
from gateway.events import (
    CallEnded,
)
from gateway.ids import CallId
from gateway.testing import FakeLeg, Rehearsal, virtual_time
from tests.apps.far_ends import answering, breathe, program, talk


async def dialled(script: Callable[[FakeLeg], None], **settings: Any) -> tuple[Dialled, Rehearsal]:
    found: list[Dialled] = []

    @program
    async def run(call: Call) -> None:
        await call.answer()
        found.append(await call.dial(**settings))

    async with Rehearsal(run) as caller:
        caller.phones.script = script
        await caller.end()
    return found[0], caller


@virtual_time
async def test_a_dial_tells_what_became_of_it() -> None:
    busy, _ = await dialled(lambda leg: leg.ends(BUSY), trunk="t", number="200")
    assert (busy.status, busy.talk_ms) == ("busy", None)
    nobody, caller = await dialled(
        lambda leg: leg.rings(), trunk="t", number="200", ring_timeout=20
    )
    assert nobody.status == "no_answer"
    [ended] = [event for event in caller.events if isinstance(event, CallEnded)]
    assert ended.duration_ms == pytest.approx(20_000, abs=100)


@virtual_time
async def test_failover_goes_to_the_next_trunk_with_its_headers() -> None:
    def script(leg: FakeLeg) -> None:
        leg.ends(GatewayError(FETCH_FAILED).verdict) if len(caller.phones.legs) == 1 else (
            leg.answers()
        )

    @program
    async def run(call: Call) -> None:
        await call.dial(
            targets=[
                {"trunk": "a", "number": "200", "headers": {"X-Try": "1"}},
                {"trunk": "b", "number": "200", "withhold": True},
            ],
            strategy="sequence",
        )

    async with Rehearsal(run) as caller:
        caller.phones.script = script
        await breathe(1)
        assert [target.trunk for target in caller.phones.targets] == ["a", "b"]
        assert caller.phones.targets[0].headers == {"X-Try": "1"}
        assert caller.phones.targets[1].withheld
        phone = caller.phones.legs[1]
        assert (caller.leg.port, phone.port) in caller.media.connections
        phone.ends(NORMAL)
        assert (await caller.end()).code == "normal"


@virtual_time
async def test_an_answered_caller_hears_ringing_while_it_rings() -> None:
    @program
    async def run(call: Call) -> None:
        await call.say("One moment.")
        await call.dial(trunk="t", number="200")

    async with Rehearsal(run) as caller:
        caller.phones.script = answering(after=6)
        await caller.hears("One moment.")
        await breathe(3)
        ringing = [played for played in caller.media.played if played.loop]
        assert len(ringing) == 1
        assert (ringing[0].port, caller.leg.port) in caller.media.connections
        await breathe(6)
        assert ringing[0].port not in caller.media.open


@virtual_time
async def test_who_answers_hears_the_whisper_and_confirms() -> None:
    @program
    async def run(call: Call) -> None:
        await call.dial(trunk="t", number="200", whisper="A call for sales.", confirm="1")

    async with Rehearsal(run) as caller:
        caller.phones.script = answering()
        await breathe(1.5)
        [phone] = caller.phones.legs
        [whisper] = [played for played in caller.media.played if not played.loop]
        assert (whisper.port, phone.port) in caller.media.connections
        assert (whisper.port, caller.leg.port) not in caller.media.connections
        assert "answer" not in caller.leg.asked
        assert phone.port is not None
        caller.media.press(phone.port, "2")
        await breathe(0.5)
        assert "answer" not in caller.leg.asked
        caller.media.press(phone.port, "1")
        await breathe()
        assert "answer" in caller.leg.asked
        assert (phone.port, caller.leg.port) in caller.media.connections


@virtual_time
async def test_who_does_not_confirm_does_not_get_the_call() -> None:
    @program
    async def run(call: Call) -> None:
        result = await call.dial(trunk="t", number="200", confirm="1")
        await call.say(result.status)

    async with Rehearsal(run) as caller:
        caller.phones.script = answering()
        await caller.hears("no_answer")
        assert caller.phones.legs[0].verdict is not None
        await caller.end()


@virtual_time
async def test_after_a_talk_the_program_goes_on_if_it_is_to() -> None:
    @program
    async def run(call: Call) -> None:
        result = await call.dial(trunk="t", number="200", after_talk="go_on")
        await call.say(f"{result.status} {result.talk_ms}")

    async with Rehearsal(run) as caller:
        caller.phones.script = answering()
        await breathe(11)
        caller.phones.legs[0].ends(NORMAL)
        await caller.hears("answered 10000")
        assert (await caller.end()).code == "normal"


@virtual_time
async def test_a_program_may_stop_waiting_for_its_dial() -> None:
    @program
    async def run(call: Call) -> None:
        await call.answer()
        try:
            async with asyncio.timeout(5):
                await call.dial(trunk="t", number="200")
        except TimeoutError:
            await call.say("Nobody.")

    async with Rehearsal(run) as caller:
        caller.phones.script = lambda leg: leg.rings()
        await caller.hears("Nobody.")
        assert caller.phones.legs[0].asked == ["hangup"]
        await caller.end()


@virtual_time
async def test_a_dial_that_follows_one_given_up_has_an_outcome_of_its_own() -> None:
    @program
    async def run(call: Call) -> None:
        await call.answer()
        try:
            async with asyncio.timeout(5):
                await call.dial(trunk="t", number="200")
        except TimeoutError:
            second = await call.dial(trunk="u", number="200", ring_timeout=10)
            await call.say(second.status)

    async with Rehearsal(run) as caller:
        caller.phones.script = lambda leg: leg.rings()
        began = caller.now.monotonic
        await caller.hears("no_answer")
        assert caller.now.monotonic - began == pytest.approx(15, abs=0.2)
        await caller.end()


@virtual_time
async def test_a_whisper_that_cannot_be_spoken_keeps_nobody_apart() -> None:
    @program
    async def run(call: Call) -> None:
        await call.dial(trunk="t", number="200", whisper="Hello")

    async with Rehearsal(run) as caller:
        caller.media.broken.add("play")
        caller.phones.script = answering()
        await talk(caller)


@virtual_time
async def test_calls_that_are_to_be_made_later_are_told_of_whatever_happens() -> None:
    @program
    async def run(call: Call) -> None:
        ids.append(call.call_out("later", after=5, trunk="t", number="200"))
        ids.append(call.call_out("later", after=500, trunk="t", number="200"))
        call.hangup()

    @program
    async def later(call: Call) -> None:
        await call.say("Hello again.")

    ids: list[str] = []
    async with Rehearsal(run, programs={"later": later}) as caller:
        await caller.end()
        caller.phones.script = answering()
        await breathe(7)
        assert caller.heard == ["Hello again."]
        assert [target.trunk for target in caller.phones.targets] == ["t"]
    ended = list(caller.log.replay(0, CallId(ids[1])))
    assert [item.event.name for item in ended] == ["call.created", "call.ended"]

"""Hold, mute, bridge and commands while two talk, in virtual time."""

from __future__ import annotations

import pytest

from gateway.apps import Call
from gateway.calls.control import MASK_TAIL
from gateway.errors import NORMAL, GatewayError
from gateway.events import (
    DigitReceived,
)
from gateway.testing import Rehearsal, virtual_time
from tests.apps.far_ends import answering, breathe, program, talk, to_a_phone, verb


@virtual_time
async def test_hold_and_mute_from_outside_while_two_talk() -> None:
    async with Rehearsal(to_a_phone) as caller:
        caller.phones.script = answering()
        phone, both = await talk(caller)
        await caller.call.perform(verb("hold", leg="callee", music="wait.ogg"))
        await breathe()
        assert not both & caller.media.connections
        music = [sink for source, sink in caller.media.connections]
        assert music == [phone.port]
        await caller.call.perform(verb("unhold", leg="callee"))
        await breathe()
        assert caller.media.connections == both
        await caller.call.perform(verb("mute"))
        await breathe()
        assert caller.media.connections == {(phone.port, caller.leg.port)}
        await caller.call.perform(verb("unmute"))
        await breathe()
        assert caller.media.connections == both


@virtual_time
async def test_commands_speak_to_either_side_and_ask_either_side() -> None:
    async with Rehearsal(to_a_phone) as caller:
        caller.phones.script = answering()
        phone, _ = await talk(caller)
        asked = caller.call.perform(verb("gather", question="Key?", leg="callee", max_digits=1))
        await breathe(0.5)
        player = caller.media.players().pop()
        assert (player, phone.port) in caller.media.connections
        assert (player, caller.leg.port) not in caller.media.connections
        assert phone.port is not None
        assert phone.port not in caller.media.relays
        caller.media.press(phone.port, "4")
        outcome = await asked
        assert outcome is not None
        assert outcome.variables["digits"] == "4"
        await breathe()
        assert phone.port in caller.media.relays


@virtual_time
async def test_a_key_too_many_of_a_secret_does_not_reach_the_other_side() -> None:
    async with Rehearsal(to_a_phone) as caller:
        caller.phones.script = answering()
        phone, _ = await talk(caller)
        asked = caller.call.perform(verb("gather", max_digits=4, secure=True))
        await breathe(0.5)
        caller.press("7391")
        await asked
        caller.press("2")
        await breathe(1)
        assert caller.secrets == [True], "the key too many is secret too"
        assert not caller.media.sent
        assert caller.leg.port not in caller.media.relays
        await breathe(4)
        caller.press("5")
        await breathe()
        assert [(sent.port, sent.digit) for sent in caller.media.sent] == [(phone.port, "5")]
        digits = [e.digit for e in caller.events if isinstance(e, DigitReceived)]
        assert digits == ["X"] * 5 + ["5"]
        assert caller.secrets == [True, False]


@virtual_time
async def test_a_verb_that_is_no_longer_wanted_stops_at_once() -> None:
    async with Rehearsal(to_a_phone) as caller:
        caller.phones.script = answering()
        await talk(caller)
        playing = caller.call.perform(verb("play", file="wait.ogg", loop=0))
        await breathe()
        assert caller.media.players()
        playing.cancel()
        await breathe()
        assert not caller.media.players()


@virtual_time
async def test_two_calls_are_joined_and_end_together() -> None:
    ids: list[str] = []

    @program
    async def waits(call: Call) -> None:
        ids.append(call.id)
        await call.answer()
        await call.pause(600)
        await call.say("never")

    @program
    async def joins(call: Call) -> None:
        await call.bridge(ids[0])
        await call.say("Alone.")

    async with Rehearsal(waits, programs={"joins": joins}) as first:
        await breathe(1)
        async with first.another("joins") as second:
            await breathe()
            joined = {(first.leg.port, second.leg.port), (second.leg.port, first.leg.port)}
            assert joined <= first.media.connections
            first.leg.ends(NORMAL)
            await second.hears("Alone.")
            await second.end()


@virtual_time
async def test_joined_calls_keep_their_own_mute_hold_and_secrets() -> None:
    ids: list[str] = []

    @program
    async def waits(call: Call) -> None:
        ids.append(call.id)
        await call.answer()
        await call.pause(600)

    async with Rehearsal(waits, programs={"waits": waits}) as first:
        await breathe(1)
        async with first.another("waits") as second, first.another("waits") as third:
            await breathe(1)
            media, one, other = first.media, first.leg.port, second.leg.port
            joining = second.call.perform(verb("bridge", call=ids[0]))
            await breathe()
            assert {(one, other), (other, one)} <= media.connections
            for call in (first.call, second.call):  # neither can be joined with a third
                with pytest.raises(GatewayError, match="joined with another already"):
                    await third.call.perform(verb("bridge", call=call.id))
            await first.call.perform(verb("mute"))
            await breathe()
            assert (one, other) not in media.connections
            assert (other, one) in media.connections
            await second.call.perform(verb("hold"))
            await breathe()
            assert not {(one, other), (other, one)} & media.connections
            assert not media.relays
            await first.call.perform(verb("unmute"))
            await second.call.perform(verb("unhold"))
            await breathe()
            assert {(one, other), (other, one)} <= media.connections
            gathering = second.call.perform(verb("gather", max_digits=1, secure=True))
            await breathe()
            assert media.relays == {one: other}
            second.call.press(second.call.caller_leg, "7")  # told by signalling
            await gathering
            await breathe(MASK_TAIL + 0.1)
            assert media.relays == {one: other, other: one}
            assert not media.sent
            second.call.press(second.call.caller_leg, "8")
            assert [(each.port, each.digit) for each in media.sent] == [(one, "8")]
            joining.cancel()
            await breathe()
            assert not media.relays
            assert (await first.end()).text == "The other call ended"
            await second.call.perform(verb("hangup"))
            await third.call.perform(verb("hangup"))


@virtual_time
async def test_what_cannot_be_joined_says_so() -> None:
    @program
    async def joins(call: Call) -> None:
        for other in ("c-nobody", call.id):
            try:
                await call.bridge(other)
            except GatewayError as error:
                await call.say(error.verdict.text)

    async with Rehearsal(joins) as caller:
        await caller.hears("No such call", "A call cannot be joined with itself")
        await caller.end()


@virtual_time
async def test_who_is_asked_and_leaves_takes_no_answer_and_no_secret_away() -> None:
    @program
    async def run(call: Call) -> None:
        await call.dial(trunk="t", number="200", after_talk="go_on")
        await call.pause(60)

    async with Rehearsal(run) as caller:
        caller.phones.script = answering()
        phone, _ = await talk(caller)
        asked = caller.call.perform(
            verb("gather", leg="callee", max_digits=4, first_timeout=5, secure=True)
        )
        await breathe(0.5)
        phone.ends(NORMAL)
        outcome = await asked
        assert outcome is not None
        assert outcome.variables["gather_reason"] == "nothing"


@virtual_time
async def test_digits_stay_secret_until_the_last_who_asks_for_them_is_done() -> None:
    async with Rehearsal(to_a_phone) as caller:
        caller.phones.script = answering()
        await talk(caller)
        long = caller.call.perform(
            verb("gather", max_digits=9, inter_digit_timeout=20, secure=True)
        )
        short = caller.call.perform(verb("gather", max_digits=1, secure=True))
        await breathe(0.5)
        caller.press("7")
        await short
        await breathe(MASK_TAIL + 1)
        caller.press("391#")
        await long
        digits = [e.digit for e in caller.events if isinstance(e, DigitReceived)]
        assert set(digits) == {"X"}


@virtual_time
async def test_two_who_talk_are_joined_and_whom_they_talked_to_is_let_go() -> None:
    """POST /v1/calls/{call}/bridge: neither call has anything else left to do."""

    @program
    async def run(call: Call) -> None:
        await call.dial(trunk="t", number="200")

    async with Rehearsal(run, programs={"run": run}) as first:
        first.phones.script = answering()
        phone, _ = await talk(first)
        async with first.another("run") as second:
            await breathe(2)
            media, one, other = first.media, first.leg.port, second.leg.port
            assert second.call.state == first.call.state == "connected"
            joined = second.call.join(first.call.id)
            await breathe()
            assert phone.verdict is not None
            assert {(one, other), (other, one)} == media.connections
            assert media.relays == {one: other, other: one}
            second.leg.ends(NORMAL)
            assert (await first.end()).text == "The other call ended"
            with pytest.raises(GatewayError):
                await joined


@virtual_time
async def test_a_program_is_stopped_when_its_call_is_joined_whole() -> None:
    @program
    async def run(call: Call) -> None:
        await call.answer()
        await call.pause(5)
        await call.say("never")

    async with (
        Rehearsal(run, programs={"run": run}) as first,
        first.another("run") as second,
    ):
        await breathe(1)
        joined = second.call.join(first.call.id)
        await breathe(10)
        assert not joined.done()
        first.leg.ends(NORMAL)
        await joined
        assert (await second.end()).text == "The other call ended"
        assert "never" not in (*first.heard, *second.heard)

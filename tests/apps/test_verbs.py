"""Verbs of a Python program that need no other leg: what the caller notices, in virtual time."""

from __future__ import annotations

from gateway.apps import Call, Play, Say
from gateway.errors import NORMAL
from gateway.events import (
    CallAnswered,
    DigitReceived,
    DigitStarted,
)
from gateway.testing import Rehearsal, virtual_time
from tests.apps.far_ends import breathe, program

# ---- before the answer ----------------------------------------------------------------------


@virtual_time
async def test_a_program_decides_when_the_call_is_answered() -> None:
    @program
    async def run(call: Call) -> None:
        await call.ring()
        await call.pause(3)
        await call.answer()
        await call.say("Hello.")

    async with Rehearsal(run) as caller:
        await breathe(1)
        assert caller.leg.asked == ["ring"]
        await caller.hears("Hello.")
        await caller.end()
        assert caller.leg.asked == ["ring", "answer", "hangup"]
        assert caller.verbs == ["ring", "pause", "answer", "say"]


@virtual_time
async def test_early_media_is_heard_without_an_answer() -> None:
    @program
    async def run(call: Call) -> None:
        await call.ring(early_media=True)
        await call.say("All lines are busy.")
        await call.reject(486, "Try later")

    async with Rehearsal(run) as caller:
        await caller.hears("All lines are busy.")
        verdict = await caller.end()
        assert (verdict.sip_status, verdict.text) == (486, "486 Try later")
        assert caller.leg.asked == ["early_media", "hangup"]
        assert not [event for event in caller.events if isinstance(event, CallAnswered)]


@virtual_time
async def test_a_call_is_answered_after_early_media_too() -> None:
    @program
    async def run(call: Call) -> None:
        await call.ring(early_media=True)
        await call.say("You are being connected.")
        await call.answer()
        await call.say("Hello.")

    async with Rehearsal(run) as caller:
        await caller.hears("You are being connected.")
        assert caller.leg.asked == ["early_media"]
        await caller.hears("Hello.")
        assert caller.leg.asked == ["early_media", "answer"]
        assert (await caller.end()).code == NORMAL.code


@virtual_time
async def test_a_program_that_leaves_the_caller_unanswered_refuses() -> None:
    @program
    async def run(call: Call) -> None:
        await call.pause(1)

    async with Rehearsal(run) as caller:
        assert (await caller.end()).sip_status == 480


# ---- audio ----------------------------------------------------------------------------------


@virtual_time
async def test_play_repeats_and_stops_at_a_key() -> None:
    @program
    async def run(call: Call) -> None:
        await call.play("ring.wav", loop=3)
        await call.play("wait.ogg", loop=0, stop_on="5")
        await call.say("Done.", stop_on="#")

    async with Rehearsal(run) as caller:
        await caller.hears("[ring.wav]", "[ring.wav]", "[ring.wav]", "[wait.ogg]")
        caller.press("9")
        await caller.hears("[wait.ogg]")
        caller.press("5")
        await caller.hears("Done.")
        began = caller.now.monotonic
        caller.press("#")
        await caller.end()
        assert caller.now.monotonic - began < 0.5


@virtual_time
async def test_values_are_spoken_in_words_of_a_language() -> None:
    @program
    async def run(call: Call) -> None:
        await call.say("4711", spoken_as="digits")
        await call.say("21", spoken_as="number", language="fr")

    async with Rehearsal(run) as caller:
        await caller.hears("four seven one one", "vingt et un")
        await caller.end()


@virtual_time
async def test_a_question_may_be_files_and_values() -> None:
    @program
    async def run(call: Call) -> None:
        keys = await call.gather(
            "Your balance is", Say(text="12", spoken_as="number"), Play(file="beep.wav")
        )
        call.hangup(keys.digits)

    async with Rehearsal(run) as caller:
        await caller.hears("Your balance is", "twelve", "[beep.wav]")
        caller.press("1#")
        assert (await caller.end()).text == "1"


@virtual_time
async def test_secret_digits_are_in_no_event_and_no_variable_but_the_outcome() -> None:
    @program
    async def run(call: Call) -> None:
        card = await call.gather("Your card?", max_digits=4, secure=True)
        call.hangup("right" if card.digits == "7391" else "wrong")

    async with Rehearsal(run) as caller:
        await caller.hears("Your card?")
        caller.press("73912")  # one too many
        assert (await caller.end()).text == "right"
        digits = [e for e in caller.events if isinstance(e, DigitStarted | DigitReceived)]
        assert {event.digit for event in digits} == {"X"}
        assert len(digits) == 10


@virtual_time
async def test_what_was_typed_before_a_secret_is_asked_for_is_no_part_of_it() -> None:
    """Others have seen it: the secret would begin in the clear."""

    @program
    async def run(call: Call) -> None:
        await call.say("Welcome.")
        card = await call.gather("Your card?", max_digits=4, secure=True)
        call.hangup("right" if card.digits == "7391" else "wrong")

    async with Rehearsal(run) as caller:
        port = caller.leg.port
        assert port is not None
        caller.press("4")
        held = caller.media.key_down(port, "5")
        await caller.hears("Welcome.", "Your card?")
        caller.media.key_up(port, "5", held, 400)
        caller.press("7391")
        assert (await caller.end()).text == "right"
        digits = [e for e in caller.events if isinstance(e, DigitStarted | DigitReceived)]
        clear = "".join(e.digit for e in digits if e.digit != "X")
        assert clear == "445"

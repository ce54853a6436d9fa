"""Verbs of a Python program: what both sides notice, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.apps import App, Call, Dialled, Play, Say
from gateway.calls.control import MASK_TAIL
from gateway.calls.programs import Program
from gateway.errors import BUSY, FETCH_FAILED, NORMAL, GatewayError
from gateway.events import (
    CallAnswered,
    CallEnded,
    DigitReceived,
    DigitStarted,
    RecordingStarted,
    RecordingStopped,
)
from gateway.ids import CallId
from gateway.ports import RecordEnd, RecordStopped
from gateway.testing import FakeLeg, Rehearsal, virtual_time


def program(function: object) -> Program:
    """A registered program."""
    app = App()
    app.call("p")(function)  # type: ignore[arg-type]
    return app.programs["p"]


async def breathe(seconds: float = 0.05) -> None:
    await asyncio.sleep(seconds)


def answering(after: float = 1.0) -> Callable[[FakeLeg], None]:
    """A phone that rings, and answers after some seconds."""

    def script(leg: FakeLeg) -> None:
        leg.rings()
        asyncio.get_running_loop().call_later(after, lambda: leg.ended or leg.answers())

    return script


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


# ---- dial -----------------------------------------------------------------------------------


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


# ---- hold, mute, bridge ---------------------------------------------------------------------


async def talk(caller: Rehearsal) -> tuple[FakeLeg, set[tuple[Any, Any]]]:
    """The caller and a phone talk; the phone, and the connections both ways."""
    await breathe(2)
    [phone] = caller.phones.legs
    both = {(caller.leg.port, phone.port), (phone.port, caller.leg.port)}
    assert both <= caller.media.connections
    return phone, both


@program
async def to_a_phone(call: Call) -> None:
    await call.dial(trunk="t", number="200")


def verb(name: str, **parameters: Any) -> Any:
    from gateway.verbs import verb_from

    return verb_from({name: parameters})


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
        assert not caller.media.sent
        assert caller.leg.port not in caller.media.relays
        await breathe(4)
        caller.press("5")
        await breathe()
        assert [(sent.port, sent.digit) for sent in caller.media.sent] == [(phone.port, "5")]
        digits = [e.digit for e in caller.events if isinstance(e, DigitReceived)]
        assert digits == ["X"] * 5 + ["5"]


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


# ---- a customer's server --------------------------------------------------------------------


class Server:
    """Answers with verbs, or fails."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def ask(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        seconds: float | None = None,
        attempts: int | None = None,
    ) -> Any:
        self.asked.append((url, payload))
        answer = self._answers.pop(0)
        if isinstance(answer, GatewayError):
            raise answer
        return answer


@virtual_time
async def test_a_server_gives_the_next_verbs() -> None:
    @program
    async def run(call: Call) -> None:
        await call.set(step="1")
        await call.http("https://example.com/ivr")
        await call.say(call.variables["name"])

    server = Server({"verbs": [{"say": "Hello."}, {"set": {"name": "Ada"}}]})
    async with Rehearsal(run, webhooks=server) as caller:
        await caller.hears("Hello.", "Ada")
        await caller.end()
    [(url, told)] = server.asked
    assert url == "https://example.com/ivr"
    assert (told["caller"], told["variables"]) == ("alice", {"step": "1"})


@pytest.mark.parametrize(
    "answer",
    [
        GatewayError(FETCH_FAILED, "down"),
        {"verbs": [{"nonsense": 1}]},
        {"verbs": "say"},
        ["say"],
        {"verbs": [{"say": {"text": ""}}]},
    ],
)
@virtual_time
async def test_what_is_no_answer_has_the_fallback_performed(answer: object) -> None:
    @program
    async def run(call: Call) -> None:
        fetched = await call.http("https://example.com/", fallback=[{"say": "Sorry."}])
        assert fetched.failed

    async with Rehearsal(run, webhooks=Server(answer)) as caller:
        await caller.hears("Sorry.")
        assert (await caller.end()).code == "normal"


@virtual_time
async def test_without_a_fallback_a_server_that_is_down_ends_the_call() -> None:
    @program
    async def run(call: Call) -> None:
        await call.http("https://example.com/")

    async with Rehearsal(run, webhooks=Server(GatewayError(FETCH_FAILED, "down"))) as caller:
        with pytest.raises(GatewayError, match="down"):
            await caller.end()
        assert caller.leg.verdict is not None
        assert caller.leg.verdict.code == "fetch_failed"


@virtual_time
async def test_servers_that_lead_to_servers_without_end_are_stopped() -> None:
    @program
    async def run(call: Call) -> None:
        await call.http("https://example.com/")

    class Endless(Server):
        async def ask(self, url: str, payload: Mapping[str, Any], **_: Any) -> Any:
            self.asked.append((url, payload))
            return {"verbs": [{"http": "https://example.com/"}]}

    server = Endless()
    async with Rehearsal(run, webhooks=server) as caller:
        with pytest.raises(GatewayError, match="without end"):
            await caller.end()
        assert caller.leg.verdict is not None
        assert caller.leg.verdict.code == "loop_detected"
    assert len(server.asked) < 50


@virtual_time
async def test_no_server_is_told_secret_digits_unless_they_are_kept_by_name() -> None:
    @program
    async def run(call: Call) -> None:
        await call.gather(max_digits=4, secure=True)
        await call.http("https://example.com/")
        await call.set(card=call.variables["digits"])
        await call.http("https://example.com/")

    server = Server({"verbs": []}, {"verbs": []})
    async with Rehearsal(run, webhooks=server) as caller:
        await breathe(0.5)
        caller.press("7391")
        await caller.end()
    first, second = (told["variables"] for _, told in server.asked)
    assert "7391" not in repr(first)
    assert second["card"] == "7391"
    assert "digits" not in second


# ---- recording ------------------------------------------------------------------------------


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

"""Whole calls with doubles: legs, media, timers and closing, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from gateway.calls import CallSettings
from gateway.calls.state import Limits
from gateway.errors import BUSY, CANCELLED, DECLINED, NORMAL
from gateway.events import (
    CallEnded,
    CallRouted,
    DigitDropped,
    DigitReceived,
    DigitSent,
    DigitSource,
    DigitStarted,
    LegGone,
    MediaSilent,
    MediaStarted,
    Role,
)
from gateway.ports import RtpStarted
from gateway.testing import virtual_time
from gateway.testing.media import SentDigit
from tests.calls.conftest import Stand, breathe, ended

Entries = list[MutableMapping[str, Any]]


# ---- ordinary calls -------------------------------------------------------------------------


@virtual_time
async def test_browser_and_phone_hear_each_other_and_each_others_digits(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    assert caller.port is not None
    assert callee.port is not None
    assert stand.media.connections == {(caller.port, callee.port), (callee.port, caller.port)}
    assert stand.media.relays == {caller.port: callee.port, callee.port: caller.port}
    assert caller.asked == ["answer"]
    assert call.view().media_path == "[1] webrtc opus/48000 <=> [2] sip pcmu/8000"

    callee.ends(NORMAL)
    events = await ended(call)
    assert caller.verdict == NORMAL
    assert caller.asked.count("hangup") == 1
    assert "hangup" not in callee.asked
    assert isinstance(events[-1], CallEnded)
    stand.assert_nothing_is_left()


@virtual_time
async def test_the_trunk_is_asked_for_what_the_rule_says(stand: Stand) -> None:
    _, call = stand.browser_calls("phone", user="carol")
    await breathe()
    (target,) = stand.sip.targets
    assert (target.trunk, target.number, target.caller) == ("trunk", "200", "carol")
    call.hangup()
    await ended(call)


@virtual_time
async def test_a_phone_reaches_a_signed_in_browser(stand: Stand) -> None:
    phone, call = stand.phone_calls("alice", caller="555")
    await breathe()
    assert stand.browsers.rung == [("alice", "555", call.id)]
    (tab,) = stand.browsers.legs
    tab.rings()
    await breathe()
    assert phone.asked == ["ring"]
    tab.answers()
    await breathe()
    assert phone.asked == ["ring", "answer"]
    assert call.state == "connected"
    phone.ends(NORMAL)
    await ended(call)
    stand.assert_nothing_is_left()


@virtual_time
async def test_of_two_tabs_the_first_to_answer_gets_the_call(stand: Stand) -> None:
    stand.browsers.sessions["alice"] = 2
    _, call = stand.phone_calls("alice")
    await breathe()
    slow, fast = stand.browsers.legs
    slow.rings()
    fast.answers()
    slow.answers()  # crosses on the wire
    await breathe()
    assert slow.asked == ["hangup"]
    assert fast.asked == []
    assert slow.verdict is not None
    assert slow.verdict.text == "Answered elsewhere"
    assert call.state == "connected"
    call.hangup()
    await ended(call)
    stand.assert_nothing_is_left()


@virtual_time
async def test_events_that_a_leg_had_before_anybody_listened_are_not_lost(stand: Stand) -> None:
    def ready_at_once(leg: Any) -> None:
        leg.rings()
        leg.answers()

    dial = stand.sip.dial

    def dial_ready(target: Any) -> Any:
        leg = dial(target)
        ready_at_once(leg)
        return leg

    stand.sip.dial = dial_ready  # type: ignore[method-assign]
    caller, call = stand.browser_calls("phone")
    caller.media(early=True)
    await breathe()
    assert call.state == "connected"
    assert caller.asked == ["ring", "answer"]
    call.hangup()
    await ended(call)


@virtual_time
async def test_early_media_opens_the_callers_path_and_digits_pass_before_the_answer(
    stand: Stand,
) -> None:
    caller, call = stand.browser_calls("phone")
    caller.media(early=True)
    await breathe()
    callee = stand.sip.legs[0]
    callee.media(early=True)
    await breathe()
    assert call.state == "early"
    assert caller.asked == ["early_media"]
    assert caller.port is not None
    stand.media.press(caller.port, "7", 90)
    assert stand.media.sent == [SentDigit(callee.port or 0, "7", 90, 0)]
    call.hangup()
    assert isinstance((await ended(call))[-1], CallEnded)


# ---- digits ---------------------------------------------------------------------------------


@virtual_time
async def test_digits_of_both_sides_are_events_with_their_durations(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    assert caller.port is not None
    assert callee.port is not None
    stand.media.press(caller.port, "1", 40)
    stand.media.press(callee.port, "D", 2000)
    await breathe()
    digits = [event for event in stand.events(call) if isinstance(event, DigitReceived)]
    assert [(digit.leg, digit.digit, digit.duration_ms) for digit in digits] == [
        (caller.id, "1", 40),
        (callee.id, "D", 2000),
    ]
    starts = [event for event in stand.events(call) if isinstance(event, DigitStarted)]
    assert [start.id for start in starts] == [digit.id for digit in digits]
    call.hangup()
    await ended(call)


@virtual_time
async def test_a_digit_told_by_signalling_is_sent_to_the_other_side(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    call.press(caller.id, "9", 250)
    call.press(callee.id, "#", 100)
    await breathe(1)
    assert stand.media.sent == [
        SentDigit(callee.port or 0, "9", 250, 70),
        SentDigit(caller.port or 0, "#", 100, 70),
    ]
    told = [event for event in stand.events(call) if isinstance(event, DigitReceived)]
    assert [(digit.leg, digit.source) for digit in told] == [
        (caller.id, DigitSource.SIGNALLING),
        (callee.id, DigitSource.SIGNALLING),
    ]
    sent = [event for event in stand.events(call) if isinstance(event, DigitSent)]
    assert {(digit.leg, digit.digit, digit.duration_ms) for digit in sent} == {
        (callee.id, "9", 250),
        (caller.id, "#", 100),
    }
    call.hangup()
    await ended(call)


@virtual_time
async def test_what_the_media_plane_could_not_send_is_told(stand: Stand) -> None:
    _, callee, call = await stand.talking()
    stand.media.drop_digit(callee.port or 0, "A", "the peer does not take it")
    await breathe()
    assert DigitDropped(callee.id, "A", "the peer does not take it") in stand.events(call)
    call.hangup()
    await ended(call)


@virtual_time
async def test_send_digit_goes_to_the_leg_that_was_named(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    call.send_digit(Role.CALLEE, "4", 100)
    call.send_digit(caller.id, "5", 500, 30)
    assert stand.media.sent == [
        SentDigit(callee.port or 0, "4", 100, 70),
        SentDigit(caller.port or 0, "5", 500, 30),
    ]
    call.hangup()
    await ended(call)


# ---- refusals and failures ------------------------------------------------------------------


@virtual_time
async def test_an_unknown_destination_is_not_found_with_the_trace_in_log_and_event(
    stand: Stand, logs: Entries
) -> None:
    caller, call = stand.browser_calls("nowhere")
    events = await ended(call)
    assert caller.verdict is not None
    assert (caller.verdict.sip_status, caller.verdict.http_status) == (404, 404)
    (routed,) = [event for event in events if isinstance(event, CallRouted)]
    assert routed.rule is None
    assert "browser[1] phone: character 1 differs" in routed.trace
    (line,) = [entry for entry in logs if entry["event"] == "call.no_route"]
    assert line["trace"] == routed.trace
    assert line["log_level"] == "warning"
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_rule_can_refuse(stand: Stand) -> None:
    caller, call = stand.browser_calls("no")
    await ended(call)
    assert caller.verdict is not None
    assert (caller.verdict.code, caller.verdict.sip_status) == ("busy", 486)
    assert "Not today" in caller.verdict.text


@virtual_time
async def test_nobody_answers_within_the_rules_seconds(stand: Stand) -> None:
    caller, call = stand.browser_calls("quick")
    await breathe()
    stand.sip.legs[0].rings()
    await breathe(4.9)
    assert call.state == "ringing"
    await breathe(0.2)
    assert caller.verdict is not None
    assert caller.verdict.code == "no_answer"
    assert stand.sip.legs[0].asked == ["hangup"]
    await ended(call)
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_trunk_has_its_own_ring_timeout(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(CallSettings(ring_timeouts={"trunk": 7}))
    _, call = stand.browser_calls("phone")
    await breathe(6.5)
    assert not call.ended
    await breathe(1)
    assert call.verdict is not None
    assert call.verdict.code == "no_answer"
    await ended(call)


@virtual_time
async def test_the_caller_sees_the_trunks_reason(stand: Stand) -> None:
    caller, call = stand.browser_calls("phone")
    await breathe()
    stand.sip.legs[0].ends(BUSY.because("486 Busy Here"))
    await ended(call)
    assert caller.verdict == BUSY.because("486 Busy Here")


@virtual_time
async def test_an_unreachable_trunk_ends_the_call(stand: Stand, logs: Entries) -> None:
    stand.sip.unreachable.add("trunk")
    caller, call = stand.browser_calls("phone")
    await ended(call)
    assert caller.verdict is not None
    assert caller.verdict.code == "peer_unreachable"
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_user_who_is_not_signed_in_is_unavailable(stand: Stand) -> None:
    stand.browsers.sessions.clear()
    caller, call = stand.browser_calls("alice")
    await ended(call)
    assert caller.verdict is not None
    assert caller.verdict.code == "unavailable"


@virtual_time
async def test_a_user_who_declines(stand: Stand) -> None:
    phone, call = stand.phone_calls("alice")
    await breathe()
    stand.browsers.legs[0].ends(DECLINED)
    await ended(call)
    assert phone.verdict == DECLINED


@virtual_time
async def test_a_caller_who_gives_up_cancels_the_far_end(stand: Stand) -> None:
    caller, call = stand.browser_calls("phone")
    await breathe()
    caller.ends(NORMAL)
    await ended(call)
    assert stand.sip.legs[0].verdict == CANCELLED
    stand.assert_nothing_is_left()


@pytest.mark.parametrize("operation", ["connect", "relay_digits", "subscribe"])
@virtual_time
async def test_a_media_failure_ends_that_call_only(
    stand: Stand, logs: Entries, operation: str
) -> None:
    _, _, living = await stand.talking()
    stand.media.broken.add(operation)
    caller, call = stand.browser_calls("phone")
    caller.media(early=True)
    await breathe()
    if not call.ended:
        stand.sip.legs[-1].answers()
        await breathe()
    stand.media.broken.clear()
    assert call.ended
    assert caller.verdict is not None
    assert caller.verdict.code == "media_failed"
    assert stand.sip.legs[-1].asked == ["hangup"]
    assert living.state == "connected"
    assert [entry for entry in logs if entry["event"] == "call.failure" and entry["exc_info"]]
    living.hangup()
    await ended(living)
    stand.assert_nothing_is_left()


@pytest.mark.parametrize("method", ["ring", "answer", "early_media", "hangup"])
@virtual_time
async def test_a_bug_in_a_leg_ends_that_call_only(stand: Stand, logs: Entries, method: str) -> None:
    _, _, living = await stand.talking()
    caller, call = stand.browser_calls("phone")
    caller.broken.add(method)
    caller.media(early=True)
    await breathe()
    callee = stand.sip.legs[-1]
    callee.rings()
    callee.media(early=True)
    callee.answers()
    await breathe()
    call.hangup()
    events = await ended(call)
    assert isinstance(events[-1], CallEnded)
    assert callee.asked == ["hangup"]
    assert caller.asked.count("hangup") == 1
    assert [entry for entry in logs if entry["event"] == "call.bug" and entry["exc_info"]]
    if method != "hangup":
        assert events[-1].verdict.code == "internal"
    assert living.state == "connected"
    living.hangup()
    await ended(living)
    assert not stand.registry.calls


@virtual_time
async def test_a_bug_in_the_machine_ends_that_call_with_both_legs(
    stand: Stand, logs: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, callee, call = await stand.talking()

    def broken(*_: object) -> None:
        raise AssertionError("a bug in the machine")

    monkeypatch.setattr("gateway.calls.supervisor.step", broken)
    stand.media.press(caller.port or 0, "1")
    events = await ended(call)
    assert caller.asked[-1] == callee.asked[-1] == "hangup"
    assert isinstance(events[-1], CallEnded)
    assert events[-1].verdict.code == "internal"
    assert events[-1].answered
    assert [entry for entry in logs if entry["event"] == "call.bug"]
    stand.assert_nothing_is_left()


@virtual_time
async def test_lost_media_ends_the_call_unless_that_side_is_held(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    callee.holds()
    await breathe()
    assert call.state == "held"
    stand.media.silence(callee.port or 0)
    await breathe()
    assert call.state == "held"
    callee.holds(False)
    stand.media.resume(callee.port or 0)
    await breathe(60)
    assert call.state == "connected"
    stand.media.silence(caller.port or 0)
    await ended(call)
    assert callee.verdict is not None
    assert callee.verdict.code == "media_lost"
    assert MediaSilent(caller.id, 30_000) in stand.events(call)


@virtual_time
async def test_the_first_packet_is_an_event(stand: Stand) -> None:
    caller, _, call = await stand.talking()
    stand.media.emit(RtpStarted(caller.port or 0, 0.0))
    await breathe()
    assert MediaStarted(caller.id) in stand.events(call)
    call.hangup()
    await ended(call)


# ---- closing --------------------------------------------------------------------------------


@virtual_time
async def test_a_leg_that_never_confirms_is_given_up_and_named_in_the_log(
    make_stand: Callable[..., Stand], logs: Entries
) -> None:
    stand = make_stand(CallSettings(limits=Limits(closing=3)))
    _, callee, call = await stand.talking()
    callee._confirms = False
    call.hangup()
    await breathe(2)
    assert call.state == "ending"
    await breathe(2)
    assert call.ended
    (line,) = [entry for entry in logs if entry["event"] == "call.legs_stuck"]
    assert line["legs"] == [callee.id]
    callee.ends(NORMAL)  # too late, and harmless
    await breathe()
    stand.assert_nothing_is_left()


@virtual_time
async def test_cancelling_the_calls_task_leaves_nothing_behind(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"call {call.id}"]
    task.cancel()
    await breathe()
    assert caller.verdict is not None
    assert caller.verdict.code == "shutting_down"
    assert callee.asked == ["hangup"]
    last = stand.events(call)[-1]
    assert isinstance(last, CallEnded)
    assert last.verdict.code == "shutting_down"
    stand.assert_nothing_is_left()


@virtual_time
async def test_nothing_of_a_call_follows_its_last_event(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    call.hangup()
    stand.media.press(caller.port or 0, "1")
    await ended(call)
    assert isinstance(stand.events(call)[-1], CallEnded)
    gone = [event.leg for event in stand.events(call) if isinstance(event, LegGone)]
    assert sorted(gone) == sorted([caller.id, callee.id])


@virtual_time
async def test_two_hundred_calls_leave_nothing_behind(stand: Stand) -> None:
    for number in range(200):
        caller, callee, call = await stand.talking()
        (caller if number % 2 else callee).ends(NORMAL)
        await ended(call)
    stand.assert_nothing_is_left()
    assert stand.log.subscribers == 0


@virtual_time
async def test_the_log_of_a_call_says_how_it_ended_without_numbers(
    stand: Stand, logs: Entries
) -> None:
    _, call = stand.browser_calls("phone", user="+14155550100")
    await breathe()
    stand.sip.legs[0].ends(BUSY)
    await ended(call)
    (line,) = [entry for entry in logs if entry["event"] == "call.ended"]
    assert (line["code"], line["sip_status"], line["q850"]) == ("busy", 486, 17)
    assert "4155550100" not in repr(logs)

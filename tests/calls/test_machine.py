"""The call machine: what each side notices, phase by phase. Pure: no loop, no time."""

from __future__ import annotations

import typing

import pytest

from gateway.calls import inputs
from gateway.calls.dialling import ANSWERED_ELSEWHERE
from gateway.calls.effects import (
    AnswerCaller,
    Bridge,
    CancelTimer,
    Dial,
    EarlyMediaToCaller,
    Finish,
    HangupLeg,
    RingCaller,
    StartTimer,
    Unbridge,
)
from gateway.calls.machine import IGNORED, TABLE
from gateway.calls.state import Limits, Timer
from gateway.dialplan import Refuse
from gateway.errors import (
    BUSY,
    CANCELLED,
    DECLINED,
    FORBIDDEN,
    MEDIA_FAILED,
    NO_ANSWER,
    NORMAL,
    PEER_UNREACHABLE,
    UNAVAILABLE,
)
from gateway.events import (
    CallAnswered,
    CallCreated,
    CallEarlyMedia,
    CallEnded,
    CallHeld,
    CallRinging,
    CallRouted,
    DigitReceived,
    LegAdded,
    LegGone,
    MediaPathChanged,
    MediaResumed,
    MediaSilent,
    Role,
)
from gateway.ports import LegKind
from gateway.terms import Phase
from tests.calls.driver import (
    CALLEE,
    CALLEE_PORT,
    CALLER,
    CALLER_PORT,
    OTHER,
    OTHER_PORT,
    THIRD,
    TO_TRUNK,
    TO_USER,
    Driver,
    new_leg,
)

INPUTS = typing.get_args(inputs.Input)


# ---- the table ------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", INPUTS)
def test_every_pair_is_defined_or_ignored_for_a_reason(phase: Phase, kind: type) -> None:
    defined, ignored = (phase, kind) in TABLE, (phase, kind) in IGNORED
    assert defined != ignored
    if ignored:
        assert IGNORED[phase, kind].strip()


def test_the_table_knows_no_other_pairs() -> None:
    assert {kind for _, kind in TABLE.keys() | IGNORED.keys()} == set(INPUTS)


def test_nothing_leaves_the_last_phase() -> None:
    assert not [pair for pair in TABLE if pair[0] is Phase.ENDED]


def test_every_phase_can_be_reached() -> None:
    reached = {target for transition in TABLE.values() for target in transition.targets}
    assert reached | {Phase.NEW} == set(Phase)


# ---- browser to trunk -----------------------------------------------------------------------


def test_an_ordinary_call_tells_its_story_in_order() -> None:
    call = Driver()
    call.to_trunk()
    call.feed(inputs.CallerMedia(CALLER_PORT, "opus/48000"))
    call.feed(inputs.CalleeRinging(CALLEE), seconds=1)
    call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, "pcmu/8000"))
    call.feed(inputs.CalleeAnswered(CALLEE), seconds=2)
    call.leg_ends(CALLEE, NORMAL)
    call.end_legs()
    assert [type(event) for event in call.events] == [
        CallCreated,
        LegAdded,
        CallRouted,
        LegAdded,
        CallRinging,
        CallAnswered,
        MediaPathChanged,
        LegGone,
        LegGone,
        CallEnded,
    ]
    assert call.events[-1] == CallEnded(
        NORMAL, answered=True, duration_ms=3000, talk_ms=0, hung_up_by=Role.CALLEE
    )


def test_legs_that_were_dialled_ring_for_as_long_as_they_may() -> None:
    call = Driver()
    done = call.feed(inputs.Routed(TO_TRUNK, "rule", ()))
    assert done == [Dial(TO_TRUNK.targets)]
    assert call.dialed(new_leg(CALLEE, seconds=12.5)) == [StartTimer(Timer.RING, 12.5)]


def test_ringing_is_passed_on_once() -> None:
    call = Driver()
    call.to_trunk()
    assert call.feed(inputs.CalleeRinging(CALLEE)) == [RingCaller()]
    assert call.feed(inputs.CalleeRinging(CALLEE)) == []
    assert call.phase() is Phase.RINGING


def test_early_media_joins_the_audio_before_the_answer_and_keeps_it_after() -> None:
    call = Driver(LegKind.SIP)
    call.to_trunk()
    early = call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, "pcma/8000"))
    assert early == [EarlyMediaToCaller()]
    assert call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000")) == [
        Bridge(CALLER_PORT, CALLEE_PORT)
    ]
    assert call.phase() is Phase.EARLY
    assert CallEarlyMedia(CALLEE) in call.events
    assert call.feed(inputs.CalleeAnswered(CALLEE)) == [CancelTimer(Timer.RING), AnswerCaller()]
    assert call.phase() is Phase.CONNECTED
    assert call.bridge == (CALLER_PORT, CALLEE_PORT)


def test_ringing_after_early_media_does_not_go_back() -> None:
    call = Driver()
    call.to_trunk()
    call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, "pcma/8000"))
    assert call.feed(inputs.CalleeRinging(CALLEE)) == []
    assert call.phase() is Phase.EARLY


def test_an_answer_waits_for_the_callers_audio() -> None:
    call = Driver()
    call.to_trunk()
    call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, "pcmu/8000"))
    done = call.feed(inputs.CalleeAnswered(CALLEE))
    assert done == [
        CancelTimer(Timer.RING),
        AnswerCaller(),
        StartTimer(Timer.SETUP, Limits().setup),
    ]
    assert call.phase() is Phase.CONNECTING
    done = call.feed(inputs.CallerMedia(CALLER_PORT, "opus/48000"))
    assert done == [Bridge(CALLER_PORT, CALLEE_PORT), CancelTimer(Timer.SETUP)]
    assert call.phase() is Phase.CONNECTED


def test_audio_that_never_comes_ends_the_call() -> None:
    call = Driver()
    call.to_trunk()
    call.feed(inputs.CalleeAnswered(CALLEE))
    call.fire(Timer.SETUP)
    assert call.verdict.code == "setup_timeout"
    assert call.hangups == {CALLER: 1, CALLEE: 1}


def test_the_printed_path_names_both_ends() -> None:
    call = Driver()
    call.connected()
    assert call.state.path == "[10] webrtc opus/48000 <=> [20] sip pcmu/8000"


def test_renewed_media_on_the_same_port_only_reprints_the_path() -> None:
    call = Driver()
    call.connected()
    assert call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, "pcma/8000")) == []
    assert call.events[-1] == MediaPathChanged("[10] webrtc opus/48000 <=> [20] sip pcma/8000")


def test_media_on_another_port_is_joined_anew() -> None:
    call = Driver()
    call.connected()
    assert call.feed(inputs.CallerMedia(11, "opus/48000")) == [
        Unbridge(CALLER_PORT, CALLEE_PORT),
        Bridge(11, CALLEE_PORT),
    ]


# ---- how calls end --------------------------------------------------------------------------


def test_nobody_answers() -> None:
    call = Driver()
    call.to_trunk()
    call.feed(inputs.CalleeRinging(CALLEE))
    call.fire(Timer.RING)
    assert call.verdict == NO_ANSWER
    assert call.phase() is Phase.ENDING
    call.end_legs()
    assert call.events[-1] == CallEnded(NO_ANSWER, answered=False, duration_ms=0, talk_ms=0)


@pytest.mark.parametrize("verdict", [BUSY, PEER_UNREACHABLE, DECLINED])
def test_the_caller_hears_why_the_trunk_refused(verdict: object) -> None:
    call = Driver()
    call.to_trunk()
    call.leg_ends(CALLEE, verdict)  # type: ignore[arg-type]
    assert HangupLeg(CALLER, verdict) in call.effects  # type: ignore[arg-type]
    call.end_legs()
    assert call.phase() is Phase.ENDED


def test_a_dial_that_fails_ends_the_call_with_its_verdict() -> None:
    call = Driver()
    call.feed(inputs.Routed(TO_TRUNK, "rule", ()))
    call.dialed(failed=(PEER_UNREACHABLE,))
    assert HangupLeg(CALLER, PEER_UNREACHABLE) in call.effects


def test_a_user_without_a_browser_is_unavailable() -> None:
    call = Driver()
    call.feed(inputs.Routed(TO_USER, "rule", ()))
    call.dialed(failed=(UNAVAILABLE,))
    assert HangupLeg(CALLER, UNAVAILABLE) in call.effects


def test_a_refusing_rule_refuses() -> None:
    call = Driver(LegKind.SIP)
    call.route(Refuse(FORBIDDEN))
    assert HangupLeg(CALLER, FORBIDDEN) in call.effects
    assert not call.timers - {Timer.CLOSING}


@pytest.mark.parametrize("phase", [Phase.DIALING, Phase.RINGING, Phase.EARLY])
def test_a_caller_who_gives_up_cancels_the_callee(phase: Phase) -> None:
    call = Driver()
    call.to_trunk()
    if phase is Phase.RINGING:
        call.feed(inputs.CalleeRinging(CALLEE))
    elif phase is Phase.EARLY:
        call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, ""))
    assert call.phase() is phase
    call.leg_ends(CALLER, NORMAL)
    assert call.verdict == CANCELLED
    assert HangupLeg(CALLEE, CANCELLED) in call.effects
    call.end_legs()
    assert call.phase() is Phase.ENDED


def test_a_hang_up_by_request_is_normal_after_and_a_cancel_before_the_answer() -> None:
    before, after = Driver(), Driver()
    before.to_trunk()
    after.connected()
    for call in (before, after):
        call.feed(inputs.HangupRequested())
    assert (before.verdict, after.verdict) == (CANCELLED, NORMAL)


def test_the_first_verdict_counts() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.HangupRequested(FORBIDDEN))
    call.feed(inputs.Failed(MEDIA_FAILED))
    call.feed(inputs.HangupRequested())
    call.end_legs()
    ended = call.events[-1]
    assert isinstance(ended, CallEnded)
    assert ended.verdict == FORBIDDEN


def test_the_end_comes_in_the_written_order() -> None:
    call = Driver()
    call.connected()
    assert call.feed(inputs.HangupRequested()) == [
        Unbridge(CALLER_PORT, CALLEE_PORT),
        HangupLeg(CALLER, NORMAL),
        HangupLeg(CALLEE, NORMAL),
        StartTimer(Timer.CLOSING, Limits().closing),
    ]
    call.leg_ends(CALLEE, NORMAL, by_peer=False)
    assert call.phase() is Phase.ENDING
    assert call.feed(inputs.CallerEnded(NORMAL, by_peer=False)) == [
        CancelTimer(Timer.CLOSING),
        Finish(NORMAL),
    ]


def test_a_leg_that_never_confirms_does_not_keep_the_call() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.HangupRequested())
    call.leg_ends(CALLER, NORMAL, by_peer=False)
    assert call.fire(Timer.CLOSING) == [Finish(NORMAL)]
    assert call.phase() is Phase.ENDED


def test_talk_time_runs_from_the_answer_to_the_decision_to_end() -> None:
    call = Driver()
    call.to_trunk()
    call.feed(inputs.CallerMedia(CALLER_PORT, ""))
    call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, ""), seconds=1)
    call.feed(inputs.CalleeAnswered(CALLEE), seconds=4)
    call.feed(inputs.HangupRequested(), seconds=60)
    call.now += 3  # confirmations take their time
    call.end_legs()
    assert call.events[-1] == CallEnded(NORMAL, answered=True, duration_ms=65_000, talk_ms=60_000)


# ---- several browsers ring ------------------------------------------------------------------


def test_the_first_browser_to_answer_wins_and_the_others_stop_ringing() -> None:
    call = Driver(LegKind.SIP)
    call.to_user(CALLEE, OTHER, THIRD)
    for leg in (CALLEE, OTHER, THIRD):
        call.feed(inputs.CalleeRinging(leg))
    done = call.feed(inputs.CalleeAnswered(OTHER))
    assert done[:2] == [
        HangupLeg(CALLEE, ANSWERED_ELSEWHERE),
        HangupLeg(THIRD, ANSWERED_ELSEWHERE),
    ]
    assert AnswerCaller() in done
    assert call.state.winner == OTHER


def test_an_answer_that_crosses_the_winners_changes_nothing() -> None:
    call = Driver()
    call.to_user(CALLEE, OTHER)
    call.feed(inputs.CalleeAnswered(OTHER))
    assert call.feed(inputs.CalleeAnswered(CALLEE)) == []
    assert call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, "")) == []
    call.leg_ends(CALLEE, NORMAL, by_peer=False)
    assert call.phase() is Phase.CONNECTING


def test_one_browser_that_declines_leaves_the_others_ringing() -> None:
    call = Driver()
    call.to_user(CALLEE, OTHER)
    call.leg_ends(CALLEE, DECLINED)
    assert call.phase() is Phase.DIALING
    call.feed(inputs.CalleeAnswered(OTHER))
    assert call.phase() is Phase.CONNECTING


def test_of_several_refusals_the_caller_hears_the_weightiest() -> None:
    call = Driver()
    call.to_user(CALLEE, OTHER, THIRD)
    for leg, verdict in ((CALLEE, NO_ANSWER), (OTHER, DECLINED), (THIRD, BUSY)):
        call.leg_ends(leg, verdict)
    assert call.verdict == DECLINED  # 6xx before anything else: RFC 3261 16.7


def test_a_browsers_audio_before_its_answer_is_no_early_media() -> None:
    call = Driver(LegKind.SIP)
    call.to_user(CALLEE, OTHER)
    assert call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, "opus/48000")) == []
    assert call.phase() is Phase.DIALING
    call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000"))
    call.feed(inputs.CalleeMedia(OTHER, OTHER_PORT, True, "opus/48000"))
    done = call.feed(inputs.CalleeAnswered(OTHER))
    assert Bridge(CALLER_PORT, OTHER_PORT) in done


# ---- hold and silence -----------------------------------------------------------------------


def test_hold_and_resume_are_told_once_each() -> None:
    call = Driver()
    call.connected()
    for held in (True, True, False, False):
        call.feed(inputs.CalleeHeld(CALLEE, held))
    told = [event for event in call.events if isinstance(event, CallHeld)]
    assert told == [CallHeld(CALLEE, True), CallHeld(CALLEE, False)]
    assert call.phase() is Phase.CONNECTED


def test_a_call_held_by_both_is_held_until_both_come_back() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.CalleeHeld(CALLEE, True))
    call.feed(inputs.CallerHeld(True))
    call.feed(inputs.CalleeHeld(CALLEE, False))
    assert call.phase() is Phase.HELD
    call.feed(inputs.CallerHeld(False))
    assert call.phase() is Phase.CONNECTED


def test_lost_media_ends_the_call() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.RtpSilent(CALLEE, 30_000))
    assert call.verdict.code == "media_lost"
    assert "callee" in call.verdict.text
    assert call.hangups == {CALLER: 1, CALLEE: 1}


def test_silence_of_the_party_that_holds_is_no_loss() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.CalleeHeld(CALLEE, True))
    call.feed(inputs.RtpSilent(CALLEE, 30_000))
    assert call.phase() is Phase.HELD
    assert MediaSilent(CALLEE, 30_000) in call.events


def test_a_browser_that_vanishes_while_the_phone_holds_ends_the_call() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.CalleeHeld(CALLEE, True))
    call.feed(inputs.RtpSilent(CALLER, 30_000))
    assert call.verdict.code == "media_lost"


def test_audio_must_come_back_after_hold() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.CalleeHeld(CALLEE, True))
    call.feed(inputs.RtpSilent(CALLEE, 30_000))
    assert call.feed(inputs.CalleeHeld(CALLEE, False)) == [StartTimer(Timer.GRACE, Limits().grace)]
    call.fire(Timer.GRACE)
    assert call.verdict.code == "media_lost"


def test_audio_that_comes_back_in_time_keeps_the_call() -> None:
    call = Driver()
    call.connected()
    call.feed(inputs.CalleeHeld(CALLEE, True))
    call.feed(inputs.RtpSilent(CALLEE, 30_000))
    call.feed(inputs.CalleeHeld(CALLEE, False))
    assert call.feed(inputs.RtpBack(CALLEE)) == [CancelTimer(Timer.GRACE)]
    assert call.phase() is Phase.CONNECTED
    assert MediaResumed(CALLEE) in call.events


def test_a_silent_phone_before_the_answer_is_no_loss_but_must_speak_after() -> None:
    call = Driver(LegKind.SIP)
    call.to_trunk()
    call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, ""))
    call.feed(inputs.CallerMedia(CALLER_PORT, ""))
    call.feed(inputs.RtpSilent(CALLER, 30_000))
    assert call.phase() is Phase.EARLY
    assert StartTimer(Timer.GRACE, Limits().grace) in call.feed(inputs.CalleeAnswered(CALLEE))


# ---- facts ----------------------------------------------------------------------------------


def test_digits_reach_the_log_in_every_live_phase_and_never_after_the_end() -> None:
    digit = DigitReceived(CALLER, "5", 100, 1)
    call = Driver()
    call.feed(inputs.Observed(digit))
    call.to_trunk()
    call.feed(inputs.Observed(digit))
    call.feed(inputs.HangupRequested())
    call.feed(inputs.Observed(digit))
    call.end_legs()
    assert call.phase() is Phase.ENDED
    call.feed(inputs.Observed(digit))
    assert call.events.count(digit) == 3


def test_digits_and_numbers_are_not_in_the_repr_of_events() -> None:
    assert "5" not in repr(DigitReceived(CALLER, "5", 100, 1)).replace("id=1", "")
    created = CallCreated("browser", "+14155550100", "+14155550199")
    assert "415555" not in repr(created)
    assert created.callee == "+14155550199"


def test_a_late_timer_changes_nothing() -> None:
    call = Driver()
    call.connected()
    before = call.state
    for event in (inputs.RingTimeout(), inputs.SetupTimeout(), inputs.ClosingTimeout()):
        assert call.feed(event) == []
    assert call.feed(inputs.GraceTimeout()) == []
    assert call.state == before


def test_roles_are_told_with_the_legs() -> None:
    call = Driver()
    call.to_trunk()
    added = [event for event in call.events if isinstance(event, LegAdded)]
    assert added == [
        LegAdded(CALLER, Role.CALLER, LegKind.WEBRTC),
        LegAdded(CALLEE, Role.CALLEE, LegKind.SIP),
    ]

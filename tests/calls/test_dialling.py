"""Dials of the call machine: who rings in which order, what stops it, what comes after. Pure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import inputs
from gateway.calls.dialling import ANSWERED_ELSEWHERE, NOT_CONFIRMED
from gateway.calls.effects import (
    AnswerCaller,
    Bridge,
    Dial,
    DialDone,
    EarlyMediaToCaller,
    HangupLeg,
    Mute,
    Relay,
    RingCaller,
    StartMusic,
    StartProgram,
    StartRingBack,
    StartScreening,
    StartTimer,
    StopMusic,
    StopRingBack,
    StopScreening,
    Unbridge,
)
from gateway.calls.hunting import hunt, turned
from gateway.calls.state import Limits, Timer
from gateway.dialplan import Destination, DialOut, DialTrunk, RunProgram
from gateway.errors import BUSY, DECLINED, NO_ANSWER, NORMAL, PEER_UNREACHABLE, UNAVAILABLE
from gateway.events import CallHeld, CallMuted, CallParked
from gateway.ids import LegId
from gateway.ports import LegKind
from gateway.terms import Phase
from gateway.verbs import AfterTalk, Strategy
from gateway.verbs.dialling import DialSettings
from tests.calls.driver import (
    CALLEE,
    CALLEE_PORT,
    CALLER,
    CALLER_PORT,
    OTHER,
    OTHER_PORT,
    THIRD,
    Driver,
    new_leg,
)

ONE, TWO, THREE = (DialTrunk(name, "200", "") for name in ("one", "two", "three"))
ALL: tuple[Destination, ...] = (ONE, TWO, THREE)
ECHO = RunProgram("echo")


def dial(*targets: Destination, **how: Any) -> DialOut:
    return DialOut(targets, DialSettings(**how), "group")


def in_a_program(*, answered: bool = True) -> Driver:
    """A phone whose program is in charge."""
    call = Driver(LegKind.SIP)
    call.route(ECHO)
    if answered:
        call.feed(inputs.AnswerRequested())
        call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000"))
    return call


def sequence(**how: Any) -> Driver:
    """A call whose first of three targets, one after another, rings."""
    call = Driver(LegKind.SIP)
    call.feed(inputs.Routed(dial(*ALL, strategy=Strategy.SEQUENCE, **how), "rule", ()))
    call.dialed(new_leg(CALLEE))
    return call


def answers(call: Driver, leg: LegId, port: int) -> list[Any]:
    done = call.feed(inputs.CalleeMedia(leg, port, False, "pcmu/8000"))
    return done + call.feed(inputs.CalleeAnswered(leg))


# ---- the order ------------------------------------------------------------------------------


def test_simultaneous_targets_ring_together() -> None:
    call = Driver()
    assert call.feed(inputs.Routed(dial(*ALL), "rule", ())) == [Dial(ALL)]


def test_a_sequence_rings_one_after_another() -> None:
    call = sequence()
    assert Dial((ONE,)) in call.effects
    assert Dial((TWO,)) in call.feed(inputs.CalleeEnded(CALLEE, PEER_UNREACHABLE, True))
    call.dialed(new_leg(OTHER))
    assert Dial((THREE,)) in call.feed(inputs.CalleeEnded(OTHER, NO_ANSWER, True))
    call.dialed(new_leg(THIRD))
    call.feed(inputs.CalleeEnded(THIRD, PEER_UNREACHABLE, True))
    assert call.verdict == NO_ANSWER  # of 480 and 503 the lower one


@pytest.mark.parametrize("turn", range(7))
def test_each_round_begins_one_further(turn: int) -> None:
    round_robin = dial(*ALL, strategy=Strategy.ROUND_ROBIN)
    first, _ = hunt(turned(round_robin, turn)).next()
    assert first == (ALL[turn % 3],)
    assert sorted(turned(round_robin, turn).targets, key=repr) == sorted(ALL, key=repr)
    assert turned(dial(*ALL), turn) == dial(*ALL)


def test_least_cost_keeps_the_order_in_which_it_was_sorted() -> None:
    first, left = hunt(dial(TWO, ONE, strategy=Strategy.LEAST_COST)).next()
    assert (first, left.later) == ((TWO,), ((ONE,),))


def test_a_target_that_cannot_be_called_is_passed_over() -> None:
    call = Driver()
    call.feed(inputs.Routed(dial(ONE, TWO, strategy=Strategy.SEQUENCE), "rule", ()))
    assert call.dialed(failed=(UNAVAILABLE,)) == [Dial((TWO,))]


# ---- what stops it --------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [BUSY, DECLINED])
def test_busy_and_declined_stop_a_dial(verdict: Any) -> None:
    call = sequence()
    call.feed(inputs.CalleeEnded(CALLEE, verdict, True))
    assert call.verdict == verdict


def test_which_codes_stop_is_the_plans_choice() -> None:
    call = sequence(stop_on=(404,))
    assert Dial((TWO,)) in call.feed(inputs.CalleeEnded(CALLEE, BUSY, True))


def test_in_a_fork_one_refusal_stops_nobody_else() -> None:
    call = Driver()
    call.feed(inputs.Routed(dial(ONE, TWO), "rule", ()))
    call.dialed(new_leg(CALLEE), new_leg(OTHER))
    call.feed(inputs.CalleeEnded(CALLEE, DECLINED, True))
    assert call.phase() is Phase.DIALING
    assert AnswerCaller() in answers(call, OTHER, OTHER_PORT)


def test_each_target_rings_for_its_own_time() -> None:
    call = Driver()
    call.feed(inputs.Routed(dial(ONE, TWO), "rule", ()))
    assert call.dialed(new_leg(CALLEE, seconds=10), new_leg(OTHER, seconds=25)) == [
        StartTimer(Timer.RING, 10)
    ]
    call.now += 10
    assert call.fire(Timer.RING) == [HangupLeg(CALLEE, NO_ANSWER), StartTimer(Timer.RING, 15)]
    call.now += 15
    call.fire(Timer.RING)
    assert call.verdict == NO_ANSWER


def test_the_next_target_rings_when_one_has_rung_long_enough() -> None:
    call = sequence()
    call.now += 60
    done = call.fire(Timer.RING)
    assert done == [HangupLeg(CALLEE, NO_ANSWER), Dial((TWO,))]
    call.dialed(new_leg(OTHER))
    # The first one's answer was on the wire already: it is acknowledged and ended by its leg.
    assert call.feed(inputs.CalleeAnswered(CALLEE)) == []
    call.leg_ends(CALLEE, NORMAL, by_peer=False)
    assert call.phase() is Phase.DIALING
    answers(call, OTHER, OTHER_PORT)
    assert call.state.winner == OTHER


def test_the_caller_is_told_once_that_somebody_rings() -> None:
    call = sequence()
    assert call.feed(inputs.CalleeRinging(CALLEE)) == [RingCaller()]
    call.feed(inputs.CalleeEnded(CALLEE, PEER_UNREACHABLE, True))
    call.dialed(new_leg(OTHER))
    assert call.feed(inputs.CalleeRinging(OTHER)) == []


def test_early_media_of_a_target_that_fails_ends_with_it() -> None:
    call = sequence()
    call.feed(inputs.CallerMedia(CALLER_PORT, ""))
    call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, ""))
    done = call.feed(inputs.CalleeEnded(CALLEE, PEER_UNREACHABLE, True))
    assert Unbridge(CALLER_PORT, CALLEE_PORT) in done
    assert call.phase() is Phase.DIALING


# ---- what the caller hears ------------------------------------------------------------------


def test_an_answered_caller_hears_ringing_until_the_answer() -> None:
    call = in_a_program()
    call.feed(inputs.DialRequested(dial(ONE)))
    call.dialed(new_leg(CALLEE))
    assert call.feed(inputs.CalleeRinging(CALLEE)) == [StartRingBack(CALLER_PORT, None)]
    done = answers(call, CALLEE, CALLEE_PORT)
    assert done.index(StopRingBack(CALLER_PORT)) < done.index(Bridge(CALLER_PORT, CALLEE_PORT))
    assert AnswerCaller() not in done


def test_music_is_early_media_for_a_caller_who_is_not_answered() -> None:
    call = Driver(LegKind.SIP)
    call.feed(inputs.Routed(dial(ONE, music="wait.ogg"), "rule", ()))
    assert EarlyMediaToCaller() in call.dialed(new_leg(CALLEE))
    assert call.feed(inputs.CallerMedia(CALLER_PORT, "")) == [
        StartRingBack(CALLER_PORT, "wait.ogg")
    ]
    assert call.feed(inputs.CalleeRinging(CALLEE)) == []
    assert StopRingBack(CALLER_PORT) in answers(call, CALLEE, CALLEE_PORT)


def test_early_media_of_the_callee_silences_ring_back() -> None:
    call = in_a_program()
    call.feed(inputs.DialRequested(dial(ONE)))
    call.dialed(new_leg(CALLEE))
    call.feed(inputs.CalleeRinging(CALLEE))
    done = call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, True, ""))
    assert done == [StopRingBack(CALLER_PORT), Bridge(CALLER_PORT, CALLEE_PORT)]


# ---- whisper and confirmation ---------------------------------------------------------------


def screened(**how: Any) -> Driver:
    call = Driver(LegKind.SIP)
    call.feed(inputs.CallerMedia(CALLER_PORT, ""))
    call.feed(inputs.Routed(dial(ONE, TWO, **how), "rule", ()))
    call.dialed(new_leg(CALLEE), new_leg(OTHER))
    return call


def test_who_answers_hears_the_whisper_before_the_two_are_joined() -> None:
    call = screened(whisper="A call from sales")
    done = answers(call, CALLEE, CALLEE_PORT)
    assert StartScreening(CALLEE, CALLEE_PORT, DialSettings(whisper="A call from sales")) in done
    assert HangupLeg(OTHER, ANSWERED_ELSEWHERE) in done
    assert AnswerCaller() not in done
    done = call.feed(inputs.Screened(CALLEE, True))
    assert AnswerCaller() in done
    assert Bridge(CALLER_PORT, CALLEE_PORT) in done


def test_others_ring_on_until_somebody_confirms() -> None:
    call = screened(confirm="1")
    done = answers(call, CALLEE, CALLEE_PORT)
    assert not [effect for effect in done if isinstance(effect, HangupLeg)]
    assert (
        call.feed(inputs.Screened(CALLEE, False))
        == [
            HangupLeg(CALLEE, NOT_CONFIRMED),
            StartTimer(Timer.RING, 60.0),
        ]
        or call.hangups[CALLEE] == 1
    )
    answers(call, OTHER, OTHER_PORT)
    assert call.phase() in (Phase.DIALING, Phase.RINGING)
    call.feed(inputs.Screened(OTHER, True))
    assert call.state.winner == OTHER


def test_one_who_confirms_wins_over_one_who_is_still_asked() -> None:
    call = screened(confirm="1")
    answers(call, CALLEE, CALLEE_PORT)
    answers(call, OTHER, OTHER_PORT)
    done = call.feed(inputs.Screened(OTHER, True))
    assert StopScreening(CALLEE) in done
    assert HangupLeg(CALLEE, ANSWERED_ELSEWHERE) in done


def test_who_hangs_up_during_the_whisper_did_not_take_the_call() -> None:
    call = screened(confirm="1")
    answers(call, CALLEE, CALLEE_PORT)
    assert StopScreening(CALLEE) in call.feed(inputs.CalleeEnded(CALLEE, NORMAL, True))
    call.feed(inputs.CalleeEnded(OTHER, BUSY, True))
    assert call.verdict == DECLINED


def test_a_whisper_waits_for_the_callees_audio() -> None:
    call = screened(whisper="Hello")
    assert not [
        e for e in call.feed(inputs.CalleeAnswered(CALLEE)) if isinstance(e, StartScreening)
    ]
    done = call.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, ""))
    assert [effect.leg for effect in done if isinstance(effect, StartScreening)] == [CALLEE]


# ---- dials of a program ---------------------------------------------------------------------


def test_a_program_hears_why_its_dial_failed_and_goes_on() -> None:
    call = in_a_program()
    call.feed(inputs.DialRequested(dial(ONE)))
    call.dialed(new_leg(CALLEE))
    assert DialDone(BUSY, None) in call.feed(inputs.CalleeEnded(CALLEE, BUSY, True))
    assert call.phase() is Phase.PROGRAM
    call.feed(inputs.DialRequested(dial(TWO)))
    call.dialed(new_leg(OTHER))
    assert call.phase() is Phase.DIALING


def test_after_a_talk_the_call_ends_unless_it_is_to_go_on() -> None:
    ends = in_a_program()
    goes_on = in_a_program()
    for call, after in ((ends, AfterTalk.HANGUP), (goes_on, AfterTalk.GO_ON)):
        call.feed(inputs.DialRequested(dial(ONE, after_talk=after)))
        call.dialed(new_leg(CALLEE))
        answers(call, CALLEE, CALLEE_PORT)
        call.now += 30
        call.feed(inputs.CalleeEnded(CALLEE, NORMAL, True))
    assert ends.phase() is Phase.ENDING
    assert goes_on.phase() is Phase.PROGRAM
    assert goes_on.effects[-2] == DialDone(NORMAL, 30_000)
    assert goes_on.bridge is None


def test_a_conversation_ends_when_it_has_lasted_long_enough() -> None:
    call = in_a_program()
    call.feed(inputs.DialRequested(dial(ONE, max_duration=60, after_talk=AfterTalk.GO_ON)))
    call.dialed(new_leg(CALLEE))
    assert StartTimer(Timer.DURATION, 60) in answers(call, CALLEE, CALLEE_PORT)
    call.now += 60
    call.fire(Timer.DURATION)
    assert call.hangups[CALLEE] == 1
    assert call.phase() is Phase.PROGRAM


def test_a_program_that_no_longer_waits_ends_its_dial() -> None:
    call = in_a_program()
    call.feed(inputs.DialRequested(dial(ONE)))
    call.dialed(new_leg(CALLEE))
    done = call.feed(inputs.DialCancelled())
    assert [effect.leg for effect in done if isinstance(effect, HangupLeg)] == [CALLEE]
    assert not [effect for effect in done if isinstance(effect, DialDone)]
    assert call.phase() is Phase.PROGRAM
    call.leg_ends(CALLEE, NORMAL, by_peer=False)
    assert call.phase() is Phase.PROGRAM


def test_a_second_dial_at_the_same_time_is_refused() -> None:
    call = in_a_program()
    call.feed(inputs.DialRequested(dial(ONE)))
    call.dialed(new_leg(CALLEE))
    (done,) = call.feed(inputs.DialRequested(dial(TWO)))
    assert isinstance(done, DialDone)
    assert done.verdict.code == "bad_request"


def test_an_unanswered_caller_is_answered_with_the_callee() -> None:
    call = in_a_program(answered=False)
    call.feed(inputs.DialRequested(dial(ONE)))
    call.dialed(new_leg(CALLEE))
    assert call.feed(inputs.CalleeRinging(CALLEE)) == [RingCaller()]
    assert AnswerCaller() in answers(call, CALLEE, CALLEE_PORT)


# ---- a caller whom the gateway calls --------------------------------------------------------


def called() -> Driver:
    return Driver(LegKind.SIP, Limits(), rings=30.0)


def test_a_caller_whom_the_gateway_calls_is_routed_when_it_answers() -> None:
    call = called()
    assert StartTimer(Timer.RING, 30.0) in call.effects
    call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000"))
    call.feed(inputs.CallerAnswered())
    assert call.feed(inputs.Routed(ECHO, None, ()))[0] == StartProgram("echo", ECHO)
    assert call.state.program_port == CALLER_PORT  # no answer is needed
    call.feed(inputs.HangupRequested())
    assert not call.answered


def test_a_caller_whom_the_gateway_calls_may_not_answer() -> None:
    call = called()
    call.fire(Timer.RING)
    assert call.verdict == NO_ANSWER
    declined = called()
    declined.feed(inputs.CallerEnded(NORMAL, by_peer=True))
    assert declined.verdict == DECLINED


# ---- hold and mute --------------------------------------------------------------------------


def test_a_side_that_is_put_on_hold_hears_music_and_nobody_else() -> None:
    call = Driver()
    call.connected()
    assert call.feed(inputs.ParkRequested(CALLEE, True, "wait.ogg")) == [
        Unbridge(CALLER_PORT, CALLEE_PORT),
        StartMusic(CALLEE_PORT, "wait.ogg"),
    ]
    assert call.phase() is Phase.HELD
    assert call.feed(inputs.ParkRequested(CALLEE, False)) == [
        Bridge(CALLER_PORT, CALLEE_PORT),
        StopMusic(CALLEE_PORT),
    ]
    assert call.phase() is Phase.CONNECTED
    told = [event for event in call.events if isinstance(event, CallParked | CallHeld)]
    assert told == [CallParked(CALLEE, True), CallParked(CALLEE, False)]


def test_a_muted_side_is_not_heard_also_when_the_two_are_joined_again() -> None:
    call = Driver()
    call.connected()
    assert call.feed(inputs.MuteRequested(CALLER, True)) == [Mute(CALLER_PORT, CALLEE_PORT, True)]
    call.feed(inputs.ParkRequested(CALLEE, True))
    done = call.feed(inputs.ParkRequested(CALLEE, False))
    assert done == [Bridge(CALLER_PORT, CALLEE_PORT), Mute(CALLER_PORT, CALLEE_PORT, True)]
    assert call.feed(inputs.MuteRequested(CALLER, False)) == [Mute(CALLER_PORT, CALLEE_PORT, False)]
    assert [e for e in call.events if isinstance(e, CallMuted)] == [
        CallMuted(CALLER, True),
        CallMuted(CALLER, False),
    ]


def test_digits_that_are_gathered_do_not_reach_the_other_side() -> None:
    call = Driver()
    call.connected()
    assert call.feed(inputs.DigitsWithheld(CALLER, True)) == [
        Relay(CALLER_PORT, CALLEE_PORT, False)
    ]
    assert call.feed(inputs.DigitsWithheld(CALLER, False)) == [
        Relay(CALLER_PORT, CALLEE_PORT, True)
    ]


# ---- any course -----------------------------------------------------------------------------

outcomes = st.lists(st.sampled_from(["answer", "busy", "gone", "silence"]), min_size=1, max_size=5)


@given(outcomes, st.sampled_from([(), (486,), (503,)]), st.booleans())
def test_a_sequence_stops_at_the_first_answer_or_stopping_code(
    course: list[str], stop_on: tuple[int, ...], program: bool
) -> None:
    targets = tuple(DialTrunk(f"t{place}", "200", "") for place in range(len(course)))
    wanted = dial(*targets, strategy=Strategy.SEQUENCE, stop_on=stop_on)
    call = in_a_program() if program else Driver(LegKind.SIP)
    call.feed(inputs.DialRequested(wanted) if program else inputs.Routed(wanted, "rule", ()))
    codes = {"busy": BUSY, "gone": PEER_UNREACHABLE, "silence": NO_ANSWER}
    rung = 0
    for place, outcome in enumerate(course):
        leg = LegId(f"l-{place}")
        call.dialed(new_leg(leg))
        rung += 1
        if outcome == "answer":
            answers(call, leg, 100 + place)
            break
        if outcome == "silence":
            call.fire(Timer.RING)
        else:
            call.feed(inputs.CalleeEnded(leg, codes[outcome], True))
        if codes[outcome].sip_status in stop_on:
            break
    assert [effect.targets for effect in call.effects if isinstance(effect, Dial)] == [
        (target,) for target in targets[:rung]
    ]
    if course[rung - 1] == "answer":
        assert call.state.winner == LegId(f"l-{rung - 1}")
    elif program:
        assert call.phase() is Phase.PROGRAM
    else:
        assert call.verdict in codes.values()

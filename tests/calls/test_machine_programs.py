"""Programs in the call machine: before the answer, with audio, and at their end. Pure."""

from __future__ import annotations

from gateway.calls import inputs
from gateway.calls.effects import (
    AnswerCaller,
    CancelTimer,
    EarlyMediaToCaller,
    Finish,
    GiveAudio,
    HangupLeg,
    RingCaller,
    StartProgram,
    StartTimer,
    StopProgram,
)
from gateway.calls.state import Limits, Timer
from gateway.dialplan import RunProgram
from gateway.errors import (
    NORMAL,
)
from gateway.events import (
    CallAnswered,
    CallEarlyMedia,
    CallRinging,
    MediaPathChanged,
)
from gateway.ports import LegKind
from gateway.terms import Phase
from tests.calls.driver import (
    CALLER,
    CALLER_PORT,
    Driver,
)

ECHO = RunProgram("echo")


def test_a_program_starts_unanswered_and_gets_audio_when_it_asks_for_the_answer() -> None:
    call = Driver(LegKind.SIP)
    assert call.route(ECHO) == [StartProgram("echo", ECHO)]
    assert call.phase() is Phase.PROGRAM
    assert call.feed(inputs.AnswerRequested()) == [
        AnswerCaller(),
        StartTimer(Timer.SETUP, Limits().setup),
    ]
    assert call.phase() is Phase.CONNECTING
    assert call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000")) == [
        CancelTimer(Timer.SETUP),
        GiveAudio(CALLER_PORT),
    ]
    assert call.phase() is Phase.PROGRAM
    assert call.events[-2:] == [
        CallAnswered(None),
        MediaPathChanged("[10] sip pcmu/8000 <=> echo"),
    ]


def test_a_program_gets_audio_at_once_where_it_is_there() -> None:
    call = Driver()
    call.feed(inputs.CallerMedia(CALLER_PORT, "opus/48000"))
    assert call.route(ECHO) == [StartProgram("echo", ECHO)]
    assert call.feed(inputs.AnswerRequested()) == [AnswerCaller(), GiveAudio(CALLER_PORT)]
    assert call.feed(inputs.AnswerRequested()) == []


def test_a_program_may_speak_before_the_answer() -> None:
    call = Driver(LegKind.SIP)
    call.route(ECHO)
    assert call.feed(inputs.RingRequested(early_media=True)) == [EarlyMediaToCaller()]
    assert call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000")) == [GiveAudio(CALLER_PORT)]
    assert call.feed(inputs.AnswerRequested()) == [AnswerCaller()]


def test_a_program_tells_the_caller_once_that_somebody_rings() -> None:
    call = Driver(LegKind.SIP)
    call.route(ECHO)
    for _ in range(2):
        call.feed(inputs.RingRequested())
    assert call.effects.count(RingCaller()) == 1
    assert call.events.count(CallRinging(CALLER)) == 1
    call.feed(inputs.RingRequested(early_media=True))
    assert call.events[-1] == CallEarlyMedia(CALLER)


def test_a_program_that_is_done_without_an_answer_refuses_the_call() -> None:
    call = Driver(LegKind.SIP)
    call.route(ECHO)
    call.feed(inputs.ProgramDone(NORMAL))
    assert call.verdict.sip_status == 480


def test_a_program_that_is_done_hangs_up() -> None:
    call = Driver()
    call.feed(inputs.CallerMedia(CALLER_PORT, ""))
    call.route(ECHO)
    call.feed(inputs.AnswerRequested())
    call.feed(inputs.ProgramDone(NORMAL))
    assert HangupLeg(CALLER, NORMAL) in call.effects


def test_a_caller_who_leaves_stops_the_program() -> None:
    call = Driver()
    call.feed(inputs.CallerMedia(CALLER_PORT, ""))
    call.route(ECHO)
    call.feed(inputs.AnswerRequested())
    assert call.feed(inputs.CallerEnded(NORMAL, by_peer=True)) == [
        StopProgram(),
        StartTimer(Timer.CLOSING, Limits().closing),
        CancelTimer(Timer.CLOSING),
        Finish(NORMAL),
    ]


def test_a_program_survives_renewed_media_and_is_told_of_a_new_port() -> None:
    call = Driver()
    call.feed(inputs.CallerMedia(CALLER_PORT, "opus/48000"))
    call.route(ECHO)
    call.feed(inputs.AnswerRequested())
    assert call.feed(inputs.CallerMedia(CALLER_PORT, "pcmu/8000")) == []
    assert call.feed(inputs.CallerMedia(11, "pcmu/8000")) == [GiveAudio(11)]

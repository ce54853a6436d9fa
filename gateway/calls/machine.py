"""Owns the transitions of a call: `step(state, input, now) -> (state, effects)`, from one table.

Pure: no I/O, no clock, no asyncio. Every pair of phase and input is in TABLE or in IGNORED; the
diagram in ARCHITECTURE.md is printed from the same table (`python -m gateway.calls.diagram`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.calls import dialling
from gateway.calls.effects import Effect, Route, StartProgram, StopProgram
from gateway.calls.inputs import (
    AnswerRequested,
    CalleeAnswered,
    CalleeEnded,
    CalleeHeld,
    CalleeMedia,
    CalleeRinging,
    CallerAnswered,
    CallerEnded,
    CallerHeld,
    CallerMedia,
    ClosingTimeout,
    DialCancelled,
    Dialed,
    DialRequested,
    DigitsWithheld,
    DurationTimeout,
    Failed,
    GraceTimeout,
    HangupRequested,
    Input,
    MuteRequested,
    Observed,
    ParkRequested,
    ProgramDone,
    RingRequested,
    RingTimeout,
    Routed,
    RtpBack,
    RtpSilent,
    Screened,
    SetupTimeout,
    Taken,
)
from gateway.calls.state import CallState, LegState, Limits, Timer
from gateway.calls.turn import Turn
from gateway.dialplan import Action, DialOut, Refuse, RunProgram
from gateway.errors import CANCELLED, DECLINED, MEDIA_LOST, NORMAL, SETUP_TIMEOUT
from gateway.events import (
    CallAnswered,
    CallCreated,
    CallEarlyMedia,
    CallHeld,
    CallMuted,
    CallParked,
    CallRinging,
    CallRouted,
    LegAdded,
    MediaResumed,
    MediaSilent,
    ProgramStarted,
    Role,
)
from gateway.terms import Phase


def begin(
    caller: LegAdded,
    created: CallCreated,
    limits: Limits,
    now: float,
    rings: float | None = None,
) -> tuple[CallState, tuple[Effect, ...]]:
    """A new call with its caller's leg. `now` is monotonic seconds. `rings`: the gateway calls the
    caller, who may ring for so many seconds; None: the caller calls."""
    leg = LegState(caller.leg, caller.kind, Role.CALLER)
    turn = Turn(CallState(Phase.NEW, leg, now, limits, called=rings is not None), now)
    turn.emit(created)
    turn.emit(caller)
    if rings is None:
        turn.do(Route())
    else:
        turn.start_timer(Timer.RING, rings)
    return turn.state, tuple(turn.effects)


def step(state: CallState, event: Input, now: float) -> tuple[CallState, tuple[Effect, ...]]:
    """What happens next. `now` is monotonic seconds. Never raises on what peers do."""
    transition = TABLE.get((state.phase, type(event)))
    if transition is None:
        return state, ()
    turn = Turn(state, now)
    transition.handler(turn, event)
    assert turn.state.phase in transition.targets, (state.phase, event, turn.state.phase)
    return turn.state, tuple(turn.effects)


# ---- transitions ----------------------------------------------------------------------------


def _routed(turn: Turn, event: Routed) -> None:
    turn.emit(CallRouted(event.rule, event.trace))
    match event.action:
        case DialOut() as dial:
            dialling.begin_dial(turn, dial)
        case Refuse(verdict):
            turn.end(verdict)
        case action:
            turn.set(phase=Phase.PROGRAM)
            _start_program(turn, action)


def _start_program(turn: Turn, action: Action) -> None:
    name = action.program if isinstance(action, RunProgram) else "dialplan"
    turn.set(program=name, program_port=None)
    turn.emit(ProgramStarted(name))
    turn.do(StartProgram(name, action))
    turn.settle()


def _caller_answered(turn: Turn, _event: CallerAnswered) -> None:
    if not turn.state.called or turn.state.answered is not None:
        return
    turn.cancel_timer(Timer.RING)
    turn.set(answered=turn.now)
    turn.emit(CallAnswered(turn.state.caller.id))
    turn.do(Route())


def _caller_media(turn: Turn, event: CallerMedia) -> None:
    turn.change_leg(turn.state.caller.id, port=event.port, media=event.description)
    turn.settle()


def _held(turn: Turn, event: CallerHeld | CalleeHeld) -> None:
    leg = turn.state.caller.id if isinstance(event, CallerHeld) else event.leg
    known = turn.state.leg(leg)
    if known is None or known.ended or known.held == event.held:
        return
    turn.change_leg(leg, held=event.held)
    turn.emit(CallHeld(leg, event.held))
    turn.settle()


def _caller_ended(turn: Turn, event: CallerEnded) -> None:
    turn.leg_gone(turn.state.caller.id, event.verdict, event.by_peer)
    verdict = event.verdict
    if turn.state.answered is None and event.by_peer and verdict.code == NORMAL.code:
        verdict = DECLINED if turn.state.called else CANCELLED
    turn.end(verdict, Role.CALLER if event.by_peer else None)


def _rtp_silent(turn: Turn, event: RtpSilent) -> None:
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.change_leg(event.leg, silent=True)
    turn.emit(MediaSilent(event.leg, event.silent_ms))
    # Before the answer a phone need not send anything, and a leg on hold does not.
    needed = leg.id in (turn.state.caller.id, turn.state.winner)
    if turn.state.talks and needed and not leg.held:
        turn.end(MEDIA_LOST.because(f"No RTP from the {leg.role} for {event.silent_ms} ms"))


def _rtp_back(turn: Turn, event: RtpBack) -> None:
    leg = turn.state.leg(event.leg)
    if leg is None or not leg.silent:
        return
    turn.change_leg(event.leg, silent=False)
    turn.emit(MediaResumed(event.leg))
    turn.settle()


def _program_done(turn: Turn, event: ProgramDone) -> None:
    turn.end(event.verdict)


def _failed(turn: Turn, event: Failed) -> None:
    turn.end(event.verdict)


def _hangup(turn: Turn, event: HangupRequested) -> None:
    ordinary = CANCELLED if turn.state.answered is None else NORMAL
    leg = None if event.by is None else turn.state.leg(event.by)
    turn.end(event.verdict or ordinary, None if leg is None else leg.role)


def _answer_requested(turn: Turn, _event: AnswerRequested) -> None:
    if turn.state.answered is None:
        turn.accept(None)


def _ring_requested(turn: Turn, event: RingRequested) -> None:
    caller, state = turn.state.caller.id, turn.state
    if state.answered is not None or (state.opened if event.early_media else state.rung):
        return
    if event.early_media:
        turn.emit(CallEarlyMedia(caller))
        turn.open_early()
        turn.settle()
    else:
        turn.emit(CallRinging(caller))
        turn.tell_ringing()


def _taken(turn: Turn, event: Taken) -> None:
    if turn.state.phase is not Phase.PROGRAM:
        dialling.let_go(turn)
    if turn.state.program is not None:
        turn.do(StopProgram())
    _start_program(turn, event.action)


def _park_requested(turn: Turn, event: ParkRequested) -> None:
    leg = turn.state.leg(event.leg)
    if leg is None or not leg.live:
        return
    turn.change_leg(leg.id, parked=event.parked, music=event.music if event.parked else None)
    if leg.parked != event.parked:
        turn.emit(CallParked(leg.id, event.parked))
    turn.settle()


def _mute_requested(turn: Turn, event: MuteRequested) -> None:
    leg = turn.state.leg(event.leg)
    if leg is not None and leg.live and leg.muted != event.muted:
        turn.change_leg(leg.id, muted=event.muted)
        turn.emit(CallMuted(leg.id, event.muted))
        turn.mute(replace(leg, muted=event.muted))


def _digits_withheld(turn: Turn, event: DigitsWithheld) -> None:
    leg = turn.state.leg(event.leg)
    if leg is not None and leg.live and leg.withheld != event.withheld:
        turn.change_leg(leg.id, withheld=event.withheld)
        turn.relay(replace(leg, withheld=event.withheld))


def _setup_timeout(turn: Turn, _event: SetupTimeout) -> None:
    if turn.timer_fired(Timer.SETUP):
        turn.end(SETUP_TIMEOUT)


def _grace_timeout(turn: Turn, _event: GraceTimeout) -> None:
    if turn.timer_fired(Timer.GRACE):
        turn.end(MEDIA_LOST)


def _closing_timeout(turn: Turn, _event: ClosingTimeout) -> None:
    if turn.timer_fired(Timer.CLOSING):
        turn.finish()


def _observed(turn: Turn, event: Observed) -> None:
    turn.emit(event.event)


def _leg_confirms(turn: Turn, event: CallerEnded | CalleeEnded) -> None:
    leg = turn.state.caller if isinstance(event, CallerEnded) else turn.state.leg(event.leg)
    if leg is not None and not leg.ended:
        turn.leg_gone(leg.id, event.verdict, event.by_peer)
        turn.finish_when_all_ended()


# ---- the table ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transition:
    """What handles an input, and the phases that it may lead to."""

    handler: Callable[[Turn, Any], None]
    targets: frozenset[Phase]


Pair = tuple[Phase, type[Input]]

NEW, DIALING, RINGING, EARLY = Phase.NEW, Phase.DIALING, Phase.RINGING, Phase.EARLY
CONNECTING, CONNECTED, HELD = Phase.CONNECTING, Phase.CONNECTED, Phase.HELD
PROGRAM, ENDING, ENDED = Phase.PROGRAM, Phase.ENDING, Phase.ENDED

_SAME = None
"""As a target: the phase stays."""
_WAITING = (DIALING, RINGING, EARLY)
_TALKING = (CONNECTED, HELD)
_ACCEPTED = (CONNECTING, CONNECTED, HELD, PROGRAM)
_CONNECTION = (CONNECTING, *_TALKING)
_LIVE = (NEW, *_WAITING, *_ACCEPTED)

_Row = tuple[tuple[Phase, ...], type[Input], Callable[[Turn, Any], None], tuple[Phase | None, ...]]

_ROWS: tuple[_Row, ...] = (
    ((NEW,), Routed, _routed, (DIALING, PROGRAM, ENDING)),
    ((NEW,), CallerAnswered, _caller_answered, (_SAME,)),
    ((DIALING,), Dialed, dialling.dialed, (_SAME, PROGRAM, ENDING)),
    (
        (RINGING, EARLY, *_ACCEPTED, ENDING),
        Dialed,
        dialling.dialed_in_vain,
        (_SAME,),
    ),
    ((DIALING,), CalleeRinging, dialling.ringing, (_SAME, RINGING)),
    ((RINGING, EARLY), CalleeRinging, dialling.ringing, (_SAME,)),
    ((NEW, *_WAITING, HELD, CONNECTED, PROGRAM), CallerMedia, _caller_media, (_SAME,)),
    ((CONNECTING,), CallerMedia, _caller_media, (_SAME, CONNECTED, HELD, PROGRAM)),
    ((DIALING, RINGING), CalleeMedia, dialling.callee_media, (_SAME, EARLY)),
    ((EARLY, *_TALKING), CalleeMedia, dialling.callee_media, (_SAME,)),
    ((CONNECTING,), CalleeMedia, dialling.callee_media, (_SAME, CONNECTED, HELD)),
    (
        (DIALING, RINGING),
        CalleeAnswered,
        dialling.answered,
        (_SAME, CONNECTING, CONNECTED, HELD),
    ),
    ((EARLY,), CalleeAnswered, dialling.answered, (_SAME, RINGING, CONNECTING, CONNECTED, HELD)),
    (
        _WAITING,
        Screened,
        dialling.screened,
        (_SAME, RINGING, DIALING, PROGRAM, CONNECTING, CONNECTED, HELD, ENDING),
    ),
    (_TALKING, CallerHeld, _held, _TALKING),
    ((NEW, *_WAITING, CONNECTING, PROGRAM), CallerHeld, _held, (_SAME,)),
    (_TALKING, CalleeHeld, _held, _TALKING),
    ((*_WAITING, CONNECTING), CalleeHeld, _held, (_SAME,)),
    # Where the caller's leg goes first, there may be no other to wait for.
    (_LIVE, CallerEnded, _caller_ended, (ENDING, ENDED)),
    ((DIALING, RINGING), CalleeEnded, dialling.candidate_ended, (_SAME, DIALING, PROGRAM, ENDING)),
    ((EARLY,), CalleeEnded, dialling.candidate_ended, (_SAME, RINGING, DIALING, PROGRAM, ENDING)),
    ((CONNECTING, *_TALKING), CalleeEnded, dialling.partner_ended, (_SAME, PROGRAM, ENDING)),
    ((PROGRAM,), CalleeEnded, dialling.stray_ended, (_SAME,)),
    ((ENDING,), CallerEnded, _leg_confirms, (_SAME, ENDED)),
    ((ENDING,), CalleeEnded, _leg_confirms, (_SAME, ENDED)),
    ((NEW, CONNECTING), RtpSilent, _rtp_silent, (_SAME,)),
    ((*_WAITING, *_TALKING, PROGRAM), RtpSilent, _rtp_silent, (_SAME, ENDING)),
    (_LIVE, RtpBack, _rtp_back, (_SAME,)),
    ((PROGRAM,), AnswerRequested, _answer_requested, (_SAME, CONNECTING)),
    ((PROGRAM,), RingRequested, _ring_requested, (_SAME,)),
    ((PROGRAM, *_TALKING), Taken, _taken, (_SAME, PROGRAM)),
    ((PROGRAM,), DialRequested, dialling.dial_requested, (DIALING, PROGRAM)),
    ((*_WAITING, *_CONNECTION), DialRequested, dialling.dial_refused, (_SAME,)),
    ((*_WAITING, *_CONNECTION), DialCancelled, dialling.dial_cancelled, (_SAME, PROGRAM)),
    (_TALKING, ParkRequested, _park_requested, _TALKING),
    ((*_WAITING, CONNECTING, PROGRAM), ParkRequested, _park_requested, (_SAME,)),
    ((*_WAITING, *_ACCEPTED), MuteRequested, _mute_requested, (_SAME,)),
    ((*_WAITING, *_ACCEPTED), DigitsWithheld, _digits_withheld, (_SAME,)),
    ((*_WAITING, *_ACCEPTED), ProgramDone, _program_done, (ENDING,)),
    (_LIVE, Failed, _failed, (ENDING,)),
    (_LIVE, HangupRequested, _hangup, (ENDING,)),
    ((NEW,), RingTimeout, dialling.ring_timeout, (_SAME, ENDING)),
    (_WAITING, RingTimeout, dialling.ring_timeout, (_SAME, RINGING, DIALING, PROGRAM, ENDING)),
    ((CONNECTING,), SetupTimeout, _setup_timeout, (_SAME, ENDING)),
    (_TALKING, DurationTimeout, dialling.duration_timeout, (_SAME, PROGRAM, ENDING)),
    ((*_WAITING, *_TALKING, PROGRAM), GraceTimeout, _grace_timeout, (_SAME, ENDING)),
    ((ENDING,), ClosingTimeout, _closing_timeout, (_SAME, ENDED)),
    ((*_LIVE, ENDING), Observed, _observed, (_SAME,)),
)

TABLE: dict[Pair, Transition] = {
    (phase, kind): Transition(
        handler, frozenset(phase if target is _SAME else target for target in targets)
    )
    for phases, kind, handler, targets in _ROWS
    for phase in phases
}

_NO_CALLEE = "there is no callee leg yet"
_STRAY = "what is left of an earlier dial was told to hang up"
_TOO_LATE = "the timer was cancelled while its news was on the way"
_NO_PROGRAM = "there is no program yet"

_IGNORED_ROWS: tuple[tuple[tuple[Phase, ...], tuple[type[Input], ...], str], ...] = (
    (tuple(set(Phase) - {NEW}), (Routed,), "a call is routed once"),
    (
        tuple(set(Phase) - {NEW, ENDED}),
        (CallerAnswered,),
        "a caller whom the gateway called answers before anything else happens",
    ),
    ((NEW,), (Dialed,), "nothing was dialled before the route is known"),
    (
        (NEW,),
        (CalleeRinging, CalleeMedia, CalleeAnswered, CalleeHeld, CalleeEnded, Screened),
        _NO_CALLEE,
    ),
    (
        (PROGRAM,),
        (CalleeRinging, CalleeMedia, CalleeAnswered, CalleeHeld, Screened),
        _STRAY,
    ),
    (_CONNECTION, (CalleeRinging,), "a callee that alerts after the answer is late"),
    (_CONNECTION, (CalleeAnswered, Screened), "the first one won; other legs were hung up"),
    (
        (ENDING,),
        (
            CalleeRinging, CallerMedia, CalleeMedia, CalleeAnswered, CallerHeld, CalleeHeld,
            Screened,
        ),
        "the legs were told to hang up",
    ),
    ((ENDING,), (RtpSilent, RtpBack), "audio no longer matters"),
    (
        (NEW,),
        (
            AnswerRequested, RingRequested, DialRequested, DialCancelled, ParkRequested,
            MuteRequested, DigitsWithheld, ProgramDone,
        ),
        _NO_PROGRAM,
    ),
    (
        (*_WAITING, *_CONNECTION),
        (AnswerRequested, RingRequested),
        "the call is answered, or its dial decides when it is",
    ),
    ((PROGRAM,), (DialCancelled,), "the dial was over already"),
    (
        tuple(set(Phase) - {PROGRAM, *_TALKING, ENDED}),
        (Taken,),
        "only a program or a callee can be taken over from",
    ),
    (
        (ENDING,),
        (
            AnswerRequested, RingRequested, DialRequested, DialCancelled, ParkRequested,
            MuteRequested, DigitsWithheld, ProgramDone,
        ),
        "the program was stopped already",
    ),
    ((ENDING,), (Failed, HangupRequested), "the end has begun: the first verdict counts"),
    (tuple(set(Phase) - {NEW, *_WAITING, ENDED}), (RingTimeout,), _TOO_LATE),
    (tuple(set(Phase) - {CONNECTING, ENDED}), (SetupTimeout,), _TOO_LATE),
    (tuple(set(Phase) - {*_TALKING, ENDED}), (DurationTimeout,), _TOO_LATE),
    (
        tuple(set(Phase) - {*_WAITING, *_TALKING, PROGRAM, ENDED}),
        (GraceTimeout,),
        _TOO_LATE,
    ),
    (tuple(set(Phase) - {ENDING, ENDED}), (ClosingTimeout,), _TOO_LATE),
    (
        (ENDED,),
        (
            Dialed, CallerAnswered, CalleeRinging, CallerMedia, CalleeMedia, CalleeAnswered,
            CallerHeld, CalleeHeld, CallerEnded, CalleeEnded, RtpSilent, RtpBack, AnswerRequested,
            RingRequested, DialRequested, DialCancelled, Screened, ParkRequested, MuteRequested,
            DigitsWithheld, Taken, ProgramDone, Failed, HangupRequested, RingTimeout, SetupTimeout,
            GraceTimeout, DurationTimeout, ClosingTimeout, Observed,
        ),
        "the call is over",
    ),
)  # fmt: skip

IGNORED: dict[Pair, str] = {
    (phase, kind): reason
    for phases, kinds, reason in _IGNORED_ROWS
    for phase in phases
    for kind in kinds
}
"""Why a pair does nothing."""

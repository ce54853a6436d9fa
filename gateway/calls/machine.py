"""Owns the transitions of a call: `step(state, input, now) -> (state, effects)`, from one table.

Pure: no I/O, no clock, no asyncio. Every pair of phase and input is in TABLE or in IGNORED; the
diagram in ARCHITECTURE.md is printed from the same table (`python -m gateway.calls.diagram`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.calls import dialling, transitions
from gateway.calls.effects import Effect, Route
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
from gateway.events import (
    CallCreated,
    LegAdded,
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
    ((NEW,), Routed, transitions.routed, (DIALING, PROGRAM, ENDING)),
    ((NEW,), CallerAnswered, transitions.caller_answered, (_SAME,)),
    ((DIALING,), Dialed, dialling.dialed, (_SAME, PROGRAM, ENDING)),
    (
        (RINGING, EARLY, *_ACCEPTED, ENDING),
        Dialed,
        dialling.dialed_in_vain,
        (_SAME,),
    ),
    ((DIALING,), CalleeRinging, dialling.ringing, (_SAME, RINGING)),
    ((RINGING, EARLY), CalleeRinging, dialling.ringing, (_SAME,)),
    ((NEW, *_WAITING, HELD, CONNECTED, PROGRAM), CallerMedia, transitions.caller_media, (_SAME,)),
    ((CONNECTING,), CallerMedia, transitions.caller_media, (_SAME, CONNECTED, HELD, PROGRAM)),
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
    (_TALKING, CallerHeld, transitions.held, _TALKING),
    ((NEW, *_WAITING, CONNECTING, PROGRAM), CallerHeld, transitions.held, (_SAME,)),
    (_TALKING, CalleeHeld, transitions.held, _TALKING),
    ((*_WAITING, CONNECTING), CalleeHeld, transitions.held, (_SAME,)),
    # Where the caller's leg goes first, there may be no other to wait for.
    (_LIVE, CallerEnded, transitions.caller_ended, (ENDING, ENDED)),
    ((DIALING, RINGING), CalleeEnded, dialling.candidate_ended, (_SAME, DIALING, PROGRAM, ENDING)),
    ((EARLY,), CalleeEnded, dialling.candidate_ended, (_SAME, RINGING, DIALING, PROGRAM, ENDING)),
    ((CONNECTING, *_TALKING), CalleeEnded, dialling.partner_ended, (_SAME, PROGRAM, ENDING)),
    ((PROGRAM,), CalleeEnded, dialling.stray_ended, (_SAME,)),
    ((ENDING,), CallerEnded, transitions.leg_confirms, (_SAME, ENDED)),
    ((ENDING,), CalleeEnded, transitions.leg_confirms, (_SAME, ENDED)),
    ((NEW, CONNECTING), RtpSilent, transitions.rtp_silent, (_SAME,)),
    ((*_WAITING, *_TALKING, PROGRAM), RtpSilent, transitions.rtp_silent, (_SAME, ENDING)),
    (_LIVE, RtpBack, transitions.rtp_back, (_SAME,)),
    ((PROGRAM,), AnswerRequested, transitions.answer_requested, (_SAME, CONNECTING)),
    ((PROGRAM,), RingRequested, transitions.ring_requested, (_SAME,)),
    ((PROGRAM, *_TALKING), Taken, transitions.taken, (_SAME, PROGRAM)),
    ((PROGRAM,), DialRequested, dialling.dial_requested, (DIALING, PROGRAM)),
    ((*_WAITING, *_CONNECTION), DialRequested, dialling.dial_refused, (_SAME,)),
    ((*_WAITING, *_CONNECTION), DialCancelled, dialling.dial_cancelled, (_SAME, PROGRAM)),
    (_TALKING, ParkRequested, transitions.park_requested, _TALKING),
    ((*_WAITING, CONNECTING, PROGRAM), ParkRequested, transitions.park_requested, (_SAME,)),
    ((*_WAITING, *_ACCEPTED), MuteRequested, transitions.mute_requested, (_SAME,)),
    ((*_WAITING, *_ACCEPTED), DigitsWithheld, transitions.digits_withheld, (_SAME,)),
    ((*_WAITING, *_ACCEPTED), ProgramDone, transitions.program_done, (ENDING,)),
    (_LIVE, Failed, transitions.failed, (ENDING,)),
    (_LIVE, HangupRequested, transitions.hangup, (ENDING,)),
    ((NEW,), RingTimeout, dialling.ring_timeout, (_SAME, ENDING)),
    (_WAITING, RingTimeout, dialling.ring_timeout, (_SAME, RINGING, DIALING, PROGRAM, ENDING)),
    ((CONNECTING,), SetupTimeout, transitions.setup_timeout, (_SAME, ENDING)),
    (_TALKING, DurationTimeout, dialling.duration_timeout, (_SAME, PROGRAM, ENDING)),
    ((*_WAITING, *_TALKING, PROGRAM), GraceTimeout, transitions.grace_timeout, (_SAME, ENDING)),
    ((ENDING,), ClosingTimeout, transitions.closing_timeout, (_SAME, ENDED)),
    ((*_LIVE, ENDING), Observed, transitions.observed, (_SAME,)),
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

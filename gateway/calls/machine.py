"""Owns the transitions of a call: `step(state, input, now) -> (state, effects)`, from one table.

Pure: no I/O, no clock, no asyncio. Every pair of phase and input is in TABLE or in IGNORED; the
diagram in ARCHITECTURE.md is printed from the same table (`python -m gateway.calls.diagram`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.calls.effects import Dial, EarlyMediaToCaller, Effect, Emit, RingCaller
from gateway.calls.inputs import (
    CalleeAnswered,
    CalleeEnded,
    CalleeHeld,
    CalleeMedia,
    CalleeRinging,
    CallerEnded,
    CallerHeld,
    CallerMedia,
    ClosingTimeout,
    Dialed,
    DialFailed,
    Failed,
    GraceTimeout,
    HangupRequested,
    Input,
    Observed,
    ProgramDone,
    RingTimeout,
    Routed,
    RtpBack,
    RtpSilent,
    SetupTimeout,
)
from gateway.calls.state import CallState, LegState, Limits, Phase, Timer
from gateway.calls.turn import Turn
from gateway.dialplan import DialTrunk, DialUser, Refuse, RunProgram
from gateway.errors import (
    CANCELLED,
    DECLINED,
    MEDIA_LOST,
    NO_ANSWER,
    NORMAL,
    SETUP_TIMEOUT,
    UNAVAILABLE,
    Verdict,
)
from gateway.events import (
    CallCreated,
    CallEarlyMedia,
    CallHeld,
    CallRinging,
    CallRouted,
    LegAdded,
    MediaResumed,
    MediaSilent,
    Role,
)
from gateway.ids import LegId
from gateway.ports import LegKind

ANSWERED_ELSEWHERE = NORMAL.because("Answered elsewhere")
"""What the other ringing legs hear (RFC 3326 2: SIP, cause 200, call completed elsewhere)."""


def begin(
    caller: LegId,
    kind: LegKind,
    created: CallCreated,
    limits: Limits,
    now: float,
) -> tuple[CallState, tuple[Effect, ...]]:
    """A new call with its caller's leg. `now` is monotonic seconds."""
    state = CallState(Phase.NEW, LegState(caller, kind, Role.CALLER), now, limits)
    return state, (Emit(created), Emit(LegAdded(caller, Role.CALLER, kind)))


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
        case DialTrunk() | DialUser() as target:
            turn.set(phase=Phase.DIALING)
            turn.start_timer(Timer.RING, event.ring_timeout or turn.state.limits.ring)
            turn.do(Dial(target))
        case RunProgram(program):
            turn.set(program=program)
            turn.accept(None)
        case Refuse(verdict):
            turn.end(verdict)


def _dialed(turn: Turn, event: Dialed) -> None:
    for leg, kind in event.legs:
        turn.add_callee(leg, kind)
    if not event.legs:
        turn.end(UNAVAILABLE)


def _dialed_in_vain(turn: Turn, event: Dialed) -> None:
    for leg, kind in event.legs:
        turn.add_callee(leg, kind)
    for leg_state in turn.state.callees:
        if leg_state.id in {leg for leg, _ in event.legs}:
            turn.hang_up(leg_state, turn.state.verdict or CANCELLED)


def _dial_failed(turn: Turn, event: DialFailed) -> None:
    turn.end(event.verdict)


def _ringing(turn: Turn, event: CalleeRinging) -> None:
    if not _live(turn, event.leg):
        return
    turn.emit(CallRinging(event.leg))
    if turn.state.phase is Phase.DIALING:
        turn.set(phase=Phase.RINGING)
        turn.do(RingCaller())


def _caller_media(turn: Turn, event: CallerMedia) -> None:
    turn.change_leg(turn.state.caller.id, port=event.port, media=event.description)
    turn.settle()


def _callee_media(turn: Turn, event: CalleeMedia) -> None:
    if not _live(turn, event.leg):
        return
    turn.change_leg(event.leg, port=event.port, media=event.description, early=event.early)
    waiting = turn.state.phase in (Phase.DIALING, Phase.RINGING)
    if waiting and turn.state.partner is not None:
        turn.set(phase=Phase.EARLY)
        turn.emit(CallEarlyMedia(event.leg))
        turn.do(EarlyMediaToCaller())
    turn.settle()


def _answered(turn: Turn, event: CalleeAnswered) -> None:
    if not _live(turn, event.leg):
        return
    for leg in turn.state.callees:
        if leg.id != event.leg:
            turn.hang_up(leg, ANSWERED_ELSEWHERE)
    turn.accept(event.leg)


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
        verdict = CANCELLED
    turn.end(verdict)


def _candidate_ended(turn: Turn, event: CalleeEnded) -> None:
    """A callee ended before any answered: the others go on ringing."""
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.leg_gone(event.leg, event.verdict, event.by_peer)
    refused = DECLINED if event.verdict.code == NORMAL.code else event.verdict
    turn.set(failures=(*turn.state.failures, refused))
    if all(callee.ended or callee.hung_up for callee in turn.state.callees):
        turn.end(_best(turn.state.failures))
    elif turn.state.phase is Phase.EARLY and turn.state.partner is None:
        turn.unbridge()
        turn.set(phase=Phase.RINGING)


def _callee_ended(turn: Turn, event: CalleeEnded) -> None:
    """A callee ended after the answer: the call ends, unless it was one that lost the race."""
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.leg_gone(event.leg, event.verdict, event.by_peer)
    if event.leg == turn.state.winner:
        turn.end(event.verdict)


def _rtp_silent(turn: Turn, event: RtpSilent) -> None:
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.change_leg(event.leg, silent=True)
    turn.emit(MediaSilent(event.leg, event.silent_ms))
    # Before the answer a phone need not send anything, and a leg on hold does not.
    needed = turn.state.phase in (Phase.CONNECTED, Phase.HELD, Phase.PROGRAM)
    if needed and not leg.held and leg.id in {talker.id for talker in turn.talkers()}:
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
    turn.end(event.verdict or ordinary)


def _ring_timeout(turn: Turn, _event: RingTimeout) -> None:
    if turn.timer_fired(Timer.RING):
        turn.end(NO_ANSWER)


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


def _live(turn: Turn, leg: LegId) -> bool:
    """Whether a callee still takes part: an answer may cross our hang-up on the wire."""
    known = turn.state.leg(leg)
    return known is not None and not known.ended and not known.hung_up


def _best(failures: tuple[Verdict, ...]) -> Verdict:
    """Of several refusals, the one to tell: 6xx first, then the lowest (RFC 3261 16.7 step 6)."""
    return min(failures, key=lambda verdict: (verdict.sip_status < 600, verdict.sip_status))


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
_LIVE = (NEW, *_WAITING, *_ACCEPTED)

_Row = tuple[tuple[Phase, ...], type[Input], Callable[[Turn, Any], None], tuple[Phase | None, ...]]

_ROWS: tuple[_Row, ...] = (
    ((NEW,), Routed, _routed, (DIALING, CONNECTING, PROGRAM, ENDING)),
    ((DIALING,), Dialed, _dialed, (_SAME, ENDING)),
    ((RINGING, EARLY, *_ACCEPTED, ENDING), Dialed, _dialed_in_vain, (_SAME,)),
    ((DIALING,), DialFailed, _dial_failed, (ENDING,)),
    ((DIALING,), CalleeRinging, _ringing, (_SAME, RINGING)),
    ((RINGING, EARLY), CalleeRinging, _ringing, (_SAME,)),
    ((NEW, *_WAITING, HELD, CONNECTED, PROGRAM), CallerMedia, _caller_media, (_SAME,)),
    ((CONNECTING,), CallerMedia, _caller_media, (_SAME, CONNECTED, HELD, PROGRAM)),
    ((DIALING, RINGING), CalleeMedia, _callee_media, (_SAME, EARLY)),
    ((EARLY, *_TALKING), CalleeMedia, _callee_media, (_SAME,)),
    ((CONNECTING,), CalleeMedia, _callee_media, (_SAME, CONNECTED, HELD)),
    (_WAITING, CalleeAnswered, _answered, (_SAME, CONNECTING, CONNECTED, HELD)),
    (_TALKING, CallerHeld, _held, _TALKING),
    ((NEW, *_WAITING, CONNECTING, PROGRAM), CallerHeld, _held, (_SAME,)),
    (_TALKING, CalleeHeld, _held, _TALKING),
    ((*_WAITING, CONNECTING), CalleeHeld, _held, (_SAME,)),
    # Where the caller's leg goes first, there may be no other to wait for.
    (_LIVE, CallerEnded, _caller_ended, (ENDING, ENDED)),
    ((DIALING, RINGING), CalleeEnded, _candidate_ended, (_SAME, ENDING)),
    ((EARLY,), CalleeEnded, _candidate_ended, (_SAME, RINGING, ENDING)),
    ((CONNECTING, *_TALKING), CalleeEnded, _callee_ended, (_SAME, ENDING)),
    ((ENDING,), CallerEnded, _leg_confirms, (_SAME, ENDED)),
    ((ENDING,), CalleeEnded, _leg_confirms, (_SAME, ENDED)),
    ((NEW, *_WAITING, CONNECTING), RtpSilent, _rtp_silent, (_SAME,)),
    ((*_TALKING, PROGRAM), RtpSilent, _rtp_silent, (_SAME, ENDING)),
    (_LIVE, RtpBack, _rtp_back, (_SAME,)),
    ((PROGRAM,), ProgramDone, _program_done, (ENDING,)),
    (_LIVE, Failed, _failed, (ENDING,)),
    (_LIVE, HangupRequested, _hangup, (ENDING,)),
    (_WAITING, RingTimeout, _ring_timeout, (_SAME, ENDING)),
    ((CONNECTING,), SetupTimeout, _setup_timeout, (_SAME, ENDING)),
    ((*_TALKING, PROGRAM), GraceTimeout, _grace_timeout, (_SAME, ENDING)),
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

_NO_CALLEE = "there is no callee leg yet, or the program has none"
_TOO_LATE = "the timer was cancelled while its news was on the way"

_IGNORED_ROWS: tuple[tuple[tuple[Phase, ...], tuple[type[Input], ...], str], ...] = (
    (tuple(set(Phase) - {NEW}), (Routed,), "a call is routed once"),
    ((NEW,), (Dialed,), "nothing was dialled before the route is known"),
    (tuple(set(Phase) - {DIALING}), (DialFailed,), "Dial is performed in DIALING only"),
    (
        (NEW, PROGRAM),
        (CalleeRinging, CalleeMedia, CalleeAnswered, CalleeHeld, CalleeEnded),
        _NO_CALLEE,
    ),
    ((CONNECTING, *_TALKING), (CalleeRinging,), "a callee that alerts after the answer is late"),
    ((CONNECTING, *_TALKING), (CalleeAnswered,), "the first answer won; other legs were hung up"),
    (
        (ENDING,),
        (CalleeRinging, CallerMedia, CalleeMedia, CalleeAnswered, CallerHeld, CalleeHeld),
        "the legs were told to hang up",
    ),
    ((ENDING,), (RtpSilent, RtpBack), "audio no longer matters"),
    (tuple(set(Phase) - {PROGRAM, ENDED}), (ProgramDone,), "the program was stopped already"),
    ((ENDING,), (Failed, HangupRequested), "the end has begun: the first verdict counts"),
    (tuple(set(Phase) - {*_WAITING, ENDED}), (RingTimeout,), _TOO_LATE),
    (tuple(set(Phase) - {CONNECTING, ENDED}), (SetupTimeout,), _TOO_LATE),
    (tuple(set(Phase) - {*_TALKING, PROGRAM, ENDED}), (GraceTimeout,), _TOO_LATE),
    (tuple(set(Phase) - {ENDING, ENDED}), (ClosingTimeout,), _TOO_LATE),
    (
        (ENDED,),
        (
            Dialed, CalleeRinging, CallerMedia, CalleeMedia, CalleeAnswered, CallerHeld, CalleeHeld,
            CallerEnded, CalleeEnded, RtpSilent, RtpBack, ProgramDone, Failed, HangupRequested,
            RingTimeout, SetupTimeout, GraceTimeout, ClosingTimeout, Observed,
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

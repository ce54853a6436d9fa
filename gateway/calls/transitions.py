"""Owns what each transition of a call does that is not about dialling (dialling.py). Pure.

Which input comes to which of them in which phase, and where it may lead, is machine.py's table.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.calls import dialling
from gateway.calls.effects import Route, StartProgram, StopProgram
from gateway.calls.inputs import (
    AnswerRequested,
    CalleeEnded,
    CalleeHeld,
    CallerAnswered,
    CallerEnded,
    CallerHeld,
    CallerMedia,
    ClosingTimeout,
    DigitsWithheld,
    Failed,
    GraceTimeout,
    HangupRequested,
    MuteRequested,
    Observed,
    ParkRequested,
    ProgramDone,
    RingRequested,
    Routed,
    RtpBack,
    RtpSilent,
    SetupTimeout,
    Taken,
)
from gateway.calls.state import Timer
from gateway.calls.turn import Turn
from gateway.dialplan import Action, DialOut, Refuse, RunProgram
from gateway.errors import CANCELLED, DECLINED, MEDIA_LOST, NORMAL, SETUP_TIMEOUT
from gateway.events import (
    CallAnswered,
    CallEarlyMedia,
    CallHeld,
    CallMuted,
    CallParked,
    CallRinging,
    CallRouted,
    MediaResumed,
    MediaSilent,
    ProgramStarted,
    Role,
)
from gateway.terms import Phase


def routed(turn: Turn, event: Routed) -> None:
    """The dialplan has spoken."""
    turn.emit(CallRouted(event.rule, event.trace))
    match event.action:
        case DialOut() as dial:
            dialling.begin_dial(turn, dial)
        case Refuse(verdict):
            turn.end(verdict)
        case action:
            turn.set(phase=Phase.PROGRAM)
            start_program(turn, action)


def start_program(turn: Turn, action: Action) -> None:
    """A program takes charge; `action`: which, or what the dialplan does itself."""
    name = action.program if isinstance(action, RunProgram) else "dialplan"
    turn.set(program=name, program_port=None)
    turn.emit(ProgramStarted(name))
    turn.do(StartProgram(name, action))
    turn.settle()


def caller_answered(turn: Turn, _event: CallerAnswered) -> None:
    """A caller whom the gateway called has answered: now the dialplan is asked."""
    if not turn.state.called or turn.state.answered is not None:
        return
    turn.cancel_timer(Timer.RING)
    turn.set(answered=turn.now)
    turn.emit(CallAnswered(turn.state.caller.id))
    turn.do(Route())


def caller_media(turn: Turn, event: CallerMedia) -> None:
    """The caller's audio path is there, or changed."""
    turn.change_leg(turn.state.caller.id, port=event.port, media=event.description)
    turn.settle()


def held(turn: Turn, event: CallerHeld | CalleeHeld) -> None:
    """A party holds or resumes: the call is held as long as one of them does."""
    leg = turn.state.caller.id if isinstance(event, CallerHeld) else event.leg
    known = turn.state.leg(leg)
    if known is None or known.ended or known.held == event.held:
        return
    turn.change_leg(leg, held=event.held)
    turn.emit(CallHeld(leg, event.held))
    turn.settle()


def caller_ended(turn: Turn, event: CallerEnded) -> None:
    """The caller is gone: so is the call."""
    turn.leg_gone(turn.state.caller.id, event.verdict, event.by_peer)
    verdict = event.verdict
    if turn.state.answered is None and event.by_peer and verdict.code == NORMAL.code:
        verdict = DECLINED if turn.state.called else CANCELLED
    turn.end(verdict, Role.CALLER if event.by_peer else None)


def rtp_silent(turn: Turn, event: RtpSilent) -> None:
    """Nothing more is heard of a leg, which ends a talk that needs it."""
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.change_leg(event.leg, silent=True)
    turn.emit(MediaSilent(event.leg, event.silent_ms))
    # Before the answer a phone need not send anything, and a leg on hold does not.
    needed = leg.id in (turn.state.caller.id, turn.state.winner)
    if turn.state.talks and needed and not leg.held:
        turn.end(MEDIA_LOST.because(f"No RTP from the {leg.role} for {event.silent_ms} ms"))


def rtp_back(turn: Turn, event: RtpBack) -> None:
    """A leg that was silent is heard again."""
    leg = turn.state.leg(event.leg)
    if leg is None or not leg.silent:
        return
    turn.change_leg(event.leg, silent=False)
    turn.emit(MediaResumed(event.leg))
    turn.settle()


def program_done(turn: Turn, event: ProgramDone) -> None:
    """The program has ended, and the call with it."""
    turn.end(event.verdict)


def failed(turn: Turn, event: Failed) -> None:
    """Something of the gateway's own went wrong."""
    turn.end(event.verdict)


def hangup(turn: Turn, event: HangupRequested) -> None:
    """Somebody wants it to end."""
    ordinary = CANCELLED if turn.state.answered is None else NORMAL
    leg = None if event.by is None else turn.state.leg(event.by)
    turn.end(event.verdict or ordinary, None if leg is None else leg.role)


def answer_requested(turn: Turn, _event: AnswerRequested) -> None:
    """The program answers the caller."""
    if turn.state.answered is None:
        turn.accept(None)


def ring_requested(turn: Turn, event: RingRequested) -> None:
    """The program has the caller hear that it rings."""
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


def taken(turn: Turn, event: Taken) -> None:
    """Another call takes this one's caller."""
    if turn.state.phase is not Phase.PROGRAM:
        dialling.let_go(turn)
    if turn.state.program is not None:
        turn.do(StopProgram())
    start_program(turn, event.action)


def park_requested(turn: Turn, event: ParkRequested) -> None:
    """A party hears nobody, or its partner again."""
    leg = turn.state.leg(event.leg)
    if leg is None or not leg.live:
        return
    turn.change_leg(leg.id, parked=event.parked, music=event.music if event.parked else None)
    if leg.parked != event.parked:
        turn.emit(CallParked(leg.id, event.parked))
    turn.settle()


def mute_requested(turn: Turn, event: MuteRequested) -> None:
    """A party is not heard, or is again."""
    leg = turn.state.leg(event.leg)
    if leg is not None and leg.live and leg.muted != event.muted:
        turn.change_leg(leg.id, muted=event.muted)
        turn.emit(CallMuted(leg.id, event.muted))
        turn.mute(replace(leg, muted=event.muted))


def digits_withheld(turn: Turn, event: DigitsWithheld) -> None:
    """A party's keys are for a program alone, or no longer."""
    leg = turn.state.leg(event.leg)
    if leg is not None and leg.live and leg.withheld != event.withheld:
        turn.change_leg(leg.id, withheld=event.withheld)
        turn.relay(replace(leg, withheld=event.withheld))


def setup_timeout(turn: Turn, _event: SetupTimeout) -> None:
    """Its set-up takes too long."""
    if turn.timer_fired(Timer.SETUP):
        turn.end(SETUP_TIMEOUT)


def grace_timeout(turn: Turn, _event: GraceTimeout) -> None:
    """A leg that was silent did not come back."""
    if turn.timer_fired(Timer.GRACE):
        turn.end(MEDIA_LOST)


def closing_timeout(turn: Turn, _event: ClosingTimeout) -> None:
    """Legs did not confirm their end in time: the call is over without it."""
    if turn.timer_fired(Timer.CLOSING):
        turn.finish()


def observed(turn: Turn, event: Observed) -> None:
    """Something is only to be told."""
    turn.emit(event.event)


def leg_confirms(turn: Turn, event: CallerEnded | CalleeEnded) -> None:
    """A leg that was told to hang up is gone."""
    leg = turn.state.caller if isinstance(event, CallerEnded) else turn.state.leg(event.leg)
    if leg is not None and not leg.ended:
        turn.leg_gone(leg.id, event.verdict, event.by_peer)
        turn.finish_when_all_ended()

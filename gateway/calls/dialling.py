"""Owns the transitions of a dial: who rings, who answers, who is next, what comes after. Pure."""

from __future__ import annotations

from gateway.calls.effects import Dial, DialDone, StartScreening
from gateway.calls.hunting import hunt
from gateway.calls.inputs import (
    CalleeAnswered,
    CalleeEnded,
    CalleeMedia,
    CalleeRinging,
    DialCancelled,
    Dialed,
    DialRequested,
    DurationTimeout,
    RingTimeout,
    Screened,
)
from gateway.calls.state import LegState, Timer
from gateway.calls.turn import Turn
from gateway.dialplan import DialOut
from gateway.errors import BAD_REQUEST, CANCELLED, DECLINED, NO_ANSWER, NORMAL, Verdict
from gateway.events import CallEarlyMedia, CallRinging, Role
from gateway.ids import LegId
from gateway.terms import Phase
from gateway.verbs.dialling import AfterTalk

ANSWERED_ELSEWHERE = NORMAL.because("Answered elsewhere")
"""What the other ringing legs hear (RFC 3326 2: SIP, cause 200, call completed elsewhere)."""

NOT_CONFIRMED = NO_ANSWER.because("Answered, but not confirmed")
_ROUNDING = 0.05  # seconds by which a timer may be early


def begin_dial(turn: Turn, dial: DialOut) -> None:
    """Rings the first targets."""
    turn.set(hunt=hunt(dial))
    next_targets(turn)


def next_targets(turn: Turn, by: Role | None = None) -> None:
    """Rings the next targets; the dial is over where there are none. `by`: who refused last."""
    turn.unbridge()
    state = turn.state
    assert state.hunt is not None
    turn.cancel_timer(Timer.RING)
    if state.hunt.over:
        dial_over(turn, state.hunt.verdict, by)
        return
    targets, left = state.hunt.next()
    turn.set(hunt=left, phase=Phase.DIALING)
    turn.do(Dial(targets))


def dialed(turn: Turn, event: Dialed) -> None:
    """Legs of the dial were made."""
    for leg in event.legs:
        turn.add_callee(leg, turn.now + leg.ring_timeout)
    _failed(turn, *event.failures)
    if event.legs:
        _arm_ring(turn)
        turn.settle()
    else:
        next_targets(turn)


def dialed_in_vain(turn: Turn, event: Dialed) -> None:
    """Legs were made for a dial that is over."""
    for leg in event.legs:
        turn.add_callee(leg, turn.now)
        state = turn.state.leg(leg.id)
        assert state is not None
        turn.hang_up(state, turn.state.verdict or CANCELLED)


def ringing(turn: Turn, event: CalleeRinging) -> None:
    """A callee alerts."""
    if _live(turn, event.leg) is None:
        return
    turn.emit(CallRinging(event.leg))
    if turn.state.phase is Phase.DIALING:
        turn.set(phase=Phase.RINGING)
        if turn.state.hunt is None or turn.state.hunt.how.music is None:
            turn.tell_ringing()
        turn.settle()


def callee_media(turn: Turn, event: CalleeMedia) -> None:
    """A callee's audio path is there, or changed."""
    if _live(turn, event.leg) is None:
        return
    turn.change_leg(event.leg, port=event.port, media=event.description, early=event.early)
    leg = turn.state.leg(event.leg)
    assert leg is not None
    if leg.accepted:
        _screen(turn, leg)
        return
    waiting = turn.state.phase in (Phase.DIALING, Phase.RINGING)
    if waiting and turn.state.partner is not None:
        turn.set(phase=Phase.EARLY)
        turn.emit(CallEarlyMedia(event.leg))
        turn.open_early()
    turn.settle()


def answered(turn: Turn, event: CalleeAnswered) -> None:
    """A callee accepted: it takes the call, unless it is to be screened first."""
    leg = _live(turn, event.leg)
    if leg is None or leg.accepted:
        return
    hunted = turn.state.hunt
    if hunted is None or not hunted.screens:
        _take(turn, leg.id)
        return
    turn.change_leg(leg.id, accepted=True, deadline=None)
    if hunted.how.confirm is None:
        _release_others(turn, leg.id)
    _arm_ring(turn)
    _back_to_ringing(turn)
    state = turn.state.leg(leg.id)
    assert state is not None
    _screen(turn, state)
    turn.settle()


def _screen(turn: Turn, leg: LegState) -> None:
    if leg.port is not None and not leg.screening and turn.state.hunt is not None:
        turn.change_leg(leg.id, screening=True)
        turn.do(StartScreening(leg.id, leg.port, turn.state.hunt.how))


def screened(turn: Turn, event: Screened) -> None:
    """Who answered took the call, or did not want it."""
    leg = _live(turn, event.leg)
    if leg is None or not leg.screening:
        return
    turn.change_leg(leg.id, screening=False, accepted=False)
    if event.accepted:
        _take(turn, leg.id)
    else:
        turn.hang_up(leg, NOT_CONFIRMED)
        _failed(turn, NOT_CONFIRMED)
        _next_if_none_rings(turn)


def _take(turn: Turn, winner: LegId) -> None:
    _release_others(turn, winner)
    turn.accept(winner)


def _release_others(turn: Turn, winner: LegId) -> None:
    for leg in turn.state.callees:
        if leg.id != winner:
            turn.hang_up(leg, ANSWERED_ELSEWHERE)


def candidate_ended(turn: Turn, event: CalleeEnded) -> None:
    """A callee ended before any took the call: the others go on, or the next ones ring."""
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.leg_gone(event.leg, event.verdict, event.by_peer)
    if leg.hung_up:
        return  # counted when it was told to
    _failed(turn, DECLINED if event.verdict.code == NORMAL.code else event.verdict)
    _next_if_none_rings(turn, _callee_if(event.by_peer))


def _callee_if(by_peer: bool) -> Role | None:
    return Role.CALLEE if by_peer else None


def _next_if_none_rings(turn: Turn, by: Role | None = None) -> None:
    if not any(callee.live for callee in turn.state.callees):
        next_targets(turn, by)
        return
    _arm_ring(turn)
    _back_to_ringing(turn)


def _back_to_ringing(turn: Turn) -> None:
    """Who sent early media does so no more."""
    if turn.state.phase is Phase.EARLY and turn.state.partner is None:
        turn.unbridge()
        turn.set(phase=Phase.RINGING)
        turn.settle()


def partner_ended(turn: Turn, event: CalleeEnded) -> None:
    """A callee ended after the answer: so does the talk, unless it was one that lost the race."""
    leg = turn.state.leg(event.leg)
    if leg is None or leg.ended:
        return
    turn.leg_gone(event.leg, event.verdict, event.by_peer)
    if event.leg == turn.state.winner:
        dial_over(turn, event.verdict, _callee_if(event.by_peer))


def stray_ended(turn: Turn, event: CalleeEnded) -> None:
    """A callee of a dial that is over confirms its end."""
    leg = turn.state.leg(event.leg)
    if leg is not None and not leg.ended:
        turn.leg_gone(event.leg, event.verdict, event.by_peer)


def ring_timeout(turn: Turn, _event: RingTimeout) -> None:
    """Whoever has rung long enough did not answer; a caller whom we called neither."""
    if not turn.timer_fired(Timer.RING):
        return
    if turn.state.phase is Phase.NEW:
        turn.end(NO_ANSWER)
        return
    deadlines = _deadlines(turn)
    if not deadlines:
        return
    due = max(turn.now, min(deadlines.values())) + _ROUNDING
    for leg in turn.state.callees:
        if leg.id in deadlines and deadlines[leg.id] <= due:
            turn.hang_up(leg, NO_ANSWER)
            _failed(turn, NO_ANSWER)
    _next_if_none_rings(turn)


def dial_requested(turn: Turn, event: DialRequested) -> None:
    """The program dials."""
    begin_dial(turn, event.dial)


def dial_refused(turn: Turn, _event: DialRequested) -> None:
    """A dial that cannot be now."""
    turn.do(DialDone(BAD_REQUEST.because("The call cannot dial now: it is joined or being so")))


def dial_cancelled(turn: Turn, _event: DialCancelled) -> None:
    """The program no longer waits for its dial."""
    if turn.state.program is not None and turn.state.hunt is not None:
        _to_program(turn, CANCELLED, tell=False)


def let_go(turn: Turn) -> None:
    """The call is taken over from its callee, who is hung up."""
    _to_program(turn, NORMAL.because("The call was joined with another one"), tell=False)


def duration_timeout(turn: Turn, _event: DurationTimeout) -> None:
    """The conversation has lasted as long as it may."""
    if turn.timer_fired(Timer.DURATION):
        dial_over(turn, NORMAL.because("The conversation lasted as long as it may"))


def dial_over(turn: Turn, verdict: Verdict, by: Role | None = None) -> None:
    """A dial came to nothing, or its talk is over: the program goes on, or the call ends, which
    `by` did (None: the gateway)."""
    hunted, talked = turn.state.hunt, turn.state.winner is not None
    goes_on = not talked or (hunted is not None and hunted.how.after_talk is AfterTalk.GO_ON)
    if turn.state.program is None or not goes_on:
        turn.end(verdict, by)
    else:
        _to_program(turn, verdict)


def _to_program(turn: Turn, verdict: Verdict, *, tell: bool = True) -> None:
    """`tell` False: nobody waits for this dial, perhaps for the next one already."""
    since = turn.state.talk_since
    talk_ms = None if since is None else round((turn.now - since) * 1000)
    for leg in turn.state.callees:
        turn.hang_up(leg, verdict if verdict.code == NORMAL.code else CANCELLED)
    for timer in (Timer.RING, Timer.SETUP, Timer.DURATION, Timer.GRACE):
        turn.cancel_timer(timer)
    turn.quiet()
    turn.unbridge()
    turn.set(phase=Phase.PROGRAM, hunt=None, winner=None, talk_since=None)
    if tell:
        turn.do(DialDone(verdict, talk_ms))
    turn.settle()


def _failed(turn: Turn, *verdicts: Verdict) -> None:
    assert turn.state.hunt is not None
    turn.set(hunt=turn.state.hunt.failed(*verdicts))


def _deadlines(turn: Turn) -> dict[LegId, float]:
    return {
        leg.id: leg.deadline for leg in turn.state.callees if leg.live and leg.deadline is not None
    }


def _arm_ring(turn: Turn) -> None:
    """Runs the ring timer for who may ring the shortest."""
    deadlines = _deadlines(turn)
    turn.cancel_timer(Timer.RING)
    if deadlines:
        turn.start_timer(Timer.RING, max(min(deadlines.values()) - turn.now, 0.001))


def _live(turn: Turn, leg: LegId) -> LegState | None:
    """A callee that still takes part: an answer may cross our hang-up on the wire."""
    known = turn.state.leg(leg)
    return known if known is not None and known.live else None

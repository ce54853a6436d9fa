"""Owns one turn of the call state machine: what transitions are made of. Pure.

A Turn lives during one `step` only; it collects the new state and the effects.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.calls.effects import (
    AnswerCaller,
    Bridge,
    CancelTimer,
    EarlyMediaToCaller,
    Effect,
    Emit,
    Finish,
    GiveAudio,
    HangupLeg,
    Mute,
    Relay,
    RingCaller,
    StartMusic,
    StartRingBack,
    StartTimer,
    StopMusic,
    StopProgram,
    StopRingBack,
    StopScreening,
    Unbridge,
)
from gateway.calls.inputs import NewLeg
from gateway.calls.state import CallState, LegState, Timer
from gateway.errors import NORMAL, UNAVAILABLE, Verdict
from gateway.events import (
    CallAnswered,
    CallEnded,
    Event,
    LegAdded,
    LegGone,
    MediaPathChanged,
    Role,
)
from gateway.ids import LegId
from gateway.ports import MediaPort
from gateway.terms import Phase


class Turn:
    """State and effects in the making. `now` is monotonic seconds."""

    def __init__(self, state: CallState, now: float) -> None:
        self.state = state
        self.now = now
        self.effects: list[Effect] = []

    # ---- small steps ------------------------------------------------------------------------

    def do(self, effect: Effect) -> None:
        """One effect more."""
        self.effects.append(effect)

    def emit(self, event: Event) -> None:
        """One event more for the log."""
        self.effects.append(Emit(event))

    def set(self, **changes: Any) -> None:
        """Changes fields of the state."""
        self.state = replace(self.state, **changes)

    def change_leg(self, leg: LegId, **changes: Any) -> None:
        """Changes fields of a leg."""
        if leg == self.state.caller.id:
            self.set(caller=replace(self.state.caller, **changes))
            return
        self.set(
            callees=tuple(
                replace(callee, **changes) if callee.id == leg else callee
                for callee in self.state.callees
            )
        )

    def add_callee(self, leg: NewLeg, deadline: float) -> None:
        """One callee leg more; it may ring until `deadline`."""
        state = LegState(leg.id, leg.kind, Role.CALLEE, deadline=deadline)
        self.set(callees=(*self.state.callees, state))
        self.emit(LegAdded(leg.id, Role.CALLEE, leg.kind, leg.trunk, leg.number))

    def start_timer(self, timer: Timer, seconds: float) -> None:
        """Starts a timer unless it is running."""
        if timer not in self.state.timers:
            self.set(timers=self.state.timers | {timer})
            self.do(StartTimer(timer, seconds))

    def cancel_timer(self, timer: Timer) -> None:
        """Cancels a timer if it is running."""
        if timer in self.state.timers:
            self.set(timers=self.state.timers - {timer})
            self.do(CancelTimer(timer))

    def timer_fired(self, timer: Timer) -> bool:
        """Whether this is news: False when it was cancelled while the news was on its way."""
        running = timer in self.state.timers
        self.set(timers=self.state.timers - {timer})
        return running

    def hang_up(self, leg: LegState, verdict: Verdict) -> None:
        """Tells a leg to hang up, unless it was told or is over."""
        if leg.live:
            self._let_go(leg)
            self.change_leg(leg.id, hung_up=True)
            self.do(HangupLeg(leg.id, verdict))

    def leg_gone(self, leg: LegId, verdict: Verdict, by_peer: bool) -> None:
        """Notes the end of a leg."""
        known = self.state.leg(leg)
        if known is not None:
            self._let_go(known)
        self.change_leg(leg, ended=True)
        self.emit(LegGone(leg, verdict, by_peer))

    def _let_go(self, leg: LegState) -> None:
        """What is played to a leg ends with it."""
        if leg.screening:
            self.do(StopScreening(leg.id))
        if leg.music_port is not None:
            self.do(StopMusic(leg.music_port))
        self.change_leg(leg.id, screening=False, accepted=False, music_port=None, deadline=None)

    # ---- the audio path ---------------------------------------------------------------------

    def settle(self) -> None:
        """Makes the audio path what legs and phase ask for, and the phase what the path allows."""
        match self.state.phase:
            case Phase.DIALING | Phase.RINGING:
                self._ring_back()
            case Phase.EARLY:
                self.quiet()
                self._bridge()
            case Phase.PROGRAM:
                self._give_audio()
            case Phase.CONNECTING if self.state.winner is None:
                if self.state.caller.port is not None:
                    self.cancel_timer(Timer.SETUP)
                    self.set(phase=Phase.PROGRAM)
                    self._give_audio()
            case Phase.CONNECTING | Phase.CONNECTED | Phase.HELD:
                self.quiet()
                self._bridge()
                self._phase_of_talk()
            case _:
                pass
        self._music()
        self._watch_silence()

    def accept(self, leg: LegId | None) -> None:
        """The call is answered, by a callee's leg or by a program (None)."""
        self.cancel_timer(Timer.RING)
        self.answer_caller()
        self.emit(CallAnswered(leg))
        self.set(winner=leg, phase=Phase.CONNECTING, talk_since=None if leg is None else self.now)
        self.settle()
        if self.state.phase is Phase.CONNECTING:
            self.start_timer(Timer.SETUP, self.state.limits.setup)

    def answer_caller(self) -> None:
        """Accepts the caller's leg, unless it is."""
        if self.state.answered is None:
            self.do(AnswerCaller())
            self.set(answered=self.now)

    def tell_ringing(self) -> None:
        """The caller hears that somebody rings, if it can be told so (SIP 180)."""
        if self.state.answered is None and not self.state.rung:
            self.set(rung=True)
            self.do(RingCaller())

    def open_early(self) -> None:
        """Opens the caller's audio before the answer."""
        if self.state.answered is None and not self.state.opened:
            self.set(opened=True)
            self.do(EarlyMediaToCaller())

    def _bridge(self) -> None:
        caller, partner = self.state.caller, self.state.partner
        wanted = None
        if partner is not None and caller.port is not None and partner.port is not None:
            wanted = (caller.port, partner.port)
            self._print_path(f"{_printed(caller)} <=> {_printed(partner)}")
            if caller.parked or partner.parked:
                wanted = None
        if wanted != self.state.bridge:
            self.unbridge()
            if wanted is not None:
                self.do(Bridge(*wanted))
                self.set(bridge=wanted)
                for leg in self.talkers():
                    if leg.muted:
                        self.mute(leg)
                    if leg.withheld:
                        self.relay(leg)

    def mute(self, leg: LegState) -> None:
        """The other side hears a leg, or not, as the leg is muted."""
        if leg.port is not None and (far := self._far(leg.port)) is not None:
            self.do(Mute(leg.port, far, leg.muted))

    def relay(self, leg: LegState) -> None:
        """The other side gets a leg's digits, or not, as they are withheld."""
        if leg.port is not None and (far := self._far(leg.port)) is not None:
            self.do(Relay(leg.port, far, not leg.withheld))

    def _far(self, port: MediaPort) -> MediaPort | None:
        """The other port, if this one is joined with one."""
        if self.state.bridge is None or port not in self.state.bridge:
            return None
        one, other = self.state.bridge
        return other if port == one else one

    def unbridge(self) -> None:
        """Takes the two legs apart if they are joined."""
        if self.state.bridge is not None:
            self.do(Unbridge(*self.state.bridge))
            self.set(bridge=None)

    def _phase_of_talk(self) -> None:
        caller, partner = self.state.caller, self.state.partner
        if caller.port is None or partner is None or partner.port is None:
            return
        self.cancel_timer(Timer.SETUP)
        if self.state.hunt is not None and self.state.hunt.how.max_duration is not None:
            self.start_timer(Timer.DURATION, self.state.hunt.how.max_duration)
        held = caller.held_by_anybody or partner.held_by_anybody
        self.set(phase=Phase.HELD if held else Phase.CONNECTED)

    def _give_audio(self) -> None:
        caller, name = self.state.caller, self.state.program
        usable = self.state.answered is not None or self.state.opened
        if caller.port is None or name is None or not usable:
            return
        if caller.port != self.state.program_port:
            self.set(program_port=caller.port)
            self.do(GiveAudio(caller.port))
        self._print_path(f"{_printed(caller)} <=> {name}")

    def _print_path(self, path: str) -> None:
        if path != self.state.path:
            self.set(path=path)
            self.emit(MediaPathChanged(path))

    def _ring_back(self) -> None:
        """An answered caller hears ringing from us; another one only music, as early media."""
        hunt, port = self.state.hunt, self.state.caller.port
        music = hunt.how.music if hunt is not None else None
        if music is None and (self.state.answered is None or self.state.phase is Phase.DIALING):
            return
        self.open_early()
        if port is not None and port != self.state.ring_back:
            self.quiet()
            self.set(ring_back=port)
            self.do(StartRingBack(port, music))

    def quiet(self) -> None:
        """Ends ring-back."""
        if self.state.ring_back is not None:
            self.do(StopRingBack(self.state.ring_back))
            self.set(ring_back=None)

    def _music(self) -> None:
        for leg in self.state.legs:
            wanted = leg.port if leg.parked and leg.music is not None and leg.live else None
            if wanted == leg.music_port:
                continue
            if leg.music_port is not None:
                self.do(StopMusic(leg.music_port))
            if wanted is not None and leg.music is not None:
                self.do(StartMusic(wanted, leg.music))
            self.change_leg(leg.id, music_port=wanted)

    def _watch_silence(self) -> None:
        """RTP that is missing at the moment when it begins to matter may still come."""
        if not self.state.talks:
            return
        if any(leg.silent and not leg.held for leg in self.talkers()):
            self.start_timer(Timer.GRACE, self.state.limits.grace)
        else:
            self.cancel_timer(Timer.GRACE)

    def talkers(self) -> tuple[LegState, ...]:
        """The legs whose audio the call needs."""
        partner = self.state.partner
        return (self.state.caller,) if partner is None else (self.state.caller, partner)

    # ---- the end ----------------------------------------------------------------------------

    def end(self, verdict: Verdict, by: Role | None = None) -> None:
        """Begins the end: program, bridge, legs and timers, in this order (see supervisor.py).
        `by`: the side that ended it; None: the gateway."""
        if self.state.answered is None and verdict.code == NORMAL.code and verdict.sip_status < 300:
            verdict = UNAVAILABLE.because(verdict.text)  # a final response has to refuse
        if self.state.program is not None:
            self.set(program=None, program_port=None)
            self.do(StopProgram())
        self.quiet()
        self.unbridge()
        self.set(phase=Phase.ENDING, verdict=verdict, hung_up_by=by, ending=self.now)
        for leg in self.state.legs:
            self.hang_up(leg, verdict)
        for timer in sorted(self.state.timers):
            self.cancel_timer(timer)
        self.start_timer(Timer.CLOSING, self.state.limits.closing)
        self.finish_when_all_ended()

    def finish_when_all_ended(self) -> None:
        """Ends the call when no leg is left."""
        if all(leg.ended for leg in self.state.legs):
            self.finish()

    def finish(self) -> None:
        """The end."""
        state = self.state
        assert state.verdict is not None
        assert state.ending is not None
        self.cancel_timer(Timer.CLOSING)
        self.emit(
            CallEnded(
                verdict=state.verdict,
                answered=state.answered is not None,
                duration_ms=_milliseconds(state.ending - state.created),
                talk_ms=_milliseconds(state.ending - (state.answered or state.ending)),
                hung_up_by=state.hung_up_by,
            )
        )
        self.set(phase=Phase.ENDED)
        self.do(Finish(state.verdict))


def _printed(leg: LegState) -> str:
    return f"[{leg.port}] {leg.kind} {leg.media}".rstrip()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)

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
    Effect,
    Emit,
    Finish,
    HangupLeg,
    StartProgram,
    StartTimer,
    StopProgram,
    Unbridge,
)
from gateway.calls.state import CallState, LegState, Phase, Timer
from gateway.errors import Verdict
from gateway.events import (
    CallAnswered,
    CallEnded,
    Event,
    LegAdded,
    LegGone,
    MediaPathChanged,
    ProgramStarted,
    Role,
)
from gateway.ids import LegId
from gateway.ports import LegKind


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

    def add_callee(self, leg: LegId, kind: LegKind) -> None:
        """One callee leg more."""
        self.set(callees=(*self.state.callees, LegState(leg, kind, Role.CALLEE)))
        self.emit(LegAdded(leg, Role.CALLEE, kind))

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
        if not leg.hung_up and not leg.ended:
            self.change_leg(leg.id, hung_up=True)
            self.do(HangupLeg(leg.id, verdict))

    def leg_gone(self, leg: LegId, verdict: Verdict, by_peer: bool) -> None:
        """Notes the end of a leg."""
        self.change_leg(leg, ended=True)
        self.emit(LegGone(leg, verdict, by_peer))

    # ---- the audio path ---------------------------------------------------------------------

    def settle(self) -> None:
        """Makes the audio path what legs and phase ask for, and the phase what the path allows."""
        match self.state.phase:
            case Phase.EARLY:
                self._bridge()
            case Phase.CONNECTING | Phase.CONNECTED | Phase.HELD | Phase.PROGRAM:
                if self.state.program is not None:
                    self._run_program()
                else:
                    self._bridge()
                    self._phase_of_bridge()
                self._watch_silence()
            case _:
                pass

    def accept(self, leg: LegId | None) -> None:
        """The call is answered, by a callee's leg or by a program (None)."""
        self.cancel_timer(Timer.RING)
        self.do(AnswerCaller())
        self.emit(CallAnswered(leg))
        self.set(answered=self.now, winner=leg, phase=Phase.CONNECTING)
        self.settle()
        if self.state.phase is Phase.CONNECTING:
            self.start_timer(Timer.SETUP, self.state.limits.setup)

    def _bridge(self) -> None:
        caller, partner = self.state.caller, self.state.partner
        wanted = None
        if partner is not None and caller.port is not None and partner.port is not None:
            wanted = (caller.port, partner.port)
        if wanted != self.state.bridge:
            self.unbridge()
            if wanted is not None:
                self.do(Bridge(*wanted))
                self.set(bridge=wanted)
        if wanted is not None and partner is not None:
            self._print_path(f"{_printed(caller)} <=> {_printed(partner)}")

    def unbridge(self) -> None:
        """Takes the two legs apart if they are joined."""
        if self.state.bridge is not None:
            self.do(Unbridge(*self.state.bridge))
            self.set(bridge=None)

    def _phase_of_bridge(self) -> None:
        if self.state.bridge is None:
            return
        self.cancel_timer(Timer.SETUP)
        partner = self.state.partner
        held = self.state.caller.held or (partner is not None and partner.held)
        self.set(phase=Phase.HELD if held else Phase.CONNECTED)

    def _run_program(self) -> None:
        caller, name = self.state.caller, self.state.program
        assert name is not None
        if caller.port is None or caller.port == self.state.program_port:
            return
        if self.state.program_port is not None:
            # A leg keeps its port for life; should it not, the program begins anew on the new one.
            self.do(StopProgram())
        else:
            self.cancel_timer(Timer.SETUP)
            self.emit(ProgramStarted(name))
        self.set(phase=Phase.PROGRAM, program_port=caller.port)
        self._print_path(f"{_printed(caller)} <=> {name}")
        self.do(StartProgram(name, caller.port))

    def _print_path(self, path: str) -> None:
        if path != self.state.path:
            self.set(path=path)
            self.emit(MediaPathChanged(path))

    def _watch_silence(self) -> None:
        """RTP that is missing at the moment when it begins to matter may still come."""
        if self.state.phase is Phase.CONNECTING:
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

    def end(self, verdict: Verdict) -> None:
        """Begins the end: program, bridge, legs and timers, in this order (see supervisor.py)."""
        if self.state.program_port is not None:
            self.set(program_port=None)
            self.do(StopProgram())
        self.unbridge()
        self.set(phase=Phase.ENDING, verdict=verdict, ending=self.now)
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
            )
        )
        self.set(phase=Phase.ENDED)
        self.do(Finish(state.verdict))


def _printed(leg: LegState) -> str:
    return f"[{leg.port}] {leg.kind} {leg.media}".rstrip()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)

"""Drives the call machine without a supervisor, and keeps the books that must balance."""

from __future__ import annotations

from collections import Counter

from gateway.calls import effects, inputs
from gateway.calls.machine import begin, step
from gateway.calls.state import Limits, Timer
from gateway.dialplan import Action, DialOut, DialTrunk, DialUser
from gateway.errors import NORMAL, Verdict
from gateway.events import CallCreated, CallEnded, Event, LegAdded, Role
from gateway.ids import LegId
from gateway.ports import LegKind
from gateway.terms import Phase

CALLER = LegId("l-caller")
CALLEE = LegId("l-callee")
OTHER = LegId("l-other")
THIRD = LegId("l-third")
CALLER_PORT, CALLEE_PORT, OTHER_PORT = 10, 20, 30

TO_TRUNK = DialOut((DialTrunk("trunk", "200", ""),))
TO_USER = DialOut((DialUser("alice", ""),))
RING = 60.0
"""Seconds that a leg of this driver may ring."""


def new_leg(leg: LegId, kind: LegKind = LegKind.SIP, seconds: float = RING) -> inputs.NewLeg:
    """A leg that a Dial effect made."""
    return inputs.NewLeg(leg, kind, seconds)


class Driver:
    """One call. `feed` returns the effects of one input and checks what must always hold."""

    def __init__(
        self,
        kind: LegKind = LegKind.WEBRTC,
        limits: Limits | None = None,
        rings: float | None = None,
    ) -> None:
        self.now = 100.0
        self.effects: list[effects.Effect] = []
        self.hangups: Counter[LegId] = Counter()
        self.legs = {CALLER}
        self.ended: set[LegId] = set()
        self.timers: set[Timer] = set()
        self.bridge: tuple[int, int] | None = None
        self.program = False
        self.answered = False
        self.ring_back: int | None = None
        self.music: set[int] = set()
        self.screenings: set[LegId] = set()
        self.finished = False
        created = CallCreated("browser", "", "200")
        self.state, first = begin(
            LegAdded(CALLER, Role.CALLER, kind), created, limits or Limits(), self.now, rings
        )
        self._book(first)

    def phase(self) -> Phase:
        return self.state.phase

    @property
    def events(self) -> list[Event]:
        return [effect.event for effect in self.effects if isinstance(effect, effects.Emit)]

    @property
    def verdict(self) -> Verdict:
        assert self.state.verdict is not None
        return self.state.verdict

    def feed(self, event: inputs.Input, seconds: float = 0.0) -> list[effects.Effect]:
        self.now += seconds
        self._note_end(event)
        self.state, done = step(self.state, event, self.now)
        self._book(done)
        return [effect for effect in done if not isinstance(effect, effects.Emit)]

    def route(self, action: Action, *legs: tuple[LegId, LegKind]) -> list[effects.Effect]:
        """Routes the call and answers its Dial with `legs`."""
        done = self.feed(inputs.Routed(action, "rule", ("rule: matches",)))
        if isinstance(action, DialOut):
            done += self.dialed(*(new_leg(leg, kind) for leg, kind in legs))
        return done

    def dialed(
        self, *legs: inputs.NewLeg, failed: tuple[Verdict, ...] = ()
    ) -> list[effects.Effect]:
        """A Dial effect was performed."""
        self.legs.update(leg.id for leg in legs)
        return self.feed(inputs.Dialed(legs, failed))

    def to_trunk(self) -> list[effects.Effect]:
        return self.route(TO_TRUNK, (CALLEE, LegKind.SIP))

    def to_user(self, *legs: LegId) -> list[effects.Effect]:
        return self.route(TO_USER, *((leg, LegKind.WEBRTC) for leg in legs))

    def connected(self) -> None:
        """Browser to trunk, talking."""
        self.to_trunk()
        self.feed(inputs.CallerMedia(CALLER_PORT, "opus/48000"))
        self.feed(inputs.CalleeMedia(CALLEE, CALLEE_PORT, False, "pcmu/8000"))
        self.feed(inputs.CalleeAnswered(CALLEE))
        assert self.phase() is Phase.CONNECTED

    def end_legs(self) -> None:
        """Every leg that was told to hang up confirms."""
        for leg in sorted(self.legs - self.ended):
            self.leg_ends(leg, NORMAL, by_peer=False)

    def leg_ends(self, leg: LegId, verdict: Verdict, *, by_peer: bool = True) -> None:
        if leg == CALLER:
            self.feed(inputs.CallerEnded(verdict, by_peer))
        else:
            self.feed(inputs.CalleeEnded(leg, verdict, by_peer))

    def _note_end(self, event: inputs.Input) -> None:
        if isinstance(event, inputs.CallerEnded):
            self.ended.add(CALLER)
        elif isinstance(event, inputs.CalleeEnded) and event.leg in self.legs:
            self.ended.add(event.leg)

    def _book(self, done: tuple[effects.Effect, ...]) -> None:
        for effect in done:
            assert not self.finished, f"{effect} after the end"
            self.effects.append(effect)
            match effect:
                case effects.HangupLeg(leg, _):
                    assert leg in self.legs
                    assert leg not in self.ended, "a leg that is over was hung up"
                    self.hangups[leg] += 1
                    assert self.hangups[leg] == 1, "a leg was hung up twice"
                case effects.StartTimer(timer, seconds):
                    assert timer not in self.timers
                    assert seconds > 0
                    self.timers.add(timer)
                case effects.CancelTimer(timer):
                    assert timer in self.timers
                    self.timers.remove(timer)
                case effects.Bridge(caller, callee):
                    assert self.bridge is None
                    self.bridge = (caller, callee)
                case effects.Unbridge(caller, callee):
                    assert self.bridge == (caller, callee)
                    self.bridge = None
                case effects.StartRingBack(port):
                    assert self.ring_back is None
                    self.ring_back = port
                case effects.StopRingBack(port):
                    assert self.ring_back == port
                    self.ring_back = None
                case effects.StartMusic(port):
                    assert port not in self.music
                    self.music.add(port)
                case effects.StopMusic(port):
                    self.music.remove(port)
                case effects.StartScreening(leg):
                    assert leg not in self.screenings
                    self.screenings.add(leg)
                case effects.StopScreening(leg):
                    self.screenings.remove(leg)
                case effects.AnswerCaller():
                    assert not self.answered, "the caller is answered once"
                    self.answered = True
                case effects.StartProgram():
                    assert not self.program
                    self.program = True
                case effects.StopProgram():
                    self.program = False
                case effects.Finish():
                    assert not self.timers
                    assert self.bridge is None
                    assert self.ring_back is None
                    assert not self.music | self.screenings
                    assert isinstance(self.events[-1], CallEnded)
                    self.finished = True
                case _:
                    pass

    def fire(self, timer: Timer) -> list[effects.Effect]:
        """The timer passes."""
        assert timer in self.timers, f"{timer} is not running"
        self.timers.remove(timer)
        return self.feed(TIMEOUTS[timer])


TIMEOUTS: dict[Timer, inputs.Input] = {
    Timer.RING: inputs.RingTimeout(),
    Timer.SETUP: inputs.SetupTimeout(),
    Timer.GRACE: inputs.GraceTimeout(),
    Timer.DURATION: inputs.DurationTimeout(),
    Timer.CLOSING: inputs.ClosingTimeout(),
}

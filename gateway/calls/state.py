"""Owns the state of a call as the machine sees it: frozen values, no behaviour but look-ups."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.errors import Verdict
from gateway.events import Role
from gateway.ids import LegId
from gateway.ports import LegKind, MediaPort


class Phase(enum.StrEnum):
    """Where a call is."""

    NEW = "new"  # waits for the dialplan
    DIALING = "dialing"  # callee legs exist, none has reacted
    RINGING = "ringing"  # a callee alerts
    EARLY = "early"  # a callee sends audio before the answer
    CONNECTING = "connecting"  # accepted, an audio path is still missing
    CONNECTED = "connected"
    HELD = "held"  # connected, and a party has put the gateway on hold
    PROGRAM = "program"  # a built-in program speaks with the caller
    ENDING = "ending"  # legs were told to hang up
    ENDED = "ended"


class Timer(enum.StrEnum):
    """The timers of a call."""

    RING = "ring"
    SETUP = "setup"
    GRACE = "grace"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call waits, in seconds."""

    ring: float = 60.0  # for an answer, where neither rule nor trunk says otherwise
    setup: float = 20.0  # for audio after the answer; above the legs' own set-up timers
    grace: float = 10.0  # for RTP of a leg that was silent before it was connected or resumed
    closing: float = 10.0  # for legs to confirm that they are over


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class LegState:
    """What the machine knows of a leg."""

    id: LegId
    kind: LegKind
    role: Role
    port: MediaPort | None = None
    media: str = ""  # as printed: "opus/48000"
    early: bool = False  # has audio before the answer
    held: bool = False  # its far end put us on hold
    silent: bool = False  # no RTP from it for too long
    hung_up: bool = False  # was told to hang up
    ended: bool = False


@dataclass(frozen=True, slots=True)
class CallState:
    """All of a call. Times are monotonic seconds."""

    phase: Phase
    caller: LegState
    created: float
    limits: Limits
    callees: tuple[LegState, ...] = ()
    winner: LegId | None = None  # the callee that answered
    program: str | None = None
    program_port: MediaPort | None = None  # set while the program runs
    bridge: tuple[MediaPort, MediaPort] | None = None
    path: str = ""  # the audio path as last printed
    timers: frozenset[Timer] = frozenset()
    failures: tuple[Verdict, ...] = field(default=())  # of callees that are gone
    answered: float | None = None
    ending: float | None = None
    verdict: Verdict | None = None

    @property
    def legs(self) -> Iterator[LegState]:
        """Caller first."""
        yield self.caller
        yield from self.callees

    def leg(self, wanted: LegId) -> LegState | None:
        """The leg with this id."""
        return next((leg for leg in self.legs if leg.id == wanted), None)

    @property
    def partner(self) -> LegState | None:
        """The callee whose audio the caller is to hear: who answered, else who sends early media.

        A browser's early media is none: its audio is connected just before it answers.
        """
        for leg in self.callees:
            if leg.id == self.winner:
                return leg
            early = leg.early and leg.kind is LegKind.SIP
            if self.winner is None and early and not leg.ended and not leg.hung_up:
                return leg
        return None

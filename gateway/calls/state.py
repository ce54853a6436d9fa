"""Owns the state of a call as the machine sees it: frozen values, no behaviour but look-ups."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.calls.hunting import Hunt
from gateway.errors import Verdict
from gateway.events import Role
from gateway.ids import LegId
from gateway.ports import LegKind, MediaPort
from gateway.terms import Phase


class Timer(enum.StrEnum):
    """The timers of a call."""

    RING = "ring"
    SETUP = "setup"
    DURATION = "duration"
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
    deadline: float | None = None  # until when it may ring
    accepted: bool = False  # answered, and is being screened or waits for its audio to be
    screening: bool = False
    parked: bool = False  # on hold by us
    music: str | None = None  # what it hears then
    music_port: MediaPort | None = None  # where it is played now
    muted: bool = False
    withheld: bool = False  # its digits are kept from the other side
    hung_up: bool = False  # was told to hang up
    ended: bool = False

    @property
    def live(self) -> bool:
        """Whether it takes part: an answer may cross our hang-up on the wire."""
        return not self.ended and not self.hung_up

    @property
    def held_by_anybody(self) -> bool:
        """Whether its far end or we put it on hold."""
        return self.held or self.parked


@dataclass(frozen=True, slots=True)
class CallState:
    """All of a call. Times are monotonic seconds."""

    phase: Phase
    caller: LegState
    created: float
    limits: Limits
    callees: tuple[LegState, ...] = ()
    winner: LegId | None = None  # the callee that answered
    called: bool = False  # the gateway called the caller
    rung: bool = False  # the caller was told that somebody rings
    opened: bool = False  # the caller's audio was opened before the answer
    hunt: Hunt | None = None  # the dial under way, or whose conversation goes on
    program: str | None = None  # set while it runs
    program_port: MediaPort | None = None  # the caller's, once the program has it
    ring_back: MediaPort | None = None  # where ring-back or music of a dial is played
    bridge: tuple[MediaPort, MediaPort] | None = None
    path: str = ""  # the audio path as last printed
    timers: frozenset[Timer] = frozenset()
    answered: float | None = None
    talk_since: float | None = None  # when the winner took the call
    ending: float | None = None
    verdict: Verdict | None = None
    hung_up_by: Role | None = None  # None: the gateway

    @property
    def legs(self) -> Iterator[LegState]:
        """Caller first."""
        yield self.caller
        yield from self.callees

    def leg(self, wanted: LegId) -> LegState | None:
        """The leg with this id."""
        return next((leg for leg in self.legs if leg.id == wanted), None)

    @property
    def talks(self) -> bool:
        """Whether the call is answered and its audio path is there: silence matters then."""
        waits = self.phase in (Phase.NEW, Phase.CONNECTING, Phase.ENDING, Phase.ENDED)
        return self.answered is not None and not waits

    @property
    def partner(self) -> LegState | None:
        """The callee whose audio the caller is to hear: who answered, else who sends early media.

        A browser's early media is none: its audio is connected just before it answers.
        """
        for leg in self.callees:
            if leg.id == self.winner:
                return leg
            early = leg.early and leg.kind is LegKind.SIP and not leg.accepted
            if self.winner is None and early and leg.live:
                return leg
        return None

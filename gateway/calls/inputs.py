"""Owns what can happen to a call: the inputs of its state machine."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.dialplan import Action
from gateway.errors import Verdict
from gateway.events import Event
from gateway.ids import LegId
from gateway.ports import LegKind, MediaPort


@dataclass(frozen=True, slots=True)
class Routed:
    """The dialplan decided. `ring_timeout` in seconds; None: the default."""

    action: Action
    rule: str | None
    trace: tuple[str, ...]
    ring_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Dialed:
    """The callee legs that a Dial effect made; none when the user is not signed in."""

    legs: tuple[tuple[LegId, LegKind], ...]


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A Dial effect could not make a leg."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CallerMedia:
    """The caller's audio path is there, or changed."""

    port: MediaPort
    description: str


@dataclass(frozen=True, slots=True)
class CallerHeld:
    """The caller put us on hold, or took us back."""

    held: bool


@dataclass(frozen=True, slots=True)
class CallerEnded:
    """The caller's leg is over."""

    verdict: Verdict
    by_peer: bool


@dataclass(frozen=True, slots=True)
class CalleeRinging:
    """A callee alerts."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class CalleeMedia:
    """A callee's audio path is there, or changed."""

    leg: LegId
    port: MediaPort
    early: bool
    description: str


@dataclass(frozen=True, slots=True)
class CalleeAnswered:
    """A callee accepted."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class CalleeHeld:
    """A callee put us on hold, or took us back."""

    leg: LegId
    held: bool


@dataclass(frozen=True, slots=True)
class CalleeEnded:
    """A callee's leg is over."""

    leg: LegId
    verdict: Verdict
    by_peer: bool


@dataclass(frozen=True, slots=True)
class RtpSilent:
    """No RTP from a leg for `silent_ms`."""

    leg: LegId
    silent_ms: int


@dataclass(frozen=True, slots=True)
class RtpBack:
    """RTP of a leg is back."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class ProgramDone:
    """The program ended by itself."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Failed:
    """The media plane or our own code failed in this call."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class HangupRequested:
    """Somebody asked for the end. `verdict` None: an ordinary end."""

    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class RingTimeout:
    """Nobody answered in time."""


@dataclass(frozen=True, slots=True)
class SetupTimeout:
    """Accepted, but no audio path in time."""


@dataclass(frozen=True, slots=True)
class GraceTimeout:
    """A silent leg stayed silent."""


@dataclass(frozen=True, slots=True)
class ClosingTimeout:
    """A leg did not confirm its end in time."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Something for the event log that changes no state, such as a digit."""

    event: Event


Input = (
    Routed
    | Dialed
    | DialFailed
    | CallerMedia
    | CallerHeld
    | CallerEnded
    | CalleeRinging
    | CalleeMedia
    | CalleeAnswered
    | CalleeHeld
    | CalleeEnded
    | RtpSilent
    | RtpBack
    | ProgramDone
    | Failed
    | HangupRequested
    | RingTimeout
    | SetupTimeout
    | GraceTimeout
    | ClosingTimeout
    | Observed
)

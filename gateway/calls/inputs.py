"""Owns what can happen to a call: the inputs of its state machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.dialplan import Action, DialOut
from gateway.errors import Verdict
from gateway.events import Event
from gateway.ids import LegId
from gateway.ports import LegKind, MediaPort


@dataclass(frozen=True, slots=True)
class Routed:
    """The dialplan decided."""

    action: Action
    rule: str | None
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewLeg:
    """A callee's leg that a Dial effect made."""

    id: LegId
    kind: LegKind
    ring_timeout: float  # seconds
    trunk: str | None = None
    number: str = field(default="", repr=False)  # or a user's name


@dataclass(frozen=True, slots=True)
class Dialed:
    """The callee legs that a Dial effect made, and why others could not be made."""

    legs: tuple[NewLeg, ...]
    failures: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class CallerAnswered:
    """A caller whom the gateway called accepted."""


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
class AnswerRequested:
    """The program wants the call answered; nothing happens if it is."""


@dataclass(frozen=True, slots=True)
class RingRequested:
    """The program wants the caller to hear ringing, or (`early_media`) itself, unanswered."""

    early_media: bool = False


@dataclass(frozen=True, slots=True)
class DialRequested:
    """The program dials; DialDone follows."""

    dial: DialOut


@dataclass(frozen=True, slots=True)
class DialCancelled:
    """The program no longer waits for its dial."""


@dataclass(frozen=True, slots=True)
class Screened:
    """Who answered has heard the whisper, and took the call or not."""

    leg: LegId
    accepted: bool


@dataclass(frozen=True, slots=True)
class ParkRequested:
    """Put a side on hold, with music, or take it back."""

    leg: LegId
    parked: bool
    music: str | None = None


@dataclass(frozen=True, slots=True)
class MuteRequested:
    """The other side is not to hear this one, or to hear it again."""

    leg: LegId
    muted: bool


@dataclass(frozen=True, slots=True)
class DigitsWithheld:
    """Digits of a leg are gathered: they do not go to the other side."""

    leg: LegId
    withheld: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The call goes on with something else than its program, or its callee."""

    action: Action


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
    """Somebody asked for the end. `verdict` None: an ordinary end. `by`: the leg whose user did,
    by signalling."""

    verdict: Verdict | None = None
    by: LegId | None = None


@dataclass(frozen=True, slots=True)
class RingTimeout:
    """Somebody did not answer in time."""


@dataclass(frozen=True, slots=True)
class SetupTimeout:
    """Accepted, but no audio path in time."""


@dataclass(frozen=True, slots=True)
class GraceTimeout:
    """A silent leg stayed silent."""


@dataclass(frozen=True, slots=True)
class DurationTimeout:
    """The conversation has lasted as long as it may."""


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
    | CallerAnswered
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
    | AnswerRequested
    | RingRequested
    | DialRequested
    | DialCancelled
    | Screened
    | ParkRequested
    | MuteRequested
    | DigitsWithheld
    | Taken
    | ProgramDone
    | Failed
    | HangupRequested
    | RingTimeout
    | SetupTimeout
    | GraceTimeout
    | DurationTimeout
    | ClosingTimeout
    | Observed
)

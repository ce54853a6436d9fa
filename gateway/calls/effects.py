"""Owns what the call state machine asks for: effects, performed by the supervisor in order."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.calls.state import Timer
from gateway.dialplan import Action, Destination
from gateway.errors import Verdict
from gateway.events import Event
from gateway.ids import LegId
from gateway.ports import MediaPort
from gateway.verbs.dialling import DialSettings


@dataclass(frozen=True, slots=True)
class Emit:
    """Append to the event log."""

    event: Event


@dataclass(frozen=True, slots=True)
class Dial:
    """Make callee legs, to ring together; Dialed is the next input."""

    targets: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class RingCaller:
    """Tell the caller that the callee alerts."""


@dataclass(frozen=True, slots=True)
class EarlyMediaToCaller:
    """Open the caller's audio path before the answer."""


@dataclass(frozen=True, slots=True)
class AnswerCaller:
    """Accept the caller's leg."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """Join two ports both ways, audio and digits."""

    caller: MediaPort
    callee: MediaPort


@dataclass(frozen=True, slots=True)
class Unbridge:
    """Undo Bridge."""

    caller: MediaPort
    callee: MediaPort


@dataclass(frozen=True, slots=True)
class Relay:
    """Digits of `source` go to `sink`, or (`on` False) to nobody."""

    source: MediaPort
    sink: MediaPort
    on: bool


@dataclass(frozen=True, slots=True)
class Mute:
    """`sink` no longer hears `source`, or (`muted` False) hears it again."""

    source: MediaPort
    sink: MediaPort
    muted: bool


@dataclass(frozen=True, slots=True)
class StartRingBack:
    """The caller hears ringing, or `music`, until StopRingBack."""

    port: MediaPort
    music: str | None


@dataclass(frozen=True, slots=True)
class StopRingBack:
    """Undo StartRingBack."""

    port: MediaPort


@dataclass(frozen=True, slots=True)
class StartMusic:
    """A leg that is on hold hears `music`."""

    port: MediaPort
    music: str


@dataclass(frozen=True, slots=True)
class StopMusic:
    """Undo StartMusic."""

    port: MediaPort


@dataclass(frozen=True, slots=True)
class StartScreening:
    """Who answered hears the whisper, and confirms; Screened follows."""

    leg: LegId
    port: MediaPort
    how: DialSettings


@dataclass(frozen=True, slots=True)
class StopScreening:
    """Nobody needs that any more."""

    leg: LegId


@dataclass(frozen=True, slots=True)
class Route:
    """Ask the dialplan; Routed is the next input."""


@dataclass(frozen=True, slots=True)
class StartProgram:
    """Run a program, by the name that others see, which does what `action` says. It has no audio
    until GiveAudio."""

    name: str
    action: Action


@dataclass(frozen=True, slots=True)
class GiveAudio:
    """The program may use the caller's port; another one before is gone."""

    port: MediaPort


@dataclass(frozen=True, slots=True)
class DialDone:
    """What became of the program's dial. `talk_ms` None: nobody took the call."""

    verdict: Verdict
    talk_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StopProgram:
    """Cancel the program that runs."""


@dataclass(frozen=True, slots=True)
class HangupLeg:
    """End a leg; it confirms by LegEnded. At most once per leg."""

    leg: LegId
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Start a timer that is not running."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Stop a running timer."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Finish:
    """The call is over: the last effect."""

    verdict: Verdict


Effect = (
    Emit
    | Dial
    | RingCaller
    | EarlyMediaToCaller
    | AnswerCaller
    | Bridge
    | Unbridge
    | Relay
    | Mute
    | StartRingBack
    | StopRingBack
    | StartMusic
    | StopMusic
    | StartScreening
    | StopScreening
    | Route
    | StartProgram
    | GiveAudio
    | DialDone
    | StopProgram
    | HangupLeg
    | StartTimer
    | CancelTimer
    | Finish
)

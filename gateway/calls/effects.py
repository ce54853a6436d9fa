"""Owns what the call state machine asks for: effects, performed by the supervisor in order."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.calls.state import Timer
from gateway.dialplan import DialTrunk, DialUser
from gateway.errors import Verdict
from gateway.events import Event
from gateway.ids import LegId
from gateway.ports import MediaPort


@dataclass(frozen=True, slots=True)
class Emit:
    """Append to the event log."""

    event: Event


@dataclass(frozen=True, slots=True)
class Dial:
    """Make callee legs; Dialed or DialFailed is the next input."""

    target: DialTrunk | DialUser


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
class StartProgram:
    """Run a built-in program on the caller's port."""

    name: str
    port: MediaPort


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
    | StartProgram
    | StopProgram
    | HangupLeg
    | StartTimer
    | CancelTimer
    | Finish
)

"""The events of calls: what the one event log (gateway.storage) holds.

Digits and numbers are data for programs, so they are fields; they are left out of `repr`, so that
no log line or traceback shows them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, get_args

from gateway.errors import Verdict
from gateway.ids import DEFAULT_PROJECT, LegId
from gateway.ports import Layer, LegKind


class Role(enum.StrEnum):
    """Which side of the call a leg is."""

    CALLER = "caller"
    CALLEE = "callee"


class DigitSource(enum.StrEnum):
    """How a digit reached the gateway."""

    RTP = "rtp"  # RFC 4733 telephone-event
    SIGNALLING = "signalling"  # the browser's WebSocket or data channel, or the API


@dataclass(frozen=True, slots=True)
class CallCreated:
    """A call exists; the first event of every call. `traceparent`: of the request that asked for
    it (W3C Trace Context)."""

    name: ClassVar[str] = "call.created"
    context: str  # dialplan context: `browser` or a trunk's name
    caller: str = field(repr=False)
    callee: str = field(repr=False)  # what was dialled
    trunk: str | None = None  # that it came from
    project: str = DEFAULT_PROJECT
    traceparent: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CallRouted:
    """The dialplan decided. `rule` is None when no rule matched; `trace` says why, rule by rule."""

    name: ClassVar[str] = "call.routed"
    rule: str | None
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LegAdded:
    """The call has one leg more. `number`: who calls, or is called; a user's name for browsers."""

    name: ClassVar[str] = "leg.added"
    leg: LegId
    role: Role
    kind: LegKind
    trunk: str | None = None
    number: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LegGone:
    """A leg ended; the call itself may go on (forked ringing)."""

    name: ClassVar[str] = "leg.gone"
    leg: LegId
    verdict: Verdict
    by_peer: bool


@dataclass(frozen=True, slots=True)
class LegDialog:
    """The SIP dialog of a leg: its Call-ID, by which the far end's operator knows it."""

    name: ClassVar[str] = "leg.dialog"
    leg: LegId
    sip_call_id: str


@dataclass(frozen=True, slots=True)
class LegTransport:
    """A browser's ICE or DTLS has another state (see gateway.ports.LegTransport), since
    `monotonic` (seconds on the node's monotonic clock), which may be before the call began."""

    name: ClassVar[str] = "leg.transport"
    leg: LegId
    layer: Layer
    state: str
    detail: str
    monotonic: float


@dataclass(frozen=True, slots=True)
class LegQuality:
    """What a leg's audio was like, told just before its end. Counters and jitter as in RFC 3550
    6.4.1; `rx` is what came from its far end, `remote_lost` what that says it missed."""

    name: ClassVar[str] = "leg.quality"
    leg: LegId
    codec: str  # "opus/48000"
    rx_packets: int
    rx_lost: int
    tx_packets: int
    remote_lost: int
    jitter_ms: float
    rtt_ms: float


@dataclass(frozen=True, slots=True)
class CallRinging:
    """A callee is alerting; with the caller's own leg, a program tells the caller so."""

    name: ClassVar[str] = "call.ringing"
    leg: LegId


@dataclass(frozen=True, slots=True)
class CallEarlyMedia:
    """The callee sends audio before the answer (SIP 183); the caller's own leg: a program does."""

    name: ClassVar[str] = "call.early_media"
    leg: LegId


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A callee's leg took the call, or (None) a program answered it; one event for each dial that
    succeeds. A caller whom the gateway called is the first leg to answer."""

    name: ClassVar[str] = "call.answered"
    leg: LegId | None


@dataclass(frozen=True, slots=True)
class CallHeld:
    """A party put the gateway on hold, or (`held` False) took it back (RFC 3264 8.4)."""

    name: ClassVar[str] = "call.held"
    leg: LegId
    held: bool


@dataclass(frozen=True, slots=True)
class CallParked:
    """The gateway put a side on hold, or (`parked` False) took it back."""

    name: ClassVar[str] = "call.parked"
    leg: LegId
    parked: bool


@dataclass(frozen=True, slots=True)
class CallMuted:
    """The other side does not hear this one, or (`muted` False) hears it again."""

    name: ClassVar[str] = "call.muted"
    leg: LegId
    muted: bool


@dataclass(frozen=True, slots=True)
class VerbStarted:
    """A program, or somebody by the API, has the call do something; `verb` is its name."""

    name: ClassVar[str] = "verb.started"
    verb: str


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """The call is being recorded."""

    name: ClassVar[str] = "recording.started"
    recording: str


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    """The call is not recorded any more; `reason` says why."""

    name: ClassVar[str] = "recording.stopped"
    recording: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProgramStarted:
    """A program is in charge of the call."""

    name: ClassVar[str] = "program.started"
    program: str


@dataclass(frozen=True, slots=True)
class MediaPathChanged:
    """The audio path of the call, printed: `[12] webrtc opus/48000 <=> [13] sip pcmu/8000`."""

    name: ClassVar[str] = "media.path"
    description: str


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The first valid RTP packet of a leg."""

    name: ClassVar[str] = "media.started"
    leg: LegId


@dataclass(frozen=True, slots=True)
class MediaSilent:
    """No RTP from a leg for `silent_ms`."""

    name: ClassVar[str] = "media.silent"
    leg: LegId
    silent_ms: int


@dataclass(frozen=True, slots=True)
class MediaResumed:
    """RTP is back after MediaSilent."""

    name: ClassVar[str] = "media.resumed"
    leg: LegId


@dataclass(frozen=True, slots=True)
class DigitStarted:
    """A digit has begun to arrive from `leg`; `id` pairs it with its DigitReceived."""

    name: ClassVar[str] = "digit.started"
    leg: LegId
    digit: str = field(repr=False)
    id: int
    source: DigitSource = DigitSource.RTP


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """A digit from `leg` has ended; its duration is final (milliseconds)."""

    name: ClassVar[str] = "digit.received"
    leg: LegId
    digit: str = field(repr=False)
    duration_ms: int
    id: int
    source: DigitSource = DigitSource.RTP


@dataclass(frozen=True, slots=True)
class DigitSent:
    """A digit that the gateway made has left completely towards the far end of `leg`."""

    name: ClassVar[str] = "digit.sent"
    leg: LegId
    digit: str = field(repr=False)
    duration_ms: int
    id: int


@dataclass(frozen=True, slots=True)
class DigitDropped:
    """A digit could not be sent or relayed towards the far end of `leg`."""

    name: ClassVar[str] = "digit.dropped"
    leg: LegId
    digit: str = field(repr=False)
    reason: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; its last event. Times in milliseconds, measured to the moment when the
    end was decided; `talk_ms` is 0 for a call that nobody answered. `hung_up_by`: the side that
    ended or refused it; None: the gateway."""

    name: ClassVar[str] = "call.ended"
    verdict: Verdict
    answered: bool
    duration_ms: int
    talk_ms: int
    hung_up_by: Role | None = None


Event = (
    CallCreated
    | CallRouted
    | LegAdded
    | LegGone
    | LegDialog
    | LegTransport
    | LegQuality
    | CallRinging
    | CallEarlyMedia
    | CallAnswered
    | CallHeld
    | CallParked
    | CallMuted
    | VerbStarted
    | RecordingStarted
    | RecordingStopped
    | ProgramStarted
    | MediaPathChanged
    | MediaStarted
    | MediaSilent
    | MediaResumed
    | DigitStarted
    | DigitReceived
    | DigitSent
    | DigitDropped
    | CallEnded
)

KINDS: Mapping[str, type[Event]] = MappingProxyType({kind.name: kind for kind in get_args(Event)})
"""Every event, by its type's name."""


def wants_type(types: tuple[str, ...], name: str) -> bool:
    """Whether the type `name` is among `types`: names, or their beginnings with the dot (`call.`);
    empty: all."""
    return not types or any(
        name == wanted or (wanted.endswith(".") and name.startswith(wanted)) for wanted in types
    )

"""The seams of the gateway: what the call supervisor asks of legs, media and browsers.

Only protocols and the plain values that cross them. Implementations live in `legs`, `media` and
`api`; doubles for tests implement the same protocols.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.errors import Verdict
from gateway.ids import LegId

MediaPort = int
"""Handle of a media-plane port (> 0)."""

DTMF_DIGITS = "0123456789*#ABCD"
"""Index = RFC 4733 3.2 event code."""


# ---- legs -----------------------------------------------------------------------------------


class LegKind(enum.StrEnum):
    """Which world a leg speaks to."""

    WEBRTC = "webrtc"
    SIP = "sip"


@dataclass(frozen=True, slots=True)
class LegRinging:
    """The far end is alerting (SIP 180, or the browser shows the call)."""


@dataclass(frozen=True, slots=True)
class LegMedia:
    """Audio can flow through `port`; sent again when it changes. `early`: before the answer."""

    port: MediaPort
    early: bool
    description: str  # e.g. "opus/48000 + telephone-event/48000", for the printed media path


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """The far end accepted the call (SIP 200, or the browser's answer with media connected)."""


@dataclass(frozen=True, slots=True)
class LegHeld:
    """The far end put us on hold (`held`) or took us back."""

    held: bool


class PortStats(NamedTuple):
    """Counters of one port; loss and jitter as in RFC 3550 6.4.1. A named tuple, because those of
    all ports are taken every second."""

    rx_packets: int
    rx_lost: int
    tx_packets: int
    rejected_source: int
    srtp_failures: int
    malformed: int
    jitter_ms: float
    rtt_ms: float
    remote_lost: int
    dtmf_received: int
    dtmf_sent: int
    direct: bool = False  # its audio goes to the other leg without passing the bridge


@dataclass(frozen=True, slots=True)
class LegEnded:
    """The leg is over; the last event of every leg. `by_peer`: the far end ended it. `stats`: its
    port's counters at the end; None: it had no port."""

    verdict: Verdict
    by_peer: bool
    stats: PortStats | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LegDialog:
    """The SIP dialog of a leg has this Call-ID (RFC 3261 8.1.1.4)."""

    sip_call_id: str


class Layer(enum.StrEnum):
    """What a browser's audio is carried by."""

    ICE = "ice"
    DTLS = "dtls"


@dataclass(frozen=True, slots=True)
class LegTransport:
    """A layer of a browser's transport has another state. ICE (RFC 8445): checking, connected,
    switched (another pair), failed, consent_lost (RFC 7675); DTLS: connecting, connected, failed,
    closed. `detail`: kinds of the selected candidates, or SRTP profile; never a credential."""

    layer: Layer
    state: str
    detail: str
    monotonic: float  # seconds


LegEvent = LegRinging | LegMedia | LegAnswered | LegHeld | LegDialog | LegTransport | LegEnded
LegSink = Callable[[LegEvent], None]
"""Called on the asyncio thread, in order; never after LegEnded."""


class Leg(Protocol):
    """One side of a call. All methods are called on the asyncio thread and never block."""

    @property
    def id(self) -> LegId:
        """This leg's id."""
        ...

    @property
    def kind(self) -> LegKind:
        """Which world it speaks to."""
        ...

    def listen(self, sink: LegSink) -> None:
        """Whom to tell; events that came earlier are delivered at once."""
        ...

    def ring(self) -> None:
        """Tell the far end that the callee is alerting (incoming legs)."""
        ...

    def early_media(self) -> None:
        """Open the audio path before the answer (SIP 183; nothing to do on WebRTC)."""
        ...

    def answer(self) -> None:
        """Accept (incoming legs)."""
        ...

    def hangup(self, verdict: Verdict) -> None:
        """End it: BYE, CANCEL or a final response, as its state asks. LegEnded follows."""
        ...


@dataclass(frozen=True, slots=True)
class IncomingSip:
    """An INVITE that asks for a call. `trunk` is the configured trunk that it came from."""

    leg: Leg
    trunk: str
    caller: str = field(repr=False)  # user part of From
    callee: str = field(repr=False)  # user part of the Request-URI
    caller_name: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # for the dialplan


@dataclass(frozen=True, slots=True)
class SipTarget:
    """Where an outgoing SIP leg goes: `number` at the configured `trunk`.

    withheld: no identity is shown (RFC 3323). ring_timeout: seconds; None: the trunk's.
    """

    trunk: str
    number: str = field(repr=False)
    caller: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    withheld: bool = False
    ring_timeout: float | None = None


class SipPlane(Protocol):
    """Makes outgoing SIP legs; incoming ones arrive at the handler given when it was built."""

    def dial(self, target: SipTarget) -> Leg:
        """Sends an INVITE. Raises GatewayError for an unknown trunk."""
        ...


@dataclass(frozen=True, slots=True)
class OptionsReply:
    """What came of an OPTIONS. Without a response, `status` is 408 or 503, which a timeout and a
    failure of the transport count as (RFC 3261 8.1.3.1), and `rtt` is None. `rtt`: seconds."""

    status: int
    reason: str
    rtt: float | None = None

    @property
    def lives(self) -> bool:
        """Whether it proves that the peer takes requests: any final response does (RFC 3261 11.2),
        but for 408, which proxies send for a peer that is silent, and 503 (21.5.4)."""
        return self.rtt is not None and self.status not in (408, 503)


class SipOptions(Protocol):
    """Asks trunks whether they live."""

    async def options(self, trunk: str) -> OptionsReply:
        """Sends an OPTIONS outside a dialog (RFC 3261 11.1) and waits for what comes of it: 32 s
        at most, and the look-up of the host's name. May be called again meanwhile. Raises
        GatewayError where none could be sent by our own fault: NOT_FOUND, BAD_REQUEST,
        SHUTTING_DOWN, INTERNAL."""
        ...


class BrowserDirectory(Protocol):
    """Which browsers can be called: the signalling sessions, by user name."""

    def ring(self, user: str, caller: str, call_id: str) -> Sequence[Leg]:
        """Rings all sessions of `user`: one leg each. Empty when nobody is signed in."""
        ...


# ---- media ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DigitBegan:
    """A digit has begun to arrive. `id` pairs it with its DigitEnded."""

    port: MediaPort
    digit: str
    id: int
    monotonic: float  # seconds


@dataclass(frozen=True, slots=True)
class DigitEnded:
    """A digit has ended; `duration_ms` is final."""

    port: MediaPort
    digit: str
    id: int
    duration_ms: int
    monotonic: float


@dataclass(frozen=True, slots=True)
class DigitSent:
    """A digit of `send_digit` left completely."""

    port: MediaPort
    digit: str
    id: int
    duration_ms: int
    monotonic: float


@dataclass(frozen=True, slots=True)
class DigitDropped:
    """A digit could not be sent or relayed to `port`."""

    port: MediaPort
    digit: str
    reason: str
    monotonic: float


@dataclass(frozen=True, slots=True)
class PlayDone:
    """A player reached its end."""

    port: MediaPort
    monotonic: float


@dataclass(frozen=True, slots=True)
class RtpStarted:
    """First valid RTP packet on this port."""

    port: MediaPort
    monotonic: float


@dataclass(frozen=True, slots=True)
class RtpTimeout:
    """No RTP for `silent_ms`; RtpResumed when it comes back."""

    port: MediaPort
    silent_ms: int
    monotonic: float


@dataclass(frozen=True, slots=True)
class RtpResumed:
    """RTP is back after RtpTimeout."""

    port: MediaPort
    monotonic: float


class RecordEnd(enum.StrEnum):
    """Why a recorder takes nothing more."""

    LENGTH = "length"  # its maximum length is reached
    SILENCE = "silence"
    DISK = "disk"  # full, or failing; what came before is in the file


@dataclass(frozen=True, slots=True)
class RecordStopped:
    """A recorder takes nothing more; it stays open until it is closed."""

    port: MediaPort  # the near one, as in all events of a recorder
    reason: RecordEnd
    monotonic: float


@dataclass(frozen=True, slots=True)
class RecordOverrun:
    """The disk is too slow: what is lost from now on is silent in the file. Told once."""

    port: MediaPort
    monotonic: float


@dataclass(frozen=True, slots=True)
class RecordClosed:
    """A closed recorder's file is complete. The port's last event."""

    port: MediaPort
    duration_ms: int
    lost_ms: int  # of which the disk took nothing
    monotonic: float


MediaEvent = (
    DigitBegan
    | DigitEnded
    | DigitSent
    | DigitDropped
    | PlayDone
    | RtpStarted
    | RtpTimeout
    | RtpResumed
    | RecordStopped
    | RecordOverrun
    | RecordClosed
)
MediaSink = Callable[[MediaEvent], None]


@dataclass(frozen=True, slots=True)
class RecorderPorts:
    """Where a recorder listens: left and right of a stereo file, else the same port twice."""

    near: MediaPort
    far: MediaPort


class Media(Protocol):
    """The media plane as calls see it. Failures raise GatewayError(MEDIA_FAILED)."""

    @property
    def bridge_rate(self) -> int:
        """Sample rate of the bridge in Hz."""
        ...

    def subscribe(self, port: MediaPort, sink: MediaSink) -> None:
        """Events of `port` go to `sink`, on the asyncio thread; earlier ones at once."""
        ...

    def unsubscribe(self, port: MediaPort) -> None:
        """Nobody listens to `port` any more."""
        ...

    def connect(self, source: MediaPort, sink: MediaPort) -> None:
        """Mix the audio of `source` into `sink`."""
        ...

    def disconnect(self, source: MediaPort, sink: MediaPort) -> None:
        """Undo `connect`; nothing happens if it was not connected."""
        ...

    def relay_digits(self, source: MediaPort, sink: MediaPort | None) -> None:
        """Send telephone-events of `source` on to `sink` natively; None keeps them here."""
        ...

    def send_digit(
        self, port: MediaPort, digit: str, duration_ms: int = 100, gap_ms: int = 70
    ) -> int:
        """Queue one tone towards the far end; returns its id (see DigitSent)."""
        ...

    def play(self, samples: bytes, rate: int, *, loop: bool = False) -> MediaPort:
        """A player port for 16-bit little-endian mono PCM; PlayDone at its end."""
        ...

    def tone(self, frequency: int, second: int = 0, volume: int = 8000) -> MediaPort:
        """A port that gives a steady tone (Hz); volume is the peak sample value."""
        ...

    def record(
        self, path: Path, *, stereo: bool = False, max_ms: int = 0, silence_ms: int = 0
    ) -> RecorderPorts:
        """Ports whose audio is written into a new WAV file, on one timeline. It ends by itself
        after max_ms, or after silence_ms of silence on all channels (0: never): RecordStopped.
        `close` of either port closes it; RecordClosed follows when the file is complete."""
        ...

    def record_pause(self, port: MediaPort, paused: bool) -> None:
        """While paused nothing is added to the recording."""
        ...

    def record_mute(self, port: MediaPort, muted: bool) -> None:
        """While muted silence is added to the recording."""
        ...

    def close(self, port: MediaPort) -> None:
        """Close a port (also disconnects); nothing happens if it is closed already."""
        ...

    def stats(self, port: MediaPort) -> PortStats:
        """Counters of a leg's port."""
        ...

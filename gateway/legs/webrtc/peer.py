"""ProbePeer: a WebRTC endpoint in Python that plays the browser for selftest, bench and tests.

It handles every packet in Python, which only a test endpoint may: a handful of them, never the
gateway's own legs.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections import deque
from dataclasses import dataclass, field

import pylibsrtp
from aiortc import RTCCertificate, RTCDataChannel, RTCDataChannelParameters

from gateway.legs.webrtc._aiortc_private import SrtpKeys
from gateway.legs.webrtc.channel import LABEL
from gateway.legs.webrtc.link import Link
from gateway.legs.webrtc.peer_audio import FRAME_MS, AudioCodec, Tone, open_codec
from gateway.legs.webrtc.peer_events import EventReceiver, EventSender, ReceivedDigit
from gateway.legs.webrtc.peer_sdp import (
    Negotiated,
    OfferShape,
    candidate_lines,
    read_answer,
    write_offer,
)
from gateway.media.values import Direction

_KEPT_SECONDS = 60
_WINDOW = 1024  # SRTP replay window, packets


@dataclass(slots=True)
class ProbeStats:
    """What the probe counted."""

    sent: int = 0
    received: int = 0  # RTP packets
    lost: int = 0  # sequence numbers that never came
    rtcp: int = 0
    refused: int = 0  # SRTP failures


@dataclass(frozen=True, slots=True)
class HeardFrame:
    """Decoded audio of one packet: 16-bit mono PCM and its arrival (CLOCK_MONOTONIC seconds)."""

    arrived: float
    timestamp: int
    pcm: bytes


@dataclass(slots=True)
class _Sequence:
    """Counts what is missing of a peer's sequence numbers (RFC 3550 A.3)."""

    first: int | None = None
    cycles: int = 0
    highest: int = 0
    received: int = 0
    _seen: deque[int] = field(default_factory=lambda: deque(maxlen=64))

    def add(self, number: int) -> None:
        if self.first is None:
            self.first = self.highest = number
        if number in self._seen:
            return
        self._seen.append(number)
        self.received += 1
        step = (number - self.highest) % 65536
        if 0 < step < 32768:
            self.cycles += number < self.highest
            self.highest = number

    @property
    def lost(self) -> int:
        if self.first is None:
            return 0
        return self.cycles * 65536 + self.highest - self.first + 1 - self.received


class ProbePeer:
    """One endpoint: `offer()`, `accept(answer)`, then tones, digits, and what was heard.

    From `accept` on it sends 20 ms frames without a break, silence until `start_tone`.
    """

    def __init__(self, shape: OfferShape | None = None, *, loopback: bool = True) -> None:
        self.shape = shape or OfferShape()
        self.stats = ProbeStats()
        self.messages: list[str] = []
        self.negotiated: Negotiated | None = None
        self.sdp = ""  # the last offer
        self._link = Link(
            RTCCertificate.generateCertificate(), servers={}, loopback=loopback, controlling=True
        )
        self._version = 0
        self._session = secrets.randbits(62)
        self._ssrc = secrets.randbelow(2**32)
        self._sequence = self.first_sequence = secrets.randbelow(2**15)
        self._timestamp = secrets.randbelow(2**32)
        self._codec: AudioCodec | None = None
        self.late = 0.0  # seconds, the latest that a frame has been sent; may be set back to 0
        self.tone_sent_at = 0.0  # CLOCK_MONOTONIC seconds of the newest tone's first packet
        self._tone_is_new = False
        self._tone: Tone | None = None
        self._srtp: tuple[pylibsrtp.Session, pylibsrtp.Session] | None = None  # tx, rx
        self._events: EventReceiver | None = None
        self._sending: deque[tuple[EventSender, asyncio.Future[None]]] = deque()
        self._heard: deque[HeardFrame] = deque(maxlen=_KEPT_SECONDS * 1000 // FRAME_MS)
        self._missing: dict[int, _Sequence] = {}
        self._pacer: asyncio.Task[None] | None = None
        self.channel: RTCDataChannel | None = None
        """The data channel, from `accept` on; only where one was offered."""
        self._silent = False
        self.lost = asyncio.Event()
        """Set when the gateway closed the connection or vanished."""

    # ---- set-up -----------------------------------------------------------------------------

    async def offer(self, *, candidates: bool = True) -> str:
        """The SDP offer. Without `candidates` they are to be trickled: see `candidate_lines`."""
        await self._link.gather()
        return self._offer(self.shape.direction, candidates)

    def _offer(self, direction: Direction, candidates: bool) -> str:
        self._version += 1
        origin = (self._session, self._version)
        self.sdp = write_offer(self.shape, self._link, direction, candidates, origin)
        return self.sdp

    def reoffer(self, direction: Direction) -> str:
        """A later offer with another direction (hold, resume); its answer needs no `accept`."""
        return self._offer(direction, True)

    @property
    def candidate_lines(self) -> list[str]:
        """`candidate:...` lines as a browser trickles them."""
        return candidate_lines(self._link)

    async def accept(self, answer: str, *, timeout: float = 15.0) -> None:  # noqa: ASYNC109
        """Connects by the gateway's answer; returns when media flows.

        Raises TimeoutError, LinkError, or ValueError for an answer that cannot be used.
        """
        negotiated = self.negotiated = read_answer(answer)
        self._codec = open_codec(negotiated.codec)
        self._tone = Tone(0, self._codec.rate)
        if negotiated.event_payload_type is not None:
            self._events = EventReceiver(negotiated.event_clock_rate)
        for candidate in negotiated.candidates:
            self._link.add_candidate(candidate)
        self._link.add_candidate(None)
        self._link.on_lost = lambda _fault: self.lost.set()
        async with asyncio.timeout(timeout):
            keys = await self._link.connect(
                negotiated.ice, negotiated.fingerprints, negotiated.role
            )
        self._srtp = _sessions(keys)
        self._link.hand_rtp_to(self._received)
        self._pacer = asyncio.create_task(self._pace(), name="probe pacer")
        if negotiated.sctp_port is not None:
            sctp = await self._link.start_data(
                negotiated.sctp_port, 65536, 65536, lambda channel: channel.close()
            )
            channel = RTCDataChannel(sctp, RTCDataChannelParameters(label=LABEL))
            channel.on("message", self.messages.append)
            self.channel = channel

    # ---- sending ----------------------------------------------------------------------------

    def start_tone(self, frequency: int) -> None:
        """Sends a tone of `frequency` Hz from now on; 0 is silence."""
        assert self._codec is not None
        self._tone = Tone(frequency, self._codec.rate)
        self._tone_is_new = True

    def mute(self, muted: bool = True) -> None:
        """Stops sending any RTP, as a vanished browser does, or goes on."""
        self._silent = muted

    async def send_digits(
        self, digits: str, *, duration_ms: int = 100, gap_ms: int = 70
    ) -> list[float]:
        """Sends telephone-events one after another; when each began to be sent (CLOCK_MONOTONIC s).

        Times are rounded up to 20 ms frames, as Chromium does.
        """
        assert self.negotiated is not None
        began = []
        for digit in digits:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            sender = EventSender(digit, duration_ms, self.negotiated.event_clock_rate)
            self._sending.append((sender, done))
            await done
            began.append(sender.began)
            await asyncio.sleep(gap_ms / 1000)
        return began

    def send_message(self, text: str) -> bool:
        """Sends text on the data channel; False while it is not open."""
        if self.channel is None or self.channel.readyState != "open":
            return False
        self.channel.send(text)
        return True

    async def _pace(self) -> None:
        """One frame every 20 ms by the clock, never by the last frame's delay."""
        loop = asyncio.get_running_loop()
        start, count = loop.time(), 0
        while True:
            self.late = max(self.late, loop.time() - start - count * FRAME_MS / 1000)
            self._frame()
            count += 1
            await asyncio.sleep(start + count * FRAME_MS / 1000 - loop.time())

    def _frame(self) -> None:
        assert self._codec is not None
        assert self._tone is not None
        assert self.negotiated is not None
        pcm = self._tone.next_frame()
        if self._tone_is_new:
            self._tone_is_new = False
            self.tone_sent_at = time.monotonic()
        if self._sending:
            self._event_frame()
        else:
            self._send(self.negotiated.payload_type, self._timestamp, self._codec.encode(pcm))
        step = self.negotiated.clock_rate * FRAME_MS // 1000
        self._timestamp = (self._timestamp + step) % 2**32

    def _event_frame(self) -> None:
        assert self.negotiated is not None
        sender, done = self._sending[0]
        if sender.start is None:
            sender.start, sender.began = self._timestamp, time.monotonic()
        for packet in sender.tick():
            timestamp = (sender.start + packet.offset) % 2**32
            event_type = self.negotiated.event_payload_type
            assert event_type is not None
            self._send(event_type, timestamp, packet.payload, marker=packet.marker)
        if sender.done:
            self._sending.popleft()
            if not done.cancelled():
                done.set_result(None)

    def _send(
        self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool = False
    ) -> None:
        assert self._srtp is not None
        header = struct.pack(  # RFC 3550 5.1
            "!BBHII", 0x80, marker << 7 | payload_type, self._sequence, timestamp, self._ssrc
        )
        self._sequence = (self._sequence + 1) % 65536
        if not self._silent:
            self.stats.sent += 1
            self._link.send(self._srtp[0].protect(header + payload))

    # ---- hearing ----------------------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        assert self._srtp is not None
        assert self.negotiated is not None
        now = time.monotonic()
        try:
            if 192 <= data[1] <= 223:  # RFC 5761 4
                self._srtp[1].unprotect_rtcp(data)
                self.stats.rtcp += 1
                return
            packet = self._srtp[1].unprotect(data)
        except (pylibsrtp.Error, IndexError):
            self.stats.refused += 1
            return
        flags, kind, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", packet)
        self.stats.received += 1
        self._missing.setdefault(ssrc, _Sequence()).add(sequence)
        self.stats.lost = sum(s.lost for s in self._missing.values())
        payload = packet[12 + 4 * (flags & 0x0F) :]
        if kind & 0x7F == self.negotiated.event_payload_type and self._events is not None:
            self._events.packet(timestamp, payload, now)
        elif kind & 0x7F == self.negotiated.payload_type and self._codec is not None:
            self._heard.append(HeardFrame(now, timestamp, self._codec.decode(payload)))

    @property
    def received_digits(self) -> list[ReceivedDigit]:
        """Digits heard so far."""
        return list(self._events.digits) if self._events is not None else []

    @property
    def heard(self) -> list[HeardFrame]:
        """Audio of the last minute, packet by packet, in order of arrival."""
        return list(self._heard)

    @property
    def sample_rate(self) -> int:
        """Of heard audio, Hz."""
        return self._codec.rate if self._codec is not None else 0

    def received_audio(self, seconds: float) -> bytes:
        """The last `seconds` of heard audio (16-bit mono PCM at `sample_rate`), gaps left out."""
        wanted = round(seconds * self.sample_rate) * 2
        pcm = b"".join(frame.pcm for frame in self._heard)
        return pcm[-wanted:] if wanted else b""

    # ---- end --------------------------------------------------------------------------------

    async def close(self) -> None:
        """Says good-bye (DTLS close_notify) and lets go of everything."""
        if self._pacer is not None:
            self._pacer.cancel()
            await asyncio.wait([self._pacer])
        for _, done in self._sending:
            done.cancel()
        await self._link.close()

    async def vanish(self) -> None:
        """Stops without a word, as a browser whose network is gone."""
        if self._pacer is not None:
            self._pacer.cancel()
            await asyncio.wait([self._pacer])
        await self._link.close(polite=False)


def _sessions(keys: SrtpKeys) -> tuple[pylibsrtp.Session, pylibsrtp.Session]:
    made = []
    for key, kind in (
        (keys.tx, pylibsrtp.Policy.SSRC_ANY_OUTBOUND),
        (keys.rx, pylibsrtp.Policy.SSRC_ANY_INBOUND),
    ):
        policy = pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=keys.profile)
        policy.window_size = _WINDOW
        made.append(pylibsrtp.Session(policy))
    return made[0], made[1]

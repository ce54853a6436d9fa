"""The browsers' side of the bench: many WHIP calls held by one cheap process.

ICE and DTLS are aiortc's. Once a call is connected its media goes between the socket and the
call's SRTP session directly: ready-made Opus out, counted by sequence number on the way in.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import aioice.ice
import pylibsrtp
from aiortc import RTCCertificate, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCDtlsParameters, RTCDtlsTransport
from aiortc.sdp import MediaDescription, SessionDescription, candidate_to_sdp

from bench.media import BURST_FRAMES, FRAME, Ear, Programme

OPUS = 111  # payload type, as Chromium numbers it
SLOTS = 10  # calls are spread over this many moments of each 20 ms
SLOT_SECONDS = 0.02 / SLOTS
SET_UP_SECONDS = 20.0
CHECK_EVERY = 50  # one packet in so many is decrypted: what comes back must be the call's audio
TALK_BYTES = 9  # an Opus packet of silence is smaller
RTCP_REPORTS = {200: 28, 201: 8}  # RFC 3550 6.4: packet type to the offset of its first report


def stay_on(address: str) -> None:
    """Makes aioice gather this one address; by itself it leaves loopback out."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]


@dataclass
class Counters:
    """Of one call. `holes_up` is what the gateway's RTCP says of our stream."""

    sent: int = 0
    received: int = 0
    holes_down: int = 0
    holes_up: int = 0
    checked: int = 0
    talking: int = 0


@dataclass
class Times:
    """Of one set-up, in ms from the POST."""

    answered: float = 0.0
    connected: float = 0.0
    first_rtp: float = 0.0


def offer_sdp(ice: RTCIceGatherer, fingerprint: str, ssrc: int) -> str:
    """An offer of one audio stream with the codecs that Chromium offers."""
    credentials, candidates = ice.getLocalParameters(), ice.getLocalCandidates()
    lines = [
        "v=0",
        f"o=- {random.getrandbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {OPUS} 9 0 8 110 126",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{credentials.usernameFragment}",
        f"a=ice-pwd:{credentials.password}",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{OPUS} opus/48000/2",
        f"a=fmtp:{OPUS} minptime=10;useinbandfec=1",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:126 telephone-event/8000",
        f"a=ssrc:{ssrc} cname:bench",
        *(f"a=candidate:{candidate_to_sdp(candidate)}" for candidate in candidates),
        "a=end-of-candidates",
    ]
    return "\r\n".join(lines) + "\r\n"


class Call:
    """One call: its transport, its RTP stream out, its counters."""

    def __init__(self, certificate: RTCCertificate, srtp: Sequence[str]) -> None:
        self.counters = Counters()
        self.times = Times()
        self.programme: Programme | None = None
        self.heard: list[float] = []  # when tones began in what came back, in s (monotonic)
        self.played: list[float] = []  # when the tones that we sent began
        self._ice = RTCIceTransport(RTCIceGatherer(iceServers=[]))
        self._dtls = RTCDtlsTransport(self._ice, [certificate])
        self._dtls._srtp_profiles = [
            profile for profile in SRTP_PROFILES if profile.openssl_profile.decode() in srtp
        ]
        self._ssrc = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self._timestamp = random.getrandbits(31)
        self._frame = 0
        self._ear: Ear | None = None
        self._last: int | None = None
        self._send: Callable[[bytes], None] | None = None
        self._location = ""
        self._arrived = asyncio.Event()

    async def dial(
        self, http: aiohttp.ClientSession, to: str, programmes: dict[int, Programme]
    ) -> None:
        """Places the call; returns when the gateway's first RTP packet has arrived."""
        async with asyncio.timeout(SET_UP_SECONDS):
            await self._set_up(http, to, programmes)
            await self._arrived.wait()

    async def _set_up(
        self, http: aiohttp.ClientSession, to: str, programmes: dict[int, Programme]
    ) -> None:
        self._ice._connection.ice_controlling = True  # RFC 8445 6.1.1: we offer
        await self._ice.iceGatherer.gather()
        prints = self._dtls.getLocalParameters().fingerprints
        sha256 = next(p.value for p in prints if p.algorithm == "sha-256")
        offer = offer_sdp(self._ice.iceGatherer, sha256, self._ssrc)
        self._began = time.monotonic()
        async with http.post(
            "/v1/webrtc/calls",
            params={"to": to},
            data=offer,
            headers={"Content-Type": "application/sdp"},
        ) as response:
            answer = await response.text()
            if response.status != 201:
                raise RuntimeError(f"POST answered {response.status}: {answer[:500]}")
            self._location = response.headers["Location"]
        self.times.answered = self._since()
        media = SessionDescription.parse(answer).media[0]
        self.programme = programmes[_playback_rate(media)]
        self._frame = random.randrange(len(self.programme.speech))
        await self._connect(media)

    async def _connect(self, media: MediaDescription) -> None:
        assert media.dtls is not None
        assert media.ice is not None
        for candidate in media.ice_candidates:
            await self._ice.addRemoteCandidate(candidate)
        await self._ice.addRemoteCandidate(None)
        await self._ice.start(media.ice)
        # RFC 5763 5: whoever answers `active` is the client.
        self._dtls._set_role("server" if media.dtls.role == "client" else "client")
        await self._dtls.start(RTCDtlsParameters(fingerprints=media.dtls.fingerprints))
        if self._dtls.state != "connected":
            raise RuntimeError(f"ICE {self._ice.state}, DTLS {self._dtls.state}")
        self.times.connected = self._since()
        self._take_over()

    def _take_over(self) -> None:
        """RTP by-passes aiortc from here on; STUN and DTLS stay with it."""
        pair = self._ice._connection._nominated[1]
        protocol, remote = pair.protocol, pair.remote_addr
        transport, protect = protocol.transport, self._dtls._tx_srtp.protect
        others = protocol.datagram_received

        def datagram_received(data: Any, addr: tuple[Any, ...]) -> None:
            if 128 <= data[0] <= 191:  # RFC 7983 7
                self._on_rtp(data)
            else:
                others(data, addr)

        protocol.datagram_received = datagram_received  # type: ignore[method-assign]
        self._send = lambda packet: transport.sendto(protect(packet), remote)

    def _since(self) -> float:
        return (time.monotonic() - self._began) * 1000

    def send_frame(self) -> None:
        """Sends the next 20 ms, once the call is connected."""
        if self._send is None or self.programme is None:
            return
        frames = self.programme.speech
        if self._ear is not None:
            frames = self.programme.bursts
            if self._frame % BURST_FRAMES == 0:
                self.played.append(time.monotonic() + self.programme.own_lag_ms / 1000)
        payload = frames[self._frame % len(frames)]
        self._frame += 1
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF
        marker = 0 if self.counters.sent else 0x80
        head = struct.pack(
            "!BBHII", 0x80, OPUS | marker, self._sequence, self._timestamp, self._ssrc
        )
        self._send(head + payload)
        self.counters.sent += 1

    def _on_rtp(self, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            self._on_rtcp(data)
            return
        counters, now = self.counters, time.monotonic()
        counters.received += 1
        sequence = data[2] << 8 | data[3]
        if self._last is None:
            self.times.first_rtp = self._since()
            self._arrived.set()
            self._last = sequence
        else:
            ahead = (sequence - self._last) & 0xFFFF
            if 0 < ahead < 0x8000:
                counters.holes_down += ahead - 1
                self._last = sequence
            else:
                counters.holes_down -= 1  # late: it was counted as a hole before
        if self._ear is not None:
            onset = self._ear.listen(self._open(data))
            if onset is not None:
                self.heard.append(now + onset / 1000)
        elif counters.received % CHECK_EVERY == 0:
            counters.checked += 1
            counters.talking += len(self._open(data)) >= TALK_BYTES

    def _open(self, data: bytes) -> bytes:
        """The payload, decrypted (RFC 3550 5.1: behind contributors and extension)."""
        plain: bytes = self._dtls._rx_srtp.unprotect(data)
        start = 12 + 4 * (plain[0] & 15)
        if plain[0] & 0x10:
            start += 4 + 4 * int.from_bytes(plain[start + 2 : start + 4], "big")
        return plain[start:]

    def _on_rtcp(self, data: bytes) -> None:
        """Takes the cumulative loss of our stream from the first report (RFC 3550 6.4.1)."""
        try:
            plain: bytes = self._dtls._rx_srtp.unprotect_rtcp(data)
        except pylibsrtp.Error:
            return
        at = RTCP_REPORTS.get(plain[1])
        if at is None or not plain[0] & 31 or len(plain) < at + 24:
            return
        if int.from_bytes(plain[at : at + 4], "big") == self._ssrc:
            self.counters.holes_up = int.from_bytes(plain[at + 5 : at + 8], "big", signed=True)

    def play_bursts(self, on: bool) -> None:
        """Switches from speech to tone bursts, which are then timed, and back."""
        self._ear = Ear() if on else None
        self._frame = 0
        self.played.clear()
        self.heard.clear()

    async def hang_up(self, http: aiohttp.ClientSession) -> None:
        """Ends the call; never raises, so that the others are ended too."""
        self._send = None
        if self._location:
            try:
                async with http.delete(self._location) as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                print(f"hang-up: {error}")
        await self._dtls.stop()
        await self._ice.stop()


def _playback_rate(media: MediaDescription) -> int:
    """maxplaybackrate of the answer's Opus (RFC 7587 6.1), rounded up to what we have."""
    codec = media.rtp.codecs[0]
    if codec.name.lower() != "opus":
        raise RuntimeError(f"the gateway answered {codec.name}, the bench speaks Opus")
    rate = int(codec.parameters.get("maxplaybackrate") or 48_000)
    return 8_000 if rate <= 8_000 else 16_000 if rate <= 16_000 else 48_000


@dataclass
class Pacer:
    """Sends a frame of every call each 20 ms, the calls spread evenly over that time."""

    calls: Sequence[Call]
    late_ms: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Paces until cancelled."""
        due, slot = time.monotonic(), 0
        while True:
            due += SLOT_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late_ms.append((time.monotonic() - due) * 1000)
            slot = (slot + 1) % SLOTS
            for call in self.calls[slot::SLOTS]:
                call.send_frame()

"""A far end for a WebRTC port, without ICE and DTLS: one UDP socket, fixed keys, G.711."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pylibsrtp
from numpy.typing import NDArray

from gateway.media.engine import MediaEngine
from gateway.media.values import WebRtcParams
from gateway.terms import Codec

EVENT_TYPE = 101


def ulaw_encode(samples: NDArray[np.int16]) -> bytes:
    """G.711 mu-law of 16-bit samples."""
    x = np.clip(samples.astype(np.int32), -32635, 32635)
    sign = (x < 0).astype(np.int32) << 7
    magnitude = np.abs(x) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))


def ulaw_decode(data: bytes) -> NDArray[np.int16]:
    """16-bit samples of G.711 mu-law."""
    x = ~np.frombuffer(data, np.uint8) & 0xFF
    magnitude = (((x & 0x0F).astype(np.int32) << 3) + 132) << ((x >> 4) & 7)
    return np.where(x & 0x80, 132 - magnitude, magnitude - 132).astype(np.int16)


@dataclass(frozen=True)
class Received:
    """One RTP packet that reached the far end."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    payload: bytes


@dataclass
class SrtpPeer:
    """Sends and receives RTP with a WebRTC port of the media plane."""

    media: MediaEngine
    codec: Codec = Codec.PCMU
    clock: int = 8000
    rtp_timeout_ms: int = 0
    received: list[Received] = field(default_factory=list)
    sequence: int = 1000
    timestamp: int = 50000
    ssrc: int = 0x1234

    def __post_init__(self) -> None:
        """Opens the port and hands one of two connected loopback sockets to it."""
        ours, theirs = os.urandom(30), os.urandom(30)
        self.payload_type = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9}.get(self.codec, 111)
        self.port = self.media.webrtc_open(
            WebRtcParams(
                self.codec,
                self.payload_type,
                EVENT_TYPE,
                self.clock,
                0xFFFF,
                0x77,
                1,
                tx_key=theirs,
                rx_key=ours,
                rtp_timeout_ms=self.rtp_timeout_ms,
            )
        )
        self._out = pylibsrtp.Session(
            pylibsrtp.Policy(key=ours, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        )
        self._in = pylibsrtp.Session(
            pylibsrtp.Policy(key=theirs, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)
        )
        self.gateway_socket = self._bound()
        self.socket = self._bound()
        self.media.webrtc_add_socket(self.port, 0, self.gateway_socket.fileno())
        host, port = self.socket.getsockname()
        self.media.webrtc_allow(self.port, host, port)
        self.media.webrtc_select(self.port, 0, host, port)
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)

    @staticmethod
    def _bound() -> socket.socket:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        s.setblocking(False)
        return s

    def _read(self) -> None:
        data = self.socket.recv(2048)
        if 192 <= data[1] <= 223:
            return
        data = self._in.unprotect(data)
        first, second, sequence, timestamp, _ = struct.unpack_from("!BBHII", data)
        assert first == 0x80
        self.received.append(
            Received(second & 127, bool(second >> 7), sequence, timestamp, data[12:])
        )

    def protect(
        self,
        payload_type: int,
        payload: bytes,
        *,
        marker: bool = False,
        timestamp: int | None = None,
    ) -> bytes:
        """The next SRTP packet of this far end."""
        header = struct.pack(
            "!BBHII",
            0x80,
            marker << 7 | payload_type,
            self.sequence & 0xFFFF,
            (self.timestamp if timestamp is None else timestamp) & 0xFFFFFFFF,
            self.ssrc,
        )
        self.sequence += 1
        return self._out.protect(header + payload)

    def send(self, packet: bytes) -> None:
        """To the port's socket."""
        self.socket.sendto(packet, self.gateway_socket.getsockname())

    async def send_audio(self, samples: NDArray[np.int16]) -> None:
        """20 ms of G.711 a packet, at their pace; samples at 8000 Hz."""
        await self.send_payloads(
            [
                ulaw_encode(samples[start : start + 160])
                for start in range(0, len(samples) - 159, 160)
            ]
        )

    async def send_payloads(self, payloads: Sequence[bytes]) -> None:
        """One payload every 20 ms."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for payload in payloads:
            self.send(self.protect(self.payload_type, payload))
            self.timestamp += self.clock // 50
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def send_event(
        self, event: int, durations: Sequence[int], *, ends: int = 3, pace: float = 0.02
    ) -> None:
        """One RFC 4733 event: an update per duration (timestamp units), the last with E."""
        start = self.timestamp
        for index, duration in enumerate(durations):
            last = index == len(durations) - 1
            for _ in range(ends if last else 1):
                payload = struct.pack("!BBH", event, (0x80 if last else 0) | 10, duration)
                self.send(self.protect(EVENT_TYPE, payload, marker=index == 0, timestamp=start))
            self.timestamp += self.clock // 50
            await asyncio.sleep(pace)

    def events(self) -> list[tuple[int, int, int, bool]]:
        """Telephone-events received: (timestamp, event, duration, end bit), in order."""
        return [
            (
                p.timestamp,
                p.payload[0],
                struct.unpack("!H", p.payload[2:4])[0],
                bool(p.payload[1] & 0x80),
            )
            for p in self.received
            if p.payload_type == EVENT_TYPE
        ]

    def close(self) -> None:
        """Closes port and sockets."""
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.media.close(self.port)
        self.socket.close()
        self.gateway_socket.close()

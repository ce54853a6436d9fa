"""Owns the telephone: SIPp speaks SIP for it; its audio and digits are packets of ours."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

from gateway.legs.webrtc.peer import HeardFrame
from gateway.legs.webrtc.peer_audio import FRAME_MS, Tone, open_codec
from gateway.legs.webrtc.peer_events import EventReceiver, EventSender, ReceivedDigit
from gateway.terms import Codec
from tests.sip.sipp import (
    Sipp,
    caller_request,
    receive,
    receive_invite,
    reply,
    scenario,
    sdp,
    sipp,
)
from tests.support.processes import HOST, free_ports

EVENT_TYPE = 101
_AUDIO_TYPE = 0
_RATE = 8000
_KEPT = 3000  # frames: a minute
_STEP = _RATE * FRAME_MS // 1000


class RtpEnd(asyncio.DatagramProtocol):
    """PCMU and telephone-events on a UDP port. It sends to whoever sent to it last, 20 ms by 20 ms,
    silence until `start_tone`."""

    def __init__(self) -> None:
        self.port = free_ports()
        self.sample_rate = _RATE
        self._codec = open_codec(Codec.PCMU)
        self._transport: asyncio.DatagramTransport | None = None
        self._pacer: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Nobody is there, and nothing was heard."""
        self._far: tuple[str, int] | None = None
        self._tone = Tone(0, _RATE)
        self._heard: deque[HeardFrame] = deque(maxlen=_KEPT)
        self._events = EventReceiver(_RATE)
        self._sending: deque[tuple[EventSender, asyncio.Future[None]]] = deque()
        self._ssrc, self._sequence, self._timestamp = secrets.randbelow(2**32), 0, 0

    async def open(self) -> None:
        """Binds its port and begins to send."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, self.port))
        self._pacer = asyncio.create_task(self._pace(), name="phone pacer")

    async def close(self) -> None:
        """Gives its port back."""
        assert self._pacer is not None
        assert self._transport is not None
        self._pacer.cancel()
        await asyncio.wait([self._pacer])
        self._transport.close()
        await self._closed.wait()

    # ---- sending ----------------------------------------------------------------------------

    def start_tone(self, hz: int) -> None:
        """Sends a tone from now on; 0 is silence."""
        self._tone = Tone(hz, _RATE)

    async def send_digits(self, digits: str, *, duration_ms: int = 100, gap_ms: int = 80) -> None:
        """Presses keys, one after another."""
        for digit in digits:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sending.append((EventSender(digit, duration_ms, _RATE), done))
            await done
            await asyncio.sleep(gap_ms / 1000)

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        start, count = loop.time(), 0
        while True:
            self._frame()
            count += 1
            await asyncio.sleep(start + count * FRAME_MS / 1000 - loop.time())

    def _frame(self) -> None:
        pcm = self._tone.next_frame()
        if self._sending:
            self._event_frame()
        else:
            self._send(_AUDIO_TYPE, self._timestamp, self._codec.encode(pcm))
        self._timestamp += _STEP

    def _event_frame(self) -> None:
        sender, done = self._sending[0]
        if sender.start is None:
            sender.start = self._timestamp
        for packet in sender.tick():
            kind = EVENT_TYPE | packet.marker << 7
            self._send(kind, sender.start + packet.offset, packet.payload)
        if sender.done:
            self._sending.popleft()
            done.set_result(None)

    def _send(self, kind: int, timestamp: int, payload: bytes) -> None:
        if self._far is None or self._transport is None:
            return
        self._sequence = (self._sequence + 1) % 65536
        header = struct.pack("!BBHII", 0x80, kind, self._sequence, timestamp, self._ssrc)
        self._transport.sendto(header + payload, self._far)

    # ---- hearing ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._closed.set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """See asyncio."""
        self._far = addr
        kind, timestamp, payload = data[1] & 0x7F, int.from_bytes(data[4:8], "big"), data[12:]
        now = time.monotonic()
        if kind == EVENT_TYPE:
            self._events.packet(timestamp, payload, now)
        elif kind == _AUDIO_TYPE:
            self._heard.append(HeardFrame(now, timestamp, self._codec.decode(payload)))

    @property
    def heard(self) -> list[HeardFrame]:
        """Audio of the last minute, in order of arrival."""
        return list(self._heard)

    @property
    def received_digits(self) -> list[ReceivedDigit]:
        """Digits heard so far."""
        return list(self._events.digits)


HANGS_UP = (receive("BYE"), reply("200 OK", to="[last_To:]"))
"""The other side ends the call."""


class Phone:
    """One telephone, at a trunk of the same name. It takes or makes one call at a time."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.port = free_ports()  # SIP
        self.rtp = RtpEnd()
        self._directory = directory

    @property
    def session(self) -> str:
        """Its session description."""
        return sdp().replace("[media_port]", str(self.rtp.port))

    def answers(self, *, first: tuple[str, ...] = (), then: tuple[str, ...] = HANGS_UP) -> str:
        """A scenario: takes a call. `first`: before the answer."""
        taken = (reply("200 OK", self.session), receive("ACK"))
        return scenario(receive_invite(), *first, *taken, *then)

    def refuses(self, status: str) -> str:
        """A scenario: a final response that refuses."""
        return scenario(receive_invite(), reply(status), receive("ACK"))

    def dials(self, to: str, *steps: str) -> str:
        """A scenario: calls `to`; `steps` begin behind the INVITE."""
        invite = caller_request("INVITE", 1, self.session)
        return scenario(*(self.to(to, step) for step in (invite, *steps)))

    @staticmethod
    def to(callee: str, step: str) -> str:
        """A caller's request as one to `callee`."""
        return step.replace("sip:100@", f"sip:{callee}@")

    def follows(self, xml: str, *, target: int | None = None) -> AbstractAsyncContextManager[Sipp]:
        """Runs a scenario; with `target`, a SIP port, it calls there."""
        return self._follow(xml, target)

    @asynccontextmanager
    async def _follow(self, xml: str, target: int | None) -> AsyncIterator[Sipp]:
        self.rtp.reset()
        async with sipp(self._directory, xml, target=target, port=self.port) as running:
            yield running

"""Telephone-events of the probe peer: sent as Chromium sends them, heard by their timestamps."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.legs.webrtc.peer_audio import FRAME_MS
from gateway.ports import DTMF_DIGITS

_END = 0x80
_VOLUME = 10  # -dBm0, as Chromium
_END_REPEATS = 3  # RFC 4733 2.5.1.4
_LONGEST = 0xFFFF  # timestamp units in one segment (RFC 4733 2.5.1.3)


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One telephone-event packet to send; `offset` is from the event's first timestamp."""

    payload: bytes
    marker: bool
    offset: int


class EventSender:
    """One digit in Chromium's shape: updates every 20 ms, three final packets at once.

    A segment ends at 0xFFFF without the E bit, and the next begins where the clock is then (not
    0xFFFF further), as Chromium does it.
    """

    def __init__(self, digit: str, duration_ms: int, clock_rate: int) -> None:
        self._event = DTMF_DIGITS.index(digit)
        self._total = duration_ms * clock_rate // 1000
        self._step = clock_rate * FRAME_MS // 1000
        self._elapsed = 0
        self._segment = 0  # where the present segment began
        self.start: int | None = None  # RTP timestamp, set by who sends
        self.began = 0.0  # CLOCK_MONOTONIC seconds, likewise
        self.done = False

    def tick(self) -> list[EventPacket]:
        """The packets of the next 20 ms."""
        first = self._elapsed == 0
        self._elapsed = min(self._elapsed + self._step, self._total)
        within = self._elapsed - self._segment
        if self._elapsed >= self._total:
            self.done = True
            packet = self._packet(_END, min(within, _LONGEST), first)
            again = EventPacket(packet.payload, False, packet.offset)
            return [packet] + [again] * (_END_REPEATS - 1)
        packet = self._packet(0, min(within, _LONGEST), first)
        if within > _LONGEST:
            self._segment = self._elapsed
        return [packet]

    def _packet(self, end: int, duration: int, marker: bool) -> EventPacket:
        payload = struct.pack("!BBH", self._event, end | _VOLUME, duration)
        return EventPacket(payload, marker, self._segment)


@dataclass(frozen=True, slots=True)
class ReceivedDigit:
    """A digit that the probe heard. Times are CLOCK_MONOTONIC seconds of its packets."""

    digit: str
    duration_ms: int
    began: float
    ended: float


@dataclass(slots=True)
class _Hearing:
    event: int
    timestamp: int  # of the present segment
    base: int  # units in earlier segments
    duration: int
    began: float
    last: float


class EventReceiver:
    """Digits from telephone-event packets, known by timestamp (RFC 4733 2.5.2.2)."""

    def __init__(self, clock_rate: int) -> None:
        self._rate = clock_rate
        self._now: _Hearing | None = None
        self._finished: int | None = None  # timestamp of the last event that is over
        self.digits: list[ReceivedDigit] = []

    def packet(self, timestamp: int, payload: bytes, now: float) -> None:
        """One packet that arrived at `now`; repeated and late ones change nothing."""
        if len(payload) < 4:
            return
        event, flags, duration = struct.unpack_from("!BBH", payload)
        if self._finished is not None:
            step = (timestamp - self._finished) % 2**32
            if step == 0 or step >= 2**31:
                return
        hearing = self._now
        if hearing is not None and timestamp != hearing.timestamp:
            step = (timestamp - hearing.timestamp) % 2**32
            if step >= 2**31:
                return
            if event == hearing.event and hearing.duration >= _LONGEST and step <= 2 * _LONGEST:
                hearing.base += step
                hearing.timestamp, hearing.duration = timestamp, 0
            else:
                self._finish()
                hearing = None
        if hearing is None:
            hearing = self._now = _Hearing(event, timestamp, 0, 0, now, now)
        hearing.duration, hearing.last = max(hearing.duration, duration), now
        if flags & _END:
            self._finish()

    def _finish(self) -> None:
        hearing, self._now = self._now, None
        if hearing is None:
            return
        self._finished = hearing.timestamp
        if hearing.event < len(DTMF_DIGITS):
            milliseconds = (hearing.base + hearing.duration) * 1000 // self._rate
            self.digits.append(
                ReceivedDigit(DTMF_DIGITS[hearing.event], milliseconds, hearing.began, hearing.last)
            )

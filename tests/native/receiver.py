"""Feeds arrivals to the receiver under test, and says what a perfect receiver would have heard."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.native.library import Native
from tests.native.network import Arrivals
from tests.native.trains import KEYS, Packet, Train

SSRC = 0x1A2B3C4D
POLL_US = 5000
TIMEOUT_US = 60_000  # R3: three update intervals of 20 ms
LONGEST_TIMEOUT_US = 300_000  # of 100 ms, the slowest sender that is believed
BEGIN, UPDATE, END = 1, 2, 3
CAPACITY = 20_000
_PACKET = struct.Struct("@QIII24s4x")  # gwt_packet
_REPORT = struct.Struct("@QiBBII")  # gwt_report


@dataclass(slots=True)
class Heard:
    """One digit as it was reported."""

    id: int
    event: int
    began_us: int
    durations_ms: list[int] = field(default_factory=list)
    ended_us: int | None = None
    volume: int = 0

    @property
    def duration_ms(self) -> int:
        """The final duration."""
        assert self.ended_us is not None
        return self.durations_ms[-1]


class Report(NamedTuple):
    """A report of gwm_dtmf_rx with its time, in the order of gwt_report."""

    at_us: int
    kind: int
    event: int
    volume: int
    id: int
    duration_ms: int


def pair_up(reports: Sequence[Report]) -> list[Heard]:
    """Reports to digits; asserts what holds always: BEGIN, then UPDATEs that grow, then END."""
    heard: list[Heard] = []
    for r in reports:
        if r.kind == BEGIN:
            assert not heard or heard[-1].ended_us is not None, "began before the last one ended"
            assert not heard or r.id == heard[-1].id + 1, "ids grow by one"
            heard.append(Heard(r.id, r.event, r.at_us, volume=r.volume))
        now = heard[-1]
        assert (r.id, r.event) == (now.id, now.event)
        assert now.ended_us is None
        assert not now.durations_ms or r.duration_ms >= now.durations_ms[-1], "durations grow"
        if r.kind == UPDATE:
            assert r.duration_ms >= now.durations_ms[-1]
        now.durations_ms.append(r.duration_ms)
        if r.kind == END:
            now.ended_us = r.at_us
    return heard


def pack(arrivals: Arrivals) -> bytes:
    """A row of gwt_packet."""
    return b"".join(_PACKET.pack(at_us, SSRC, p.timestamp, 4, p.payload) for at_us, p in arrivals)


class Receiver:
    """One gwm_dtmf_rx."""

    def __init__(self, native: Native, clock_rate: int = 8000) -> None:
        self._ffi, self._lib = native.ffi, native.lib
        self.rx = self._ffi.new("gwm_dtmf_rx *")
        self._out = self._ffi.new("gwm_dtmf_rx_report[]", self._lib.GWM_DTMF_RX_MAX_REPORTS)
        self._lib.gwm_dtmf_rx_init(self.rx, clock_rate)

    @property
    def ignored(self) -> int:
        """How many events in packets gave nothing."""
        return int(self.rx.ignored)

    def _take(self, at_us: int, count: int) -> list[Report]:
        return [
            Report(at_us, r.kind, r.event, r.volume, r.id, r.duration_ms)
            for r in self._out[0:count]
        ]

    def packet(self, at_us: int, timestamp: int, payload: bytes, ssrc: int = SSRC) -> list[Report]:
        """One packet."""
        count = self._lib.gwm_dtmf_rx_packet(
            self.rx, at_us, ssrc, timestamp, payload, len(payload), self._out
        )
        return self._take(at_us, count)

    def poll(self, at_us: int) -> list[Report]:
        """Time passes."""
        return self._take(at_us, self._lib.gwm_dtmf_rx_poll(self.rx, at_us, self._out))

    def flush(self) -> list[Report]:
        """The leg closes."""
        return self._take(0, self._lib.gwm_dtmf_rx_flush(self.rx, self._out))

    def feed(self, arrivals: Arrivals, tail_us: int = 2_000_000) -> list[Report]:
        """Packets in order of arrival, polled every 5 ms, also for `tail_us` afterwards."""
        packed = pack(arrivals)
        assert _PACKET.size == self._ffi.sizeof("gwt_packet")
        assert _REPORT.size == self._ffi.sizeof("gwt_report")
        packets = self._ffi.from_buffer("gwt_packet[]", packed)
        out = self._ffi.new("gwt_report[]", CAPACITY)
        count = self._lib.gwt_receive(
            self.rx, packets, len(arrivals), POLL_US, tail_us, out, CAPACITY
        )
        assert count <= CAPACITY
        reported = bytes(self._ffi.buffer(out, count * _REPORT.size))
        return [Report._make(fields) for fields in _REPORT.iter_unpack(reported)]


def hear(native: Native, train: Train, arrivals: Arrivals) -> list[Heard]:
    """The digits that a fresh receiver hears."""
    return pair_up(Receiver(native, train.clock_rate).feed(arrivals))


def keys(heard: Sequence[Heard]) -> str:
    """The digits as text."""
    return "".join(KEYS[h.event] for h in heard)


@dataclass(slots=True)
class Expected:
    """What can be known of one digit from the packets that arrived."""

    digit: int
    first_base: int
    last_us: int
    timeout_us: int
    known: int = 0  # timestamp units: the longest report that came before the digit was over
    over: bool = False
    complete: bool = False  # the end arrived, and no segment before it is unknown

    def take(self, at_us: int, packet: Packet) -> None:
        """A packet of this digit, before any of a later one."""
        total = packet.base + packet.duration - self.first_base
        timed_out_us = -(-(self.last_us + self.timeout_us) // POLL_US) * POLL_US  # at the next poll
        self.over = self.over or at_us > timed_out_us
        if self.over:
            return
        self.last_us = at_us
        self.known = max(self.known, total)
        self.over = packet.end
        self.complete = packet.end and self.first_base == 0


def expected(arrivals: Arrivals, timeout_us: int = TIMEOUT_US) -> list[Expected]:
    """By R1-R6 alone: a digit is heard once if a packet of it arrives before one of a later digit.
    Not for long events that fall silent around the end of a segment for more than 100 ms."""
    out: list[Expected] = []
    for at_us, packet in arrivals:
        newest = out[-1].digit if out else -1
        if packet.digit > newest:
            out.append(Expected(packet.digit, packet.base, at_us, timeout_us))
        if packet.digit >= newest:
            out[-1].take(at_us, packet)
    return out

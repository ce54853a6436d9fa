"""Packet trains: what senders of three kinds put on the wire for a row of digits.

A model of each sender, independent of our own: ours by the letter of RFC 4733, Chromium as
measured, and the recorded digits that SIPp plays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

PACKET_MS = 20
SEGMENT = 0xFFFF  # RFC 4733 2.5.1.3
KEYS = "0123456789*#ABCD"  # index = event code, RFC 4733 3.2


def payload(event: int, duration: int, end: bool = False, flags: int = 10) -> bytes:
    """RFC 4733 2.3; flags: R bit and volume, -10 dBm0 where not given."""
    return bytes([event, 0x80 * end | flags]) + duration.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet in the order of sending. Audio packets have digit -1: they take their place in
    the order, and nothing else is known of them."""

    at_us: int
    digit: int = -1  # which of the row
    timestamp: int = 0
    event: int = 0
    end: bool = False
    duration: int = 0  # timestamp units, of this segment
    base: int = 0  # timestamp units of the earlier segments
    marker: bool = False

    @property
    def payload(self) -> bytes:
        """The four bytes."""
        return payload(self.event, self.duration, self.end)


@dataclass(frozen=True, slots=True)
class Train:
    """What is sent, and the durations in milliseconds that it claims."""

    packets: list[Packet]  # shared: not to be changed
    digits: str
    durations_ms: list[float]
    clock_rate: int


class _Slots:
    """The clock of a sender: one packet slot after the other."""

    def __init__(self, clock_rate: int, first_timestamp: int) -> None:
        self.unit = clock_rate * PACKET_MS // 1000
        self.first = first_timestamp
        self.slot = 0
        self.packets: list[Packet] = []

    @property
    def timestamp(self) -> int:
        return (self.first + self.slot * self.unit) & 0xFFFFFFFF

    @property
    def at_us(self) -> int:
        return 1_000_000 + self.slot * PACKET_MS * 1000

    def put(self, packet: Packet, at_us: int | None = None) -> None:
        stamp = packet.timestamp & 0xFFFFFFFF
        at = self.at_us if at_us is None else at_us
        self.packets.append(replace(packet, at_us=at, timestamp=stamp))

    def audio_until(self, slot: int) -> None:
        while self.slot < slot:
            self.put(Packet(0))
            self.slot += 1

    def slots_of(self, units: int) -> int:
        return -(-units // self.unit)


@cache
def ours(
    digits: str, tone_ms: int, gap_ms: int, clock_rate: int, first_timestamp: int = 5000
) -> Train:
    """RFC 4733 to the letter: every slot an update, three final packets a slot apart."""
    slots = _Slots(clock_rate, first_timestamp)
    final = tone_ms * clock_rate // 1000
    for index, key in enumerate(digits):
        start = slots.slot
        stamp, base, ends, reported = slots.timestamp, 0, 0, 0
        while ends < 3:
            total = min((slots.slot - start + 1) * slots.unit, final)
            if total - base > SEGMENT and reported == SEGMENT:
                base, stamp = base + SEGMENT, stamp + SEGMENT
            reported = min(total - base, SEGMENT)
            end = base + reported == final
            ends += end
            first = slots.slot == start
            event = KEYS.index(key)
            slots.put(Packet(0, index, stamp, event, end, reported, base, first))
            slots.slot += 1
        gap = max(gap_ms, 30) * clock_rate // 1000
        slots.audio_until(start + slots.slots_of(final + gap))
    return Train(slots.packets, digits, [float(tone_ms)] * len(digits), clock_rate)


@cache
def chromium(
    digits: str, tone_ms: int, gap_ms: int, clock_rate: int, first_timestamp: int = 5000
) -> Train:
    """Chromium: end packets back to back, a segment starts at the update after 0xFFFF."""
    slots = _Slots(clock_rate, first_timestamp)
    final = tone_ms * clock_rate // 1000
    claimed = 0
    for index, key in enumerate(digits):
        start, base, left, marker, event = slots.slot, 0, final, True, KEYS.index(key)
        stamp, end = slots.timestamp, False
        while not end:
            slots.slot += 1
            duration = slots.timestamp - (stamp & 0xFFFFFFFF) & 0xFFFFFFFF
            if duration > SEGMENT:
                slots.put(Packet(0, index, stamp, event, False, SEGMENT, base))
                base, left, stamp = base + SEGMENT, left - SEGMENT, slots.timestamp
                slots.put(Packet(0, index, stamp, event, False, duration - SEGMENT, base))
                continue
            end = duration >= left
            for _ in range(3 if end else 1):
                slots.put(Packet(0, index, stamp, event, end, duration, base, marker))
            marker, claimed = False, base + duration
        slots.audio_until(max(slots.slot, start + slots.slots_of(final) + gap_ms // PACKET_MS) + 1)
    return Train(slots.packets, digits, [claimed * 1000 / clock_rate] * len(digits), clock_rate)


@cache
def sipp(
    digits: str, tone_ms: int, gap_ms: int, clock_rate: int, first_timestamp: int = 5000
) -> Train:
    """SIPp's recordings: the first packet has duration 0, the end packets come at once."""
    slots = _Slots(clock_rate, first_timestamp)
    final = tone_ms * clock_rate // 1000
    for index, key in enumerate(digits):
        start, base, event = slots.slot, 0, KEYS.index(key)
        stamp, end = slots.timestamp, False
        while not end:
            total = min((slots.slot - start) * slots.unit, final)
            first = slots.slot == start
            if total - base > SEGMENT:
                slots.put(Packet(0, index, stamp, event, False, SEGMENT, base))
                base, stamp = base + SEGMENT, stamp + SEGMENT
            end = total == final
            for repeat in range(3 if end else 1):
                packet = Packet(0, index, stamp, event, end, total - base, base, first)
                slots.put(packet, slots.at_us + repeat * 40)
            slots.slot += 1
        slots.audio_until(slots.slot + slots.slots_of(max(gap_ms, 30) * clock_rate // 1000))
    return Train(slots.packets, digits, [float(tone_ms)] * len(digits), clock_rate)


class Shape(Enum):
    """A sender by name."""

    OURS = "ours"
    CHROMIUM = "chromium"
    SIPP = "sipp"

    @property
    def build(self) -> Callable[..., Train]:
        """(digits, tone_ms, gap_ms, clock_rate, first_timestamp) -> Train"""
        return {Shape.OURS: ours, Shape.CHROMIUM: chromium, Shape.SIPP: sipp}[self]

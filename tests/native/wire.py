"""Drives the sender under test slot by slot, and judges what it puts on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.native.library import Native
from tests.native.trains import PACKET_MS, SEGMENT, Packet

AUDIO, EVENT = 0, 1
ALL_EVENTS = 0x1FFFF
END_PACKETS = 3  # RFC 4733 2.5.1.4
MIN_GAP_MS = 30


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of the audio stream, and what was sent in it (None: audio)."""

    timestamp: int
    packet: Packet | None = None
    volume: int = 0
    reserved: bool = False
    finished: bool = False
    id: int = 0
    finished_ms: int = 0


@dataclass(slots=True)
class Event:
    """One digit on the wire."""

    event: int
    slots: list[int] = field(default_factory=list)  # indices
    packets: list[Packet] = field(default_factory=list)

    @property
    def onset(self) -> int:
        """RTP timestamp of its start."""
        return self.packets[0].timestamp

    @property
    def units(self) -> int:
        """Total duration so far, timestamp units."""
        return (self.packets[-1].timestamp - self.onset & 0xFFFFFFFF) + self.packets[-1].duration

    @property
    def ends(self) -> list[Packet]:
        """The packets with the E bit."""
        return [p for p in self.packets if p.end]


class Sender:
    """One gwm_dtmf_tx and the audio stream that is its clock."""

    def __init__(
        self,
        native: Native,
        clock_rate: int = 8000,
        *,
        packet_ms: int = PACKET_MS,
        allowed: int = ALL_EVENTS,
        timestamp: int = 4000,
    ) -> None:
        self._native, self.lib = native, native.lib
        self.tx: Any = native.ffi.new("gwm_dtmf_tx *")
        self._packet: Any = native.ffi.new("gwm_dtmf_tx_packet *")
        self.clock_rate, self.unit = clock_rate, clock_rate * packet_ms // 1000
        self.timestamp = timestamp
        self.slots: list[Slot] = []
        self.lib.gwm_dtmf_tx_init(self.tx, clock_rate, self.unit, allowed)

    @property
    def busy(self) -> bool:
        """Whether something is being sent or waits."""
        return bool(self.lib.gwm_dtmf_tx_busy(self.tx))

    def send(
        self, event: int, duration_ms: int, gap_ms: int = 0, *, id: int = 1, volume: int = 10
    ) -> int:
        """A tone of known length."""
        return int(self.lib.gwm_dtmf_tx_send(self.tx, id, event, volume, duration_ms, gap_ms))

    def begin(self, id: int, event: int, duration_ms: int, volume: int = 10) -> int:
        """A relayed tone begins at its source."""
        return int(self.lib.gwm_dtmf_tx_relay_begin(self.tx, id, event, volume, duration_ms))

    def grow(self, id: int, duration_ms: int) -> int:
        """It lasts."""
        return int(self.lib.gwm_dtmf_tx_relay_grow(self.tx, id, duration_ms))

    def end(self, id: int, duration_ms: int) -> int:
        """It has ended."""
        return int(self.lib.gwm_dtmf_tx_relay_end(self.tx, id, duration_ms))

    def slot(self, timestamp: int | None = None) -> Slot:
        """One slot; at the next timestamp where none is given."""
        if timestamp is not None:
            self.timestamp = timestamp
        out = self._packet
        action = self.lib.gwm_dtmf_tx_slot(self.tx, self.timestamp, out)
        slot = Slot(self.timestamp)
        if action == EVENT:
            data = bytes(out.payload)
            packet = Packet(
                at_us=len(self.slots) * PACKET_MS * 1000,
                digit=0,
                timestamp=out.timestamp,
                event=data[0],
                end=bool(data[1] & 0x80),
                duration=int.from_bytes(data[2:], "big"),
                marker=bool(out.marker),
            )
            slot = Slot(
                self.timestamp,
                packet,
                data[1] & 0x3F,
                bool(data[1] & 0x40),
                bool(out.finished),
                out.id,
                out.duration_ms,
            )
        else:
            assert action == AUDIO
        self.slots.append(slot)
        self.timestamp = self.timestamp + self.unit & 0xFFFFFFFF
        return slot

    def run(self, slots: int) -> list[Slot]:
        """Many slots."""
        return [self.slot() for _ in range(slots)]

    def drain(self, limit: int = 100_000) -> list[Slot]:
        """Until all is sent, and three slots more."""
        start = len(self.slots)
        while self.busy:
            assert len(self.slots) - start < limit, "never comes to an end"
            self.slot()
        self.run(3)
        return self.slots[start:]


def events_of(slots: Sequence[Slot]) -> list[Event]:
    """The digits on the wire: the marker begins one (T3)."""
    events: list[Event] = []
    for index, slot in enumerate(slots):
        if slot.packet is None:
            continue
        if slot.packet.marker:
            events.append(Event(slot.packet.event))
        assert events, "the first packet of an event has the marker bit (T3)"
        events[-1].slots.append(index)
        events[-1].packets.append(slot.packet)
    return events


def _check_event(event: Event, slots: Sequence[Slot], clock_rate: int) -> None:
    packets = event.packets
    first = slots[event.slots[0]]
    assert packets[0].timestamp == first.timestamp, "starts at its slot's timestamp (T2, T3)"
    assert event.slots == list(range(event.slots[0], event.slots[-1] + 1)), "no audio (T9)"
    assert {p.event for p in packets} == {event.event}
    assert {slots[i].volume for i in event.slots} == {first.volume}
    assert not any(slots[i].reserved for i in event.slots), "R bit is 0 (T1)"
    assert all(0 < p.duration <= SEGMENT for p in packets), "no zero duration (T4)"
    for before, after in pairwise(packets):
        step = after.timestamp - before.timestamp & 0xFFFFFFFF
        if step:  # T6
            assert (step, before.duration, before.end) == (SEGMENT, SEGMENT, False)
        else:
            assert after.duration >= before.duration, "durations never shrink"
        if before.end:
            assert (after.end, after.duration, step) == (True, before.duration, 0), "T5"
    finished = [i for i in event.slots if slots[i].finished]
    if event.ends:
        assert len(event.ends) <= END_PACKETS
        assert finished == ([event.slots[-1]] if len(event.ends) == END_PACKETS else [])
    if finished:
        assert slots[finished[0]].finished_ms == round(event.units * 1000 / clock_rate)


def check(slots: Sequence[Slot], clock_rate: int) -> list[Event]:
    """Asserts what holds for everything sent (T1 to T6, T9, T10); returns the digits."""
    events = events_of(slots)
    for event in events:
        _check_event(event, slots, clock_rate)
    for before, after in pairwise(events):
        assert len(before.ends) == END_PACKETS, "three final packets (T5)"
        gap = (after.onset - before.onset & 0xFFFFFFFF) - before.units
        assert gap * 1000 >= MIN_GAP_MS * clock_rate, "gap (T10)"
    return events


def as_arrivals(slots: Iterable[Slot], latency_us: int = 1_000_000) -> list[tuple[int, Packet]]:
    """The event packets as a receiver gets them from a perfect network."""
    return [(s.packet.at_us + latency_us, s.packet) for s in slots if s.packet is not None]

"""Judges the RFC 4733 events of one captured RTP stream, clause by clause (T1 to T10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.support.capture import Rtp

DIGITS = "0123456789*#ABCD"  # index = event code, RFC 4733 3.2
END_PACKETS = 3  # RFC 4733 2.5.1.4
SEGMENT_END = 0xFFFF  # RFC 4733 2.5.1.3
HIGHEST_EVENT = 16
MIN_GAP_MS = 30.0
PACKET_MS = 20.0
CLOCK_MS = 100.0  # how far time stamps may be from the clock: jitter of the sender before us,
CLOCK_SHARE = 0.05  # and of the time gone by; another clock rate is off by a factor
STRAY_SHARE = 0.1  # of packets a busy machine may be late with, and one more


@dataclass(frozen=True, slots=True)
class Report:
    """What one packet says of its event (RFC 4733 2.3)."""

    packet: Rtp
    event: int
    end: bool
    reserved: bool
    volume: int
    duration: int

    @staticmethod
    def parse(packet: Rtp) -> Report:
        """Reads the first four bytes; a shorter payload reads as zeros (T1 catches it)."""
        event, flags, high, low = (packet.payload + bytes(4))[:4]
        return Report(
            packet, event, bool(flags & 0x80), bool(flags & 0x40), flags & 0x3F, high << 8 | low
        )


@dataclass(slots=True)
class ToneEvent:
    """One digit as the wire had it. Durations in milliseconds."""

    reports: list[Report] = field(default_factory=list)
    segments: int = 1
    units: int = 0  # timestamp units of all finished segments and the last report

    @property
    def event(self) -> int:
        """Event code."""
        return self.reports[0].event

    @property
    def digit(self) -> str:
        """The key, or the code in angle brackets where there is no key for it."""
        return DIGITS[self.event] if self.event < len(DIGITS) else f"<{self.event}>"

    @property
    def ends(self) -> list[Report]:
        """The packets with the E bit."""
        return [report for report in self.reports if report.end]

    @property
    def last_before_repeats(self) -> Report:
        """The first packet with the E bit, or the last packet where none has it."""
        return self.ends[0] if self.ends else self.reports[-1]


@dataclass(slots=True)
class Analysis:
    """The events of a stream in order, and what breaks which clause."""

    clock_rate: int
    events: list[ToneEvent] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def digits(self) -> str:
        """The keys, in order."""
        return "".join(event.digit for event in self.events)

    @property
    def durations_ms(self) -> list[float]:
        """Of each event."""
        return [event.units * 1000 / self.clock_rate for event in self.events]

    @property
    def gaps_ms(self) -> list[float]:
        """Pauses between neighbouring events, by their timestamps."""
        return [
            _behind(later.reports[0].packet.timestamp, _end_stamp(earlier)) * 1000 / self.clock_rate
            for earlier, later in pairwise(self.events)
        ]

    def says(self, clause: str, what: str) -> None:
        """Notes a violation."""
        self.violations[clause].append(what)

    def describe(self) -> str:
        """All violations, one a line."""
        return "\n".join(
            f"{clause}: {what}"
            for clause in sorted(self.violations)
            for what in self.violations[clause]
        )

    def assert_conforms(self) -> None:
        """Asserts that no clause is broken."""
        assert not self.violations, f"digits {self.digits!r}\n{self.describe()}"


def analyse_events(
    packets: Sequence[Rtp],
    clock_rate: int,
    event_type: int = 101,
    allowed: Collection[int] = range(HIGHEST_EVENT + 1),
    tolerance_ms: float = 12.0,
) -> Analysis:
    """Groups the telephone-events of one RTP stream and checks T1 to T10.

    Args:
        packets: audio and events of the stream, in the order of their arrival, none missing.
        clock_rate: of telephone-event, Hz.
        event_type: payload type of telephone-event.
        allowed: event codes that the peer's fmtp lists.
        tolerance_ms: by how much two packets may be more or less than 20 ms apart.
    """
    result = Analysis(clock_rate)
    result.events = _group(packets, event_type)
    _check_payloads(result, packets, event_type, allowed)
    _check_stream(result, packets, event_type, tolerance_ms)
    for event in result.events:
        _check_shape(result, event)
        _check_clock(result, event)
        _check_ends(result, event)
        _check_no_audio_inside(result, packets, event, event_type)
    _check_spacing(result, tolerance_ms)
    for number, gap in enumerate(result.gaps_ms):
        earlier, later = result.events[number], result.events[number + 1]
        if gap < MIN_GAP_MS:
            result.says("T10", f"{earlier.digit}, {later.digit}: {gap:.0f} ms apart")
    return result


def _behind(later: int, earlier: int) -> int:
    """Signed distance of two timestamps (RFC 3550: modulo 2**32)."""
    distance = (later - earlier) & 0xFFFFFFFF
    return distance - (1 << 32) if distance & 0x80000000 else distance


def _end_stamp(event: ToneEvent) -> int:
    last = event.reports[-1]
    return last.packet.timestamp + last.duration


def _group(packets: Sequence[Rtp], event_type: int) -> list[ToneEvent]:
    """Packets to events: by timestamp and code; segments of a long tone are one (T6)."""
    events: list[ToneEvent] = []
    for packet in packets:
        if packet.payload_type != event_type:
            continue
        report = Report.parse(packet)
        current = events[-1] if events else None
        last = current.reports[-1] if current else None
        if current and last and report.event == last.event:
            if packet.timestamp == last.packet.timestamp and packet.ssrc == last.packet.ssrc:
                current.units += report.duration - last.duration
                current.reports.append(report)
                continue
            step = _behind(packet.timestamp, last.packet.timestamp)
            if not last.end and step == SEGMENT_END == last.duration:
                current.segments += 1
                current.units += report.duration
                current.reports.append(report)
                continue
        events.append(ToneEvent([report], units=report.duration))
    return events


def _check_payloads(
    result: Analysis, packets: Sequence[Rtp], event_type: int, allowed: Collection[int]
) -> None:
    for packet in packets:
        if packet.payload_type != event_type:
            continue
        if len(packet.payload) != 4:
            result.says("T1", f"seq {packet.sequence}: {len(packet.payload)} bytes of payload")
        report = Report.parse(packet)
        if report.reserved:
            result.says("T1", f"seq {packet.sequence}: R bit set")
        if report.event not in allowed:
            result.says("T7", f"seq {packet.sequence}: event {report.event} was not offered")
        if report.duration == 0:
            result.says("T4", f"seq {packet.sequence}: duration 0")


def _check_stream(
    result: Analysis, packets: Sequence[Rtp], event_type: int, tolerance_ms: float
) -> None:
    """T2: one SSRC, gapless sequence numbers, and events on the time line of the audio."""
    sources = {packet.ssrc for packet in packets}
    if len(sources) > 1:
        result.says("T2", f"{len(sources)} SSRCs: {sorted(sources)}")
    for before, after in pairwise(packets):
        if (after.sequence - before.sequence) & 0xFFFF != 1:
            result.says("T2", f"sequence {before.sequence} is followed by {after.sequence}")
    for before, after in pairwise(packets):
        entering = after.payload_type == event_type != before.payload_type
        leaving = before.payload_type == event_type != after.payload_type
        if not entering and not leaving:
            continue
        # The end repeats keep the timestamp of the event's start; its end is what audio follows.
        reached = before.timestamp + (Report.parse(before).duration if leaving else 0)
        advance = _behind(after.timestamp, reached) * 1000 / result.clock_rate
        if leaving:
            # Audio may wait for the repeats: it resumes up to three intervals past the end.
            if advance < -tolerance_ms:
                result.says("T2", f"audio at {after.timestamp} lies inside the event before it")
            continue
        elapsed = (after.time - before.time) * 1000
        if abs(advance - elapsed) > CLOCK_MS:
            result.says(
                "T2",
                f"event at {after.timestamp}: {advance:.0f} ms of timestamp after the audio, "
                f"{elapsed:.0f} ms by the clock",
            )


def _check_shape(result: Analysis, event: ToneEvent) -> None:
    """T3 and T6: marker on the first packet only, durations grow, segments are whole."""
    name = f"{event.digit} at {event.reports[0].packet.timestamp}"
    if not event.reports[0].packet.marker:
        result.says("T3", f"{name}: no marker on the first packet")
    extra = sum(report.packet.marker for report in event.reports[1:])
    if extra:
        result.says("T6" if event.segments > 1 else "T3", f"{name}: {extra} more markers")
    for before, after in pairwise(event.reports):
        same = before.packet.timestamp == after.packet.timestamp
        if same and after.duration < before.duration:
            result.says("T3", f"{name}: duration falls from {before.duration} to {after.duration}")
    if not event.ends and event.reports[-1].duration == SEGMENT_END:
        result.says("T6", f"{name}: nothing at timestamp + 65535 continues it")


def _check_clock(result: Analysis, event: ToneEvent) -> None:
    """T8: durations grow as time passes, so they are in units of the stream's clock."""
    first = event.reports[0].packet
    for report in event.reports[: event.reports.index(event.last_before_repeats) + 1]:
        begun = _behind(report.packet.timestamp, first.timestamp)
        reached = (begun + report.duration) * 1000 / result.clock_rate - PACKET_MS
        elapsed = (report.packet.time - first.time) * 1000
        if abs(reached - elapsed) > CLOCK_MS + CLOCK_SHARE * elapsed:
            result.says(
                "T8",
                f"{event.digit} at {first.timestamp}: {reached:.0f} ms by its durations, "
                f"{elapsed:.0f} ms by the clock",
            )
            return


def _check_ends(result: Analysis, event: ToneEvent) -> None:
    """T5: three final packets, alike but for the sequence number."""
    name = f"{event.digit} at {event.reports[0].packet.timestamp}"
    ends = event.ends
    if len(ends) != END_PACKETS:
        result.says("T5", f"{name}: {len(ends)} packets with E")
    if ends and any(not report.end for report in event.reports[-len(ends) :]):
        result.says("T5", f"{name}: an update follows the end")
    if len({report.duration for report in ends}) > 1:
        result.says("T5", f"{name}: final durations {[report.duration for report in ends]}")


def _hiccups(spacings: list[float], tolerance_ms: float) -> list[float]:
    """Spacings that are not one packet time. A single packet that left late makes two of them, a
    long one and a short one after it: that is one hiccup.
    """
    found: list[float] = []
    made_up = False
    for index, spacing in enumerate(spacings):
        before = spacings[index - 1] if index else PACKET_MS
        made_up = (
            not made_up
            and bool(found)
            and found[-1] == before
            and abs(before + spacing - 2 * PACKET_MS) <= tolerance_ms
        )
        if not made_up and abs(spacing - PACKET_MS) > tolerance_ms:
            found.append(spacing)
    return found


def _check_spacing(result: Analysis, tolerance_ms: float) -> None:
    """T4 and T5: updates and final packets are one packet time apart."""
    updates: list[float] = []
    ends: list[float] = []
    for event in result.events:
        for before, after in pairwise(event.reports):
            if before.packet.timestamp != after.packet.timestamp:
                continue  # the last packet of a segment and the first of the next go together
            spacing = (after.packet.time - before.packet.time) * 1000
            (ends if before.end else updates).append(spacing)
    for clause, spacings in (("T4", updates), ("T5", ends)):
        off = _hiccups(spacings, tolerance_ms)
        if len(off) > 1 + STRAY_SHARE * len(spacings):
            listed = ", ".join(f"{spacing:.0f}" for spacing in off[:20])
            result.says(
                clause, f"{len(off)} of {len(spacings)} packets not 20 ms after the last: {listed}"
            )


def _check_no_audio_inside(
    result: Analysis, packets: Sequence[Rtp], event: ToneEvent, event_type: int
) -> None:
    """T9: from the first packet of an event to its first final one nothing else is sent."""
    first, last = event.reports[0].packet.time, event.last_before_repeats.packet.time
    inside = [p for p in packets if first < p.time < last and p.payload_type != event_type]
    if inside:
        result.says("T9", f"{event.digit}: {len(inside)} audio packets during the event")

"""The judge of telephone-events itself: a flawless trace passes, each flaw breaks its clause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.support.capture import Rtp
from tests.support.telephone_events import DIGITS, analyse_events

AUDIO_TYPE = 0
EVENT_TYPE = 101
SSRC = 0xCAFE


def _payload(event: int, end: bool, duration: int, volume: int = 10) -> bytes:
    return bytes([event, end << 7 | volume]) + duration.to_bytes(2, "big")


class Wire:
    """Writes a flawless stream: audio and events in turn, one packet each 20 ms."""

    def __init__(self, clock_rate: int, start: int = 0xFFFF_F000) -> None:
        self.step = clock_rate // 50
        self.packets: list[Rtp] = []
        self._start = start
        self._ticks = 0

    def _now(self) -> int:
        return self._start + self._ticks * self.step

    def _send(self, kind: int, timestamp: int, payload: bytes, marker: bool = False) -> None:
        self.packets.append(
            Rtp(
                100 + self._ticks * 0.02,
                SSRC,
                (0xFFF0 + len(self.packets)) & 0xFFFF,
                timestamp & 0xFFFFFFFF,
                marker,
                kind,
                payload,
            )
        )
        self._ticks += 1

    def audio(self, count: int) -> Wire:
        for _ in range(count):
            self._send(AUDIO_TYPE, self._now(), bytes(160))
        return self

    def digit(self, digit: str, updates: int) -> Wire:
        """An event of `updates` packet times, in segments where it needs them."""
        event, start, begun = DIGITS.index(digit), self._now(), False
        for n in range(1, updates + 1):
            duration, last = n * self.step - (start - self._base(n)), n == updates
            while duration > 0xFFFF:
                self._segment_end(event, start)
                start += 0xFFFF
                duration -= 0xFFFF
            self._send(EVENT_TYPE, start, _payload(event, last, duration), not begun)
            begun = True
        for _ in range(2):
            self._send(EVENT_TYPE, start, _payload(event, True, duration))
        return self

    def _base(self, n: int) -> int:
        """The timestamp at which the event began, when its `n`-th update is about to leave."""
        return self._now() - (n - 1) * self.step

    def _segment_end(self, event: int, start: int) -> None:
        """The packet that fills a segment leaves beside the next segment's first one."""
        self._send(EVENT_TYPE, start, _payload(event, False, 0xFFFF))
        self._ticks -= 1


def good_trace(clock_rate: int = 8000) -> list[Rtp]:
    return Wire(clock_rate).audio(5).digit("1", 5).audio(3).digit("1", 2).audio(2).packets


@pytest.mark.parametrize("clock_rate", [8000, 48000])
def test_a_flawless_trace_passes_and_reads_as_sent(clock_rate: int) -> None:
    result = analyse_events(good_trace(clock_rate), clock_rate)
    result.assert_conforms()
    assert result.digits == "11"
    assert result.durations_ms == [100, 40]
    assert result.gaps_ms == [100]


def test_a_six_second_tone_at_48_khz_is_one_digit_of_five_segments() -> None:
    wire = Wire(48_000).audio(2).digit("#", 300).audio(2)
    result = analyse_events(wire.packets, 48_000)
    result.assert_conforms()
    assert result.digits == "#"
    assert result.durations_ms == [6000]
    assert result.events[0].segments == 5


def _change(number: int, **fields: object) -> Callable[[list[Rtp]], list[Rtp]]:
    def apply(packets: list[Rtp]) -> list[Rtp]:
        packets[number] = replace(packets[number], **fields)  # type: ignore[arg-type]
        return packets

    return apply


def _drop(*numbers: int) -> Callable[[list[Rtp]], list[Rtp]]:
    return lambda packets: [p for n, p in enumerate(packets) if n not in numbers]


def _back_to_back_ends(packets: list[Rtp]) -> list[Rtp]:
    for n in (10, 11):
        packets[n] = replace(packets[n], time=packets[9].time + 0.0001 * n)
    return packets


def _uneven_updates(packets: list[Rtp]) -> list[Rtp]:
    for n in (6, 8):
        packets[n] = replace(packets[n], time=packets[n].time - 0.0195)
    return packets


def _audio_inside(packets: list[Rtp]) -> list[Rtp]:
    leak = replace(packets[0], time=packets[6].time + 0.005)
    return [*packets[:7], leak, *packets[7:]]


# good_trace: 0-4 audio, 5-8 updates and 9-11 ends of the first digit, 12-14 audio, 15-18 second.
FLAWS: list[tuple[str, Callable[[list[Rtp]], list[Rtp]]]] = [
    ("T1", _change(6, payload=_payload(1, False, 320) + b"\0\0\0\0")),
    ("T1", _change(6, payload=bytes([1, 0x4A, 1, 0x40]))),
    ("T2", _change(6, ssrc=1)),
    ("T2", _drop(13)),
    ("T2", _change(5, timestamp=0x1000_0000)),
    ("T3", _change(5, marker=False)),
    ("T3", _change(7, marker=True)),
    ("T3", _change(8, payload=_payload(1, False, 160))),
    ("T4", _change(5, payload=_payload(1, False, 0))),
    ("T4", _uneven_updates),
    ("T5", _drop(11)),
    ("T5", _back_to_back_ends),
    ("T5", _change(11, payload=_payload(1, True, 960))),
    ("T7", _change(6, payload=_payload(17, False, 320))),
    ("T9", _audio_inside),
]


@pytest.mark.parametrize(("clause", "spoil"), FLAWS)
def test_a_flaw_breaks_its_clause(clause: str, spoil: Callable[[list[Rtp]], list[Rtp]]) -> None:
    result = analyse_events(spoil(good_trace()), 8000)
    assert clause in result.violations, result.describe()


def _slowed(packets: list[Rtp]) -> Iterator[Rtp]:
    for packet in packets:
        yield replace(packet, time=100 + (packet.time - 100) * 6)


def test_durations_in_another_clock_break_t8() -> None:
    assert "T8" in analyse_events(list(_slowed(good_trace())), 8000).violations


def test_a_segment_that_nothing_continues_breaks_t6() -> None:
    wire = Wire(48_000).audio(2).digit("5", 100)
    packets = [p for p in wire.packets if p.payload_type == 0 or p.timestamp == 0xFFFF_F000 + 1920]
    assert "T6" in analyse_events(packets, 48_000).violations


def test_equal_digits_too_close_break_t10() -> None:
    wire = Wire(8000).audio(2).digit("1", 5).digit("1", 5)
    late = [
        replace(p, timestamp=(p.timestamp - 240) & 0xFFFFFFFF) if n > 8 else p
        for n, p in enumerate(wire.packets)
    ]
    assert "T10" in analyse_events(late, 8000).violations

"""RFC 4733 receiving of long events: segments are one digit (R4 of the DTMF rules)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.native.library import Native
from tests.native.network import arrive, duplicate
from tests.native.receiver import BEGIN, Receiver, hear, keys, pair_up
from tests.native.trains import SEGMENT, Shape, chromium, ours, payload

MS = 1000


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize(("clock_rate", "segments"), [(48000, 5), (8000, 1)])
def test_segments_are_one_digit(
    native: Native, shape: Shape, clock_rate: int, segments: int
) -> None:
    train = shape.build("7", 6000, 30, clock_rate)
    assert len({p.timestamp for p in train.packets if p.digit >= 0}) == segments
    (heard,) = hear(native, train, arrive(train))
    assert abs(heard.duration_ms - 6000) <= 2


def test_chromium_starts_the_next_segment_late(native: Native) -> None:
    train = chromium("7", 6000, 30, 48000)
    stamps = sorted({p.timestamp for p in train.packets if p.digit >= 0})
    assert {b - a for a, b in pairwise(stamps)} == {66240}
    assert [h.duration_ms for h in hear(native, train, arrive(train))] == [6001]


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("lost", [1, 2])
def test_the_tail_of_a_segment_may_be_lost(native: Native, shape: Shape, lost: int) -> None:
    train = shape.build("7", 3000, 30, 48000)
    events = [p for p in train.packets if p.digit >= 0]
    starts = [i for i in range(1, len(events)) if events[i].timestamp != events[i - 1].timestamp]
    drop = {i - k for i in starts for k in range(1, lost + 1)}
    (heard,) = hear(native, train, arrive(train, drop=drop))
    assert abs(heard.duration_ms - train.durations_ms[0]) <= 1


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("copies_after_ms", [0, 20, 60, 1300])
def test_late_packets_of_an_earlier_segment_give_nothing(
    native: Native, shape: Shape, copies_after_ms: int
) -> None:
    train = shape.build("7", 4000, 30, 48000)
    (heard,) = hear(native, train, duplicate(arrive(train), copies_after_ms * MS))
    assert abs(heard.duration_ms - train.durations_ms[0]) <= 1


def test_a_long_digit_that_timed_out_stays_one_digit(native: Native) -> None:
    """R3 ends it in a burst of losses; its later segments are late packets, not a new digit."""
    train = ours("7", 6000, 30, 48000)
    heard = hear(native, train, arrive(train, drop=set(range(10, 14))))
    assert keys(heard) == "7"
    assert heard[0].duration_ms == 200


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("polled", [True, False])
@pytest.mark.parametrize(("before", "after"), [(9, 0), (5, 5), (0, 9), (2, 1)])
def test_a_burst_of_losses_around_a_boundary_makes_no_second_digit(
    native: Native, shape: Shape, polled: bool, before: int, after: int
) -> None:
    """200 ms are lost. Polled, the digit times out; unpolled (the media plane waits while the
    stream stands still), it goes on and keeps its duration."""
    train = shape.build("7", 3000, 30, 48000)
    events = [p for p in train.packets if p.digit >= 0]
    boundary = next(i for i, p in enumerate(events) if p.base)
    arrivals = arrive(train, drop=set(range(boundary - before, boundary + after)))
    if polled:
        assert keys(hear(native, train, arrivals)) == "7"
        return
    receiver = Receiver(native, 48000)
    reports = [r for at, p in arrivals for r in receiver.packet(at, p.timestamp, p.payload)]
    (heard,) = pair_up(reports)
    assert abs(heard.duration_ms - train.durations_ms[0]) <= 1


@pytest.mark.parametrize("stall_ms", [80, 500])
def test_a_stall_at_the_end_of_a_segment_makes_no_second_digit(
    native: Native, stall_ms: int
) -> None:
    """The network holds everything back for a while, then the next segment comes."""
    train = chromium("7", 3000, 30, 48000)
    boundary = next(p.timestamp for p in train.packets if p.base)
    arrivals = [
        (at_us + stall_ms * MS * (p.timestamp >= boundary), p) for at_us, p in arrive(train)
    ]
    assert keys(hear(native, train, arrivals)) == "7"


@pytest.mark.parametrize("clock_rate", [8000, 48000])
def test_an_equal_digit_where_a_segment_could_start_is_a_digit(
    native: Native, clock_rate: int
) -> None:
    """100 ms tones whose onsets are 0xFFFF units apart, the final packets of the first lost."""
    receiver = Receiver(native, clock_rate)
    unit = clock_rate // 50
    apart_us = SEGMENT * 1_000_000 // clock_rate
    packets = [(i * 20 * MS, 0, payload(1, i * unit)) for i in range(1, 5)]
    packets += [(at + apart_us, SEGMENT, data) for at, _, data in packets]
    reports = [r for at, stamp, data in packets for r in receiver.packet(at, stamp, data)]
    assert [r.kind for r in reports].count(BEGIN) == 2

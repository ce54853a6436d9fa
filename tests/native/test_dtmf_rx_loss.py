"""The loss matrix of RFC 4733 receiving: exactly the digits sent, with their durations."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.library import Native
from tests.native.network import (
    STRUCTURED_LOSS,
    Arrivals,
    at_random,
    delay,
    duplicate,
    reorder,
)
from tests.native.receiver import LONGEST_TIMEOUT_US, Heard, expected, hear, keys
from tests.native.trains import KEYS, Shape, Train

ROWS = ("1", "11", "159#", KEYS)
TONES_MS = (40, 100, 500, 2000, 6000)
CLOCK_RATES = (8000, 48000)
GAP_MS = 30
PACKET_MS = 20
WAYS = ("in order", "reordered by 1", "reordered by 2", "duplicated")


def _deliver(train: Train, lost: set[int], way: str) -> Arrivals:
    by = {"reordered by 1": 1, "reordered by 2": 2}.get(way, 0)
    arrivals = reorder(train.packets, lost, by)
    return duplicate(arrivals) if way == "duplicated" else arrivals


def _matches_what_arrived(train: Train, arrivals: Arrivals, heard: list[Heard]) -> None:
    """Each digit once, as long as the longest report that arrived of it; the true duration where
    a final packet did."""
    wanted = expected(arrivals)
    assert keys(heard) == "".join(train.digits[e.digit] for e in wanted)
    for digit, want in zip(heard, wanted, strict=True):
        known_ms = want.known * 1000 / train.clock_rate
        assert abs(digit.duration_ms - known_ms) <= 1
        if want.complete:
            assert abs(digit.duration_ms - train.durations_ms[want.digit]) <= PACKET_MS


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("clock_rate", CLOCK_RATES)
@pytest.mark.parametrize("loss", ["none", "first", "middle", "last"])
def test_single_losses_change_nothing(
    native: Native, shape: Shape, clock_rate: int, loss: str
) -> None:
    for digits, tone_ms, way in product(ROWS, TONES_MS, WAYS):
        train = shape.build(digits, tone_ms, GAP_MS, clock_rate)
        heard = hear(native, train, _deliver(train, STRUCTURED_LOSS[loss](train.packets), way))
        assert keys(heard) == digits, (tone_ms, way)
        for digit in heard:
            assert abs(digit.duration_ms - tone_ms) <= PACKET_MS, (digits, tone_ms, way)


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("clock_rate", CLOCK_RATES)
@pytest.mark.parametrize("survivor", ["first", "second", "last"])
def test_one_end_packet_is_enough(
    native: Native, shape: Shape, clock_rate: int, survivor: str
) -> None:
    """The true duration too, but for long events: there it is that of the last segment."""
    loss = STRUCTURED_LOSS[f"all but the {survivor} end"]
    for digits, tone_ms, way in product(ROWS, TONES_MS, ("in order", "duplicated")):
        train = shape.build(digits, tone_ms, GAP_MS, clock_rate)
        arrivals = _deliver(train, loss(train.packets), way)
        heard = hear(native, train, arrivals)
        assert keys(heard) == digits, (tone_ms, way)
        _matches_what_arrived(train, arrivals, heard)


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("clock_rate", CLOCK_RATES)
@pytest.mark.parametrize("way", ["reordered by 1", "reordered by 2"])
def test_one_end_packet_that_is_overtaken(
    native: Native, shape: Shape, clock_rate: int, way: str
) -> None:
    """The first end packet is never later than the next digit, so it is always enough."""
    loss = STRUCTURED_LOSS["all but the first end"]
    for digits, tone_ms in product(ROWS, TONES_MS):
        train = shape.build(digits, tone_ms, GAP_MS, clock_rate)
        arrivals = _deliver(train, loss(train.packets), way)
        heard = hear(native, train, arrivals)
        assert keys(heard) == digits, tone_ms
        _matches_what_arrived(train, arrivals, heard)


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("clock_rate", CLOCK_RATES)
@pytest.mark.parametrize("percent", [1, 5, 10])
def test_random_loss(native: Native, shape: Shape, clock_rate: int, percent: int) -> None:
    for seed, (digits, tone_ms, way) in enumerate(product(ROWS, TONES_MS, WAYS)):
        train = shape.build(digits, tone_ms, GAP_MS, clock_rate)
        arrivals = _deliver(train, at_random(percent, seed)(train.packets), way)
        _matches_what_arrived(train, arrivals, hear(native, train, arrivals))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_loss_of_events_of_one_segment(native: Native, data: st.DataObject) -> None:
    """Whatever is lost, overtaken and repeated: only what arrived counts."""
    shape = data.draw(st.sampled_from(Shape))
    train = shape.build(
        data.draw(st.text("1155#9D", min_size=1, max_size=6)),
        data.draw(st.integers(2, 60)) * PACKET_MS,
        data.draw(st.integers(2, 20)) * PACKET_MS,
        data.draw(st.sampled_from(CLOCK_RATES)),
        data.draw(st.integers(0, 0xFFFFFFFF)),
    )
    count = len(train.packets)
    percent = data.draw(st.sampled_from([0, 3, 20, 50, 90]))
    lost = at_random(percent, data.draw(st.integers(0, 10_000)))(train.packets)
    lost ^= set(data.draw(st.lists(st.integers(0, count - 1), max_size=8)))
    arrivals = reorder(train.packets, lost, data.draw(st.integers(0, 2)))
    if data.draw(st.booleans()):
        arrivals = duplicate(arrivals, data.draw(st.integers(0, 60_000)))
    heard = hear(native, train, arrivals)
    at_least, at_most = expected(arrivals), expected(arrivals, LONGEST_TIMEOUT_US)
    assert keys(heard) == "".join(train.digits[e.digit] for e in at_least)
    # Regular losses make a sender look slower than it is, and then it is waited for longer.
    for digit, least, most in zip(heard, at_least, at_most, strict=True):
        known = digit.duration_ms * train.clock_rate / 1000
        assert least.known - train.clock_rate / 1000 <= known
        assert known <= most.known + train.clock_rate / 1000


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_long_events_survive_two_lost_packets_in_a_row(native: Native, data: st.DataObject) -> None:
    """Five segments, and never three packets lost in a row (R3 would end the digit there)."""
    shape = data.draw(st.sampled_from(Shape))
    train = shape.build("77", data.draw(st.integers(140, 300)) * PACKET_MS, 40, 48000)
    lost: set[int] = set()
    for index in sorted(data.draw(st.sets(st.integers(0, len(train.packets) - 1), max_size=120))):
        if not {index - 1, index - 2} & lost:
            lost |= {index} if data.draw(st.booleans()) else {index, index + 1}
    ends = {i for i, p in enumerate(train.packets) if p.end}
    arrivals = reorder(train.packets, lost - ends, 0)
    heard = hear(native, train, arrivals)
    assert keys(heard) == "77"
    for digit, sent_ms in zip(heard, train.durations_ms, strict=True):
        assert abs(digit.duration_ms - sent_ms) <= PACKET_MS


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_jitter(native: Native, data: st.DataObject) -> None:
    """Delays that vary by up to 35 ms change neither digits nor durations."""
    shape = data.draw(st.sampled_from(Shape))
    digits = data.draw(st.sampled_from(ROWS))
    tone_ms = data.draw(st.sampled_from(TONES_MS))
    train = shape.build(digits, tone_ms, GAP_MS, data.draw(st.sampled_from(CLOCK_RATES)))
    delays = data.draw(st.lists(st.integers(0, 35_000), min_size=1, max_size=97))
    heard = hear(native, train, delay(reorder(train.packets, set(), 0), delays))
    assert keys(heard) == digits
    for digit in heard:
        assert abs(digit.duration_ms - tone_ms) <= PACKET_MS

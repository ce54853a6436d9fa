"""Relaying digits from one leg to another: receiver, sender and two clock rates (T8)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.library import Native
from tests.native.network import Arrivals, at_random, delay, duplicate, reorder
from tests.native.receiver import (
    BEGIN,
    END,
    UPDATE,
    Heard,
    Receiver,
    Report,
    keys,
    pair_up,
)
from tests.native.trains import KEYS, PACKET_MS, Shape, chromium
from tests.native.wire import Event, Sender, as_arrivals, check

SLOT_US = PACKET_MS * 1000


@dataclass(frozen=True, slots=True)
class Relayed:
    """Both ends of a relay."""

    source: list[Heard]
    wire: list[Event]
    far: list[Heard]
    first_slot_us: int

    def sent_us(self, event: Event) -> int:
        """When the first final packet of an event left."""
        ends = [i for i, p in zip(event.slots, event.packets, strict=True) if p.end]
        return self.first_slot_us + ends[0] * SLOT_US


def _hand_over(sender: Sender, report: Report) -> None:
    if report.kind == BEGIN:
        assert sender.begin(report.id, report.event, report.duration_ms) == 0
    elif report.kind == UPDATE:
        assert sender.grow(report.id, report.duration_ms) == 0
    elif report.kind == END:
        assert sender.end(report.id, report.duration_ms) == 0


def relay(
    native: Native, arrivals: Arrivals, source_rate: int, sink_rate: int, phase_us: int = 0
) -> Relayed:
    """Arrivals at one leg, sent on by another whose slots come every 20 ms. Asserts at each slot
    that the wire claims no more than the source has reported by then."""
    reports = Receiver(native, source_rate).feed(arrivals)
    sender = Sender(native, sink_rate)
    start_us = arrivals[0][0] - SLOT_US + phase_us if arrivals else 0
    known_ms: list[int] = []
    onsets: list[int] = []
    waiting = deque(reports)
    while waiting or sender.busy:
        while waiting and waiting[0].at_us <= start_us + len(sender.slots) * SLOT_US:
            report = waiting.popleft()
            _hand_over(sender, report)
            if report.kind == BEGIN:
                known_ms.append(0)
            known_ms[-1] = report.duration_ms
        packet = sender.slot().packet
        if packet is None:
            continue
        if packet.marker:
            onsets.append(packet.timestamp)
        claimed = (packet.timestamp - onsets[-1] & 0xFFFFFFFF) + packet.duration
        assert claimed * 1000 <= (known_ms[len(onsets) - 1] or PACKET_MS) * sink_rate
    wire = check(sender.slots, sink_rate)
    far = Receiver(native, sink_rate).feed(as_arrivals(sender.slots))
    return Relayed(pair_up(reports), wire, pair_up(far), start_us)


def assert_exact(relayed: Relayed, sink_rate: int) -> None:
    """Each digit that the source reported is on the wire and heard with the very same duration."""
    wanted = [(h.event, h.duration_ms or PACKET_MS) for h in relayed.source]
    on_wire = [(e.event, e.units * 1000 // sink_rate) for e in relayed.wire]
    assert on_wire == wanted
    assert [(h.event, h.duration_ms) for h in relayed.far] == wanted


RATES = [(48000, 8000), (8000, 48000), (8000, 8000), (48000, 48000)]


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("shape", Shape)
def test_digits_keep_their_durations_across_clock_rates(
    native: Native, shape: Shape, rates: tuple[int, int]
) -> None:
    for tone_ms in (40, 100, 500, 2000, 6000):
        train = shape.build(KEYS, tone_ms, 40, rates[0])
        relayed = relay(native, reorder(train.packets, set(), 0), *rates)
        assert_exact(relayed, rates[1])
        assert keys(relayed.far) == KEYS
        for digit in relayed.far:
            assert abs(digit.duration_ms - tone_ms) <= PACKET_MS


@pytest.mark.parametrize("rates", RATES[:2])
def test_a_fast_row_does_not_pile_up(native: Native, rates: tuple[int, int]) -> None:
    """200 tones of 40 ms, 40 ms apart, from Chromium: the last leaves as soon as the first."""
    train = chromium("159#" * 50, 40, 40, rates[0])
    arrivals = reorder(train.packets, set(), 0)
    relayed = relay(native, arrivals, *rates, phase_us=7000)
    assert_exact(relayed, rates[1])
    lags = [
        relayed.sent_us(event) - heard.ended_us
        for event, heard in zip(relayed.wire, relayed.source, strict=True)
        if heard.ended_us is not None
    ]
    assert max(lags) <= 60_000
    assert lags[-1] <= lags[0] + SLOT_US


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_jitter_and_loss(native: Native, data: st.DataObject) -> None:
    """Whatever the receiver makes of a bad network, the other leg sends exactly that."""
    rates = data.draw(st.sampled_from(RATES))
    shape = data.draw(st.sampled_from(Shape))
    train = shape.build(
        data.draw(st.text("159#AAA", min_size=1, max_size=8)),
        data.draw(st.integers(2, 150)) * PACKET_MS,
        data.draw(st.integers(2, 15)) * PACKET_MS,
        rates[0],
        data.draw(st.integers(0, 0xFFFFFFFF)),
    )
    percent = data.draw(st.sampled_from([0, 1, 5, 10, 40]))
    lost = at_random(percent, data.draw(st.integers(0, 10_000)))(train.packets)
    arrivals = reorder(train.packets, lost, data.draw(st.integers(0, 2)))
    if data.draw(st.booleans()):
        arrivals = duplicate(arrivals)
    delays = data.draw(st.lists(st.integers(0, 90_000), min_size=1, max_size=50))
    relayed = relay(
        native, delay(arrivals, delays), *rates, phase_us=data.draw(st.integers(0, SLOT_US - 1))
    )
    assert_exact(relayed, rates[1])


def test_a_source_that_stalls_repeats_the_same_duration(native: Native) -> None:
    sender = Sender(native)
    sender.begin(5, 3, 60)
    packets = [s.packet for s in sender.run(10) if s.packet]
    assert [p.duration for p in packets] == [160, 320] + [480] * 8
    assert not any(p.end for p in packets)
    sender.grow(5, 200)
    sender.run(1)
    sender.end(5, 210)
    sender.drain()
    (event,) = check(sender.slots, 8000)
    assert [p.duration for p in event.packets[10:]] == [1600, 1680, 1680, 1680]


def test_a_digit_that_ended_before_its_turn_is_sent_whole(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 200)
    sender.begin(9, 2, 20)
    sender.run(2)
    sender.end(9, 90)
    first, second = check([*sender.slots, *sender.drain()], 8000)
    assert (first.event, second.event) == (1, 2)
    assert (first.units, second.units) == (1600, 720)


def test_an_end_below_what_is_known_takes_nothing_back(native: Native) -> None:
    sender = Sender(native)
    sender.begin(9, 2, 100)
    sender.run(5)
    sender.end(9, 0)
    sender.drain()
    (event,) = check(sender.slots, 8000)
    assert event.units == 800


def test_a_source_that_knows_no_duration_yet(native: Native) -> None:
    """Audio goes on until there is something to say; a key that never got longer is one slot."""
    sender = Sender(native)
    sender.begin(9, 2, 0)
    assert [s.packet for s in sender.run(3)] == [None] * 3
    sender.grow(9, 20)
    assert sender.slot().packet is not None
    sender.end(9, 20)
    sender.drain()
    sender.begin(10, 3, 0)
    sender.end(10, 0)
    sender.drain()
    assert [(e.event, e.units) for e in check(sender.slots, 8000)] == [(2, 160), (3, 160)]


def test_unknown_ids_are_refused(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 100, id=4)
    assert (sender.grow(4, 200), sender.end(4, 200), sender.end(77, 10)) == (-1, -1, -1)
    sender.begin(5, 1, 20)
    assert (sender.end(5, 40), sender.end(5, 40), sender.grow(5, 60)) == (0, -1, -1)


def test_tones_and_relayed_digits_share_one_queue(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 40)
    sender.begin(5, 2, 40)
    sender.send(3, 40)
    sender.run(3)
    sender.end(5, 60)
    sender.drain()
    assert [e.event for e in check(sender.slots, 8000)] == [1, 2, 3]


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(0, 16), st.integers(1, 2000)),
            st.tuples(st.just("begin"), st.integers(0, 16), st.integers(0, 300)),
            st.tuples(st.just("grow"), st.integers(0, 5), st.integers(0, 3000)),
            st.tuples(st.just("end"), st.integers(0, 5), st.integers(0, 3000)),
            st.tuples(st.just("slots"), st.integers(1, 60), st.just(0)),
            st.tuples(st.just("missing"), st.integers(1, 20), st.just(0)),
        ),
        max_size=60,
    ),
    clock_rate=st.sampled_from([8000, 48000]),
)
def test_any_order_of_calls_gives_a_valid_wire(
    native: Native, steps: list[tuple[str, int, int]], clock_rate: int
) -> None:
    sender = Sender(native, clock_rate)
    begun = 0
    for name, a, b in steps:
        if name == "send":
            sender.send(a, b)
        elif name == "begin":
            begun += sender.begin(begun, a, b) == 0
        elif name == "grow":
            sender.grow(max(0, begun - a), b)
        elif name == "end":
            sender.end(max(0, begun - a), b)
        elif name == "slots":
            sender.run(a)
        else:
            sender.timestamp = sender.timestamp + a * sender.unit & 0xFFFFFFFF
    for id in range(begun):
        sender.end(id, 0)
    sender.drain()
    events = check(sender.slots, clock_rate)
    assert not events or len(events[-1].ends) == 3

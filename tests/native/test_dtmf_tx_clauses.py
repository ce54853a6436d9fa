"""RFC 4733 sending, clause by clause (T1 to T10 of the DTMF rules)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.library import Native
from tests.native.receiver import Receiver, keys, pair_up
from tests.native.trains import KEYS, SEGMENT, ours
from tests.native.wire import Sender, Slot, as_arrivals, check

RATES = [8000, 48000]


def durations(slots: list[Slot]) -> list[int]:
    """Of the event packets."""
    return [s.packet.duration for s in slots if s.packet]


def ends(slots: list[Slot]) -> list[bool]:
    """The E bits of the event packets."""
    return [s.packet.end for s in slots if s.packet]


# ---- T1 to T5: one digit ---------------------------------------------------------------------


@pytest.mark.parametrize("volume", [0, 10, 63])
@pytest.mark.parametrize("event", [0, 11, 15, 16])
def test_t1_payload(native: Native, event: int, volume: int) -> None:
    sender = Sender(native)
    sender.send(event, 100, volume=volume)
    slots = sender.drain()
    assert {(s.packet.event, s.volume, s.reserved) for s in slots if s.packet} == {
        (event, volume, False)
    }


def test_t1_volume_stays_in_its_field(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 40, volume=200)
    slot = sender.slot()
    assert slot.packet is not None
    assert (slot.volume, slot.packet.end, slot.reserved) == (63, False, False)


@pytest.mark.parametrize("clock_rate", RATES)
def test_t2_t3_t4_t5_seventy_milliseconds(native: Native, clock_rate: int) -> None:
    """Updates every slot, the true end in the fourth, three final packets a slot apart."""
    sender = Sender(native, clock_rate)
    sender.run(5)
    sender.send(1, 70, id=42)
    slots = sender.drain()
    unit = clock_rate // 50
    final = 70 * clock_rate // 1000
    assert durations(slots) == [unit, 2 * unit, 3 * unit, final, final, final]
    assert ends(slots) == [False, False, False, True, True, True]
    assert [s.packet.marker for s in slots if s.packet] == [True] + [False] * 5
    assert {s.packet.timestamp for s in slots if s.packet} == {4000 + 5 * unit}
    assert [(s.id, s.finished_ms) for s in slots if s.finished] == [(42, 70)]
    assert [s.packet is None for s in slots] == [False] * 6 + [True] * 3


@pytest.mark.parametrize("clock_rate", RATES)
def test_t4_t5_a_tone_of_one_slot_or_less(native: Native, clock_rate: int) -> None:
    for tone_ms in (1, 10, 20):
        sender = Sender(native, clock_rate)
        sender.send(9, tone_ms)
        slots = sender.drain()
        assert durations(slots) == [tone_ms * clock_rate // 1000] * 3
        assert ends(slots) == [True] * 3
        assert [s.packet.marker for s in slots if s.packet] == [True, False, False]


@pytest.mark.parametrize("clock_rate", RATES)
def test_it_sends_what_the_model_sends(native: Native, clock_rate: int) -> None:
    """The independent model of trains.py, packet by packet."""
    for tone_ms in (40, 100, 500, 2000, 6000):
        train = ours(KEYS, tone_ms, 30, clock_rate, 4000)
        sender = Sender(native, clock_rate)
        for event in range(16):
            assert sender.send(event, tone_ms, 30) == 0
        sent = [s.packet for s in sender.drain() if s.packet]
        wanted = [p for p in train.packets if p.digit >= 0]
        assert [(p.timestamp, p.payload, p.marker) for p in sent] == [
            (p.timestamp, p.payload, p.marker) for p in wanted
        ]


# ---- T6: segments ----------------------------------------------------------------------------


@pytest.mark.parametrize(("clock_rate", "segments"), [(48000, 5), (8000, 1)])
def test_t6_six_seconds(native: Native, clock_rate: int, segments: int) -> None:
    sender = Sender(native, clock_rate)
    sender.send(1, 6000)
    (event,) = check(sender.drain(), clock_rate)
    stamps = sorted({p.timestamp for p in event.packets})
    assert [b - a for a, b in pairwise(stamps)] == [SEGMENT] * (segments - 1)
    assert event.units == 6 * clock_rate
    assert [p.marker for p in event.packets].count(True) == 1
    for stamp in stamps[:-1]:
        of_segment = [p for p in event.packets if p.timestamp == stamp]
        assert (of_segment[-1].duration, of_segment[-1].end) == (SEGMENT, False)


@pytest.mark.parametrize("beyond", [-20, -15, -1, 0, 1, 4, 5, 6, 20, 25, 26, SEGMENT, SEGMENT + 1])
def test_t6_around_the_boundary(native: Native, beyond: int) -> None:
    """Ends just before, at and after 0xFFFF units."""
    sender = Sender(native, 1000, packet_ms=20)  # 1 unit = 1 ms: any boundary can be hit
    final = SEGMENT + beyond
    sender.send(1, final)
    (event,) = check(sender.drain(), 1000)
    assert event.units == final
    assert len({p.timestamp for p in event.packets}) == -(-final // SEGMENT)
    assert len(event.ends) == 3


# ---- T7: allowed events ----------------------------------------------------------------------


def test_t7_only_events_that_the_peer_lists(native: Native) -> None:
    sender = Sender(native, allowed=0b1000_0000_0010)
    assert [e for e in range(17) if sender.send(e, 40) == 0] == [1, 11]
    assert {sender.send(e, 40) for e in (0, 2, 16)} == {-2}
    assert sender.begin(1, 0, 20) == -2
    assert [e.event for e in check(sender.drain(), 8000)] == [1, 11]


def test_bad_arguments(native: Native) -> None:
    sender = Sender(native)
    assert sender.send(17, 40) == -3
    assert sender.send(255, 40) == -3
    assert sender.send(1, 0) == -3
    assert sender.begin(1, 17, 40) == -3
    assert not sender.busy


def test_a_full_queue_refuses(native: Native) -> None:
    sender = Sender(native)
    accepted = [sender.send(1, 40) for _ in range(70)]
    assert accepted == [0] * 64 + [-1] * 6
    assert sender.begin(7, 1, 20) == -1
    assert len(check(sender.drain(), 8000)) == 64
    assert sender.send(1, 40) == 0


# ---- T9 and T10: audio and gaps ----------------------------------------------------------------


@pytest.mark.parametrize("clock_rate", RATES)
@pytest.mark.parametrize(
    ("tone_ms", "gap_ms", "onset_to_onset_ms"),
    [(40, 0, 80), (40, 30, 80), (40, 40, 80), (40, 41, 100), (100, 70, 180), (70, 30, 120)],
)
def test_t10_onset_to_onset(
    native: Native, clock_rate: int, tone_ms: int, gap_ms: int, onset_to_onset_ms: int
) -> None:
    """The sooner of whole slots that owes neither a final packet nor the gap."""
    sender = Sender(native, clock_rate)
    for _ in range(4):
        sender.send(7, tone_ms, gap_ms)
    events = check(sender.drain(), clock_rate)
    onsets = [e.onset for e in events]
    apart = {b - a for a, b in pairwise(onsets)}
    assert apart == {onset_to_onset_ms * clock_rate // 1000}


def test_t9_audio_flows_in_a_long_gap(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 40, 200)
    sender.send(2, 40, 30)
    slots = sender.drain()
    assert "".join("A" if s.packet is None else "e" for s in slots) == "eeee" + "A" * 8 + "eeeeAAA"


def test_the_gap_is_owed_to_digits_queued_later(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 40, 500)
    sender.drain()
    assert not sender.busy
    sender.send(2, 40)
    first, second = check([*sender.slots, *sender.drain()], 8000)
    assert second.onset - first.onset == 27 * 160  # 540 ms


@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
def test_other_packet_times(native: Native, packet_ms: int) -> None:
    sender = Sender(native, packet_ms=packet_ms)
    for event, tone_ms in enumerate((40, 70, 100, 500)):
        sender.send(event, tone_ms, 30)
    events = check(sender.drain(), 8000)
    assert [e.units // 8 for e in events] == [40, 70, 100, 500]


# ---- the clock -------------------------------------------------------------------------------


@pytest.mark.parametrize("clock_rate", RATES)
def test_missing_slots_are_time_that_passed(native: Native, clock_rate: int) -> None:
    sender = Sender(native, clock_rate)
    sender.send(1, 200)
    sender.send(2, 40)
    sender.run(2)
    sender.timestamp += 4 * sender.unit
    slot = sender.slot()
    assert slot.packet is not None
    assert slot.packet.duration == 7 * sender.unit
    sender.drain()
    events = check(sender.slots, clock_rate)
    assert [e.units * 1000 // clock_rate for e in events] == [200, 40]


@pytest.mark.parametrize("jump", [-1_000_000, -160, 0, 1_000_000, 1 << 31])
def test_a_stream_that_starts_again_keeps_events_valid(native: Native, jump: int) -> None:
    for at in range(7):
        sender = Sender(native, timestamp=2_000_000)
        sender.send(1, 70, 30)
        sender.run(at)
        sender.timestamp = sender.timestamp - sender.unit + jump & 0xFFFFFFFF
        sender.drain()
        (event,) = check(sender.slots, 8000)
        assert event.units == 560
        assert len(event.ends) == 3


def test_a_clock_that_stands_still_does_not_hold_an_event_up(native: Native) -> None:
    sender = Sender(native)
    sender.send(1, 70)
    for _ in range(6):
        sender.slot(4000)
    (event,) = check(sender.slots, 8000)
    assert (event.units, len(event.ends)) == (560, 3)


def test_timestamps_wrap(native: Native) -> None:
    for first in range(0xFFFFFFFF - 1600, 0xFFFFFFFF, 100):
        sender = Sender(native, timestamp=first)
        sender.send(1, 100)
        sender.send(1, 100)
        assert [e.units for e in check(sender.drain(), 8000)] == [800, 800]


# ---- everything at once ------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    clock_rate=st.sampled_from(RATES),
    packet_ms=st.sampled_from([10, 20, 40, 60]),
    timestamp=st.integers(0, 0xFFFFFFFF),
    tones=st.lists(
        st.tuples(st.integers(0, 16), st.integers(1, 3000), st.integers(0, 300)),
        min_size=1,
        max_size=12,
    ),
    missing=st.sets(st.integers(0, 400), max_size=20),
)
def test_what_is_sent_is_heard(
    native: Native,
    clock_rate: int,
    packet_ms: int,
    timestamp: int,
    tones: list[tuple[int, int, int]],
    missing: set[int],
) -> None:
    """Any row of tones, with slots that never come, arrives whole at a receiver."""
    sender = Sender(native, clock_rate, packet_ms=packet_ms, timestamp=timestamp)
    for event, tone_ms, gap_ms in tones:
        assert sender.send(event, tone_ms, gap_ms) == 0
    for number in range(20_000):
        if not sender.busy:
            break
        if number in missing:
            sender.timestamp = sender.timestamp + sender.unit & 0xFFFFFFFF
        sender.slot()
    events = check(sender.slots, clock_rate)
    assert [(e.event, e.units * 1000 // clock_rate) for e in events] == [t[:2] for t in tones]
    for (_, _, gap_ms), before, after in zip(tones, events, events[1:], strict=False):
        gap = (after.onset - before.onset & 0xFFFFFFFF) - before.units
        assert gap * 1000 >= gap_ms * clock_rate

    heard = pair_up(Receiver(native, clock_rate).feed(as_arrivals(sender.slots)))
    assert [(h.event, h.duration_ms) for h in heard] == [t[:2] for t in tones]


def test_sixteen_digits_round_trip(native: Native) -> None:
    for clock_rate in RATES:
        for tone_ms in (40, 100, 500, 2000, 6000):
            sender = Sender(native, clock_rate)
            for event in range(16):
                sender.send(event, tone_ms, 30)
            heard = pair_up(Receiver(native, clock_rate).feed(as_arrivals(sender.drain())))
            assert keys(heard) == KEYS
            assert {h.duration_ms for h in heard} == {tone_ms}

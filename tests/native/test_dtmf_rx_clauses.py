"""RFC 4733 receiving, clause by clause (R1 to R3, R5 and R6 of the DTMF rules)."""

from __future__ import annotations

import pytest

from tests.native.library import Native
from tests.native.network import arrive, reorder
from tests.native.receiver import BEGIN, END, SSRC, UPDATE, Receiver, hear, keys, pair_up
from tests.native.trains import KEYS, SEGMENT, Packet, Shape, ours, payload

MS = 1000


# ---- R1: SSRC, timestamp and event name an event ---------------------------------------------


def test_a_digit_begins_with_its_first_packet_and_ends_with_its_final_one(native: Native) -> None:
    receiver = Receiver(native)
    begun = receiver.packet(1000 * MS, 4000, payload(5, 160))
    grown = receiver.packet(1020 * MS, 4000, payload(5, 320, flags=17))
    ended = receiver.packet(1040 * MS, 4000, payload(5, 400, end=True, flags=17))
    assert [(r.kind, r.event, r.duration_ms, r.volume) for r in begun + grown + ended] == [
        (BEGIN, 5, 20, 10),
        (UPDATE, 5, 40, 17),
        (END, 5, 50, 17),
    ]
    assert len({r.id for r in begun + grown + ended}) == 1


@pytest.mark.parametrize("event", range(17))
def test_one_final_packet_is_a_whole_digit(native: Native, event: int) -> None:
    receiver = Receiver(native, 48000)
    reports = receiver.packet(5, 77, payload(event, 4800, end=True))
    assert [(r.kind, r.event, r.duration_ms) for r in reports] == [
        (BEGIN, event, 100),
        (END, event, 100),
    ]


def test_the_next_digit_ends_one_whose_final_packets_were_lost(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 0, payload(1, 160))
    receiver.packet(20 * MS, 0, payload(1, 320))
    reports = receiver.packet(70 * MS, 560, payload(2, 160))
    assert [(r.kind, r.event, r.duration_ms) for r in reports] == [(END, 1, 40), (BEGIN, 2, 20)]


def test_another_ssrc_is_another_stream(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 900, payload(3, 160))
    reports = receiver.packet(20 * MS, 900, payload(3, 160), ssrc=SSRC + 1)
    assert [(r.kind, r.event) for r in reports] == [(END, 3), (BEGIN, 3)]
    assert receiver.packet(40 * MS, 900, payload(3, 320)) == []  # the old stream's is late
    assert [r.kind for r in receiver.packet(41 * MS, 900, payload(3, 320), ssrc=SSRC + 1)] == [
        UPDATE
    ]


def test_timestamps_wrap(native: Native) -> None:
    for first in range(0xFFFFFFFF - 3000, 0xFFFFFFFF, 320):
        train = ours("1199", 100, 30, 8000, first)
        heard = hear(native, train, arrive(train))
        assert keys(heard) == "1199"
        assert [h.duration_ms for h in heard] == [100] * 4


def test_a_first_packet_of_no_duration_begins_a_digit(native: Native) -> None:
    receiver = Receiver(native)
    assert [(r.kind, r.duration_ms) for r in receiver.packet(0, 5, payload(8, 0))] == [(BEGIN, 0)]
    reports = receiver.packet(20 * MS, 5, payload(8, 160, end=True))
    assert [(r.kind, r.duration_ms) for r in reports] == [(END, 20)]


def test_closing_ends_what_is_in_progress(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 5, payload(8, 480))
    assert [(r.kind, r.event, r.duration_ms) for r in receiver.flush()] == [(END, 8, 60)]
    assert receiver.flush() == []


# ---- R2: late and repeated packets -------------------------------------------------------------


def test_repeats_of_a_finished_digit_give_nothing_and_are_counted(native: Native) -> None:
    train = ours("4", 100, 30, 8000)
    receiver = Receiver(native)
    arrivals = arrive(train)
    assert keys(pair_up(receiver.feed(arrivals))) == "4"
    assert receiver.ignored == 2  # the second and third final packet
    again = [(at_us + 300 * MS, packet) for at_us, packet in arrivals]
    assert receiver.feed(again) == []
    assert receiver.ignored == 2 + len(arrivals)


def test_late_packets_do_not_revive_a_digit_that_timed_out(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 5, payload(8, 480))
    assert [r.kind for r in receiver.poll(60 * MS)] == [END]
    assert receiver.packet(90 * MS, 5, payload(8, 1120)) == []
    assert receiver.packet(110 * MS, 5, payload(8, 1280, end=True)) == []
    assert receiver.ignored == 2


def test_a_packet_older_than_the_digit_in_progress_gives_nothing(native: Native) -> None:
    """The only packet of the first digit was overtaken: digits are never told out of order."""
    receiver = Receiver(native)
    receiver.packet(1000 * MS, 10_000, payload(2, 160))
    assert receiver.packet(1005 * MS, 9_440, payload(1, 320, end=True)) == []
    assert receiver.ignored == 1
    receiver.packet(1020 * MS, 10_000, payload(2, 320, end=True))
    assert receiver.packet(1030 * MS, 9_440, payload(1, 320, end=True)) == []


def test_a_newer_digit_counts_although_an_older_packet_came_after_it_began(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 1000, payload(1, 320, end=True))
    reports = receiver.packet(100 * MS, 3000, payload(7, 320))
    reports += receiver.packet(101 * MS, 1000, payload(1, 320, end=True))
    reports += receiver.packet(120 * MS, 3000, payload(7, 480, end=True))
    assert [(r.kind, r.event, r.duration_ms) for r in reports] == [(BEGIN, 7, 40), (END, 7, 60)]


def test_a_sender_whose_timestamps_go_back_is_heard(native: Native) -> None:
    """SIPp plays recordings in any order: their timestamps jump back by less than a second."""
    receiver = Receiver(native)
    receiver.packet(0, 17_632, payload(0, 2240, end=True))
    reports = receiver.packet(900 * MS, 13_280, payload(1, 160))
    assert [(r.kind, r.event) for r in reports] == [(BEGIN, 1)]


def test_a_recording_played_twice_is_two_digits(native: Native) -> None:
    """Same SSRC, same timestamp: only silence and a new start tell them apart, and one stray
    packet is no start."""
    train = Shape.SIPP.build("6", 280, 30, 8000)
    receiver = Receiver(native)
    first = arrive(train)
    second = [(at_us + 1300 * MS, packet) for at_us, packet in first]
    heard = pair_up(receiver.feed(first, tail_us=100 * MS) + receiver.feed(second))
    assert keys(heard) == "66"
    assert [h.duration_ms for h in heard] == [280, 280]
    assert receiver.packet(9_000 * MS, 5000, payload(6, 320)) == []


# ---- R3: all final packets lost ---------------------------------------------------------------


@pytest.mark.parametrize("clock_rate", [8000, 48000])
def test_a_digit_without_its_end_times_out_after_three_intervals(
    native: Native, clock_rate: int
) -> None:
    train = ours("4", 200, 30, clock_rate)
    arrivals = [a for a in arrive(train) if not a[1].end]
    (heard,) = pair_up(Receiver(native, clock_rate).feed(arrivals))
    assert heard.ended_us is not None
    assert 0 < heard.ended_us - arrivals[-1][0] <= 60 * MS
    assert heard.duration_ms == 180


def test_it_does_not_time_out_earlier(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(1000 * MS, 5, payload(8, 160))
    assert receiver.poll(1000 * MS + 59_999) == []
    assert [r.kind for r in receiver.poll(1060 * MS)] == [END]
    assert receiver.poll(2000 * MS) == []


def test_the_interval_is_learnt_from_a_slower_sender(native: Native) -> None:
    """Of 50 ms: there the digit ends 150 ms after its last report."""
    receiver = Receiver(native)
    for i in range(1, 7):
        receiver.packet(i * 50 * MS, 5, payload(8, i * 400))
    assert receiver.poll(449 * MS) == []
    assert [r.kind for r in receiver.poll(450 * MS)] == [END]


def test_a_sender_too_slow_for_the_first_guess_is_learnt_all_the_same(native: Native) -> None:
    """With 60 ms packets the first digit times out between its reports; the next one does not."""
    receiver = Receiver(native)
    train = [(i * 60 * MS + 1, payload(8, i * 480, end=i == 8)) for i in range(1, 9)]
    heard = []
    for stamp, start_us in ((0, 0), (16_000, 2_000 * MS)):
        for at_us, data in train:
            heard += receiver.poll(start_us + at_us)
            heard += receiver.packet(start_us + at_us, stamp, data)
    assert [h.duration_ms for h in pair_up(heard)] == [60, 480]


@pytest.mark.parametrize("arrived", [(1, 2, 4, 6, 8, 10, 12, 14), (2, 4, 6, 8), (1, 3, 5, 7)])
def test_lost_packets_do_not_stretch_the_interval(native: Native, arrived: tuple[int, ...]) -> None:
    receiver = Receiver(native)
    for i in arrived:
        receiver.packet(i * 20 * MS, 5, payload(8, i * 160))
    assert [r.kind for r in receiver.poll((arrived[-1] * 20 + 60) * MS)] == [END]


# ---- R5: what is read and what is not ----------------------------------------------------------


@pytest.mark.parametrize("flags", [0, 0x40, 0x7F])
def test_the_reserved_bit_changes_nothing(native: Native, flags: int) -> None:
    receiver = Receiver(native)
    reports = receiver.packet(0, 5, payload(8, 160, flags=flags))
    assert [(r.kind, r.event, r.volume) for r in reports] == [(BEGIN, 8, flags & 0x3F)]


@pytest.mark.parametrize("event", [17, 64, 255])
def test_unknown_events_are_ignored(native: Native, event: int) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 5, payload(8, 160))
    assert receiver.packet(10 * MS, 500, payload(event, 160, end=True)) == []
    assert receiver.ignored == 1
    assert [r.kind for r in receiver.packet(20 * MS, 5, payload(8, 320))] == [UPDATE]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 6, 7, 9, 1499])
def test_payloads_of_the_wrong_length_are_ignored(native: Native, length: int) -> None:
    receiver = Receiver(native)
    assert receiver.packet(0, 5, bytes(length)) == []
    assert receiver.ignored == 1


def test_several_events_in_a_packet_follow_each_other(native: Native) -> None:
    """RFC 4733 2.5.1.5: each begins where the one before it ends."""
    receiver = Receiver(native)
    packed = payload(1, 400, end=True) + payload(2, 800, end=True) + payload(3, 160)
    reports = receiver.packet(0, 1000, packed)
    assert [(r.kind, r.event, r.duration_ms) for r in reports] == [
        (BEGIN, 1, 50),
        (END, 1, 50),
        (BEGIN, 2, 100),
        (END, 2, 100),
        (BEGIN, 3, 20),
    ]
    reports = receiver.packet(20 * MS, 2200, payload(3, 320))
    assert [(r.kind, r.event, r.duration_ms) for r in reports] == [(UPDATE, 3, 40)]
    assert receiver.packet(21 * MS, 1400, payload(2, 800, end=True)) == []


def test_an_unknown_event_in_a_packet_still_takes_its_time(native: Native) -> None:
    receiver = Receiver(native)
    receiver.packet(0, 1000, payload(99, 400, end=True) + payload(2, 160))
    reports = receiver.packet(20 * MS, 1400, payload(2, 320))
    assert [(r.kind, r.event) for r in reports] == [(UPDATE, 2)]


def test_a_segment_and_its_successor_in_one_packet(native: Native) -> None:
    receiver = Receiver(native, 48000)
    receiver.packet(0, 1000, payload(2, 65000))
    receiver.packet(20 * MS, 1000, payload(2, SEGMENT) + payload(2, 425))
    (end,) = receiver.packet(40 * MS, 1000 + SEGMENT, payload(2, 1345, end=True))
    assert (end.kind, end.duration_ms) == (END, round((SEGMENT + 1345) / 48))


def test_more_events_than_reports_are_counted_not_lost_from_the_next_packet(
    native: Native,
) -> None:
    receiver = Receiver(native)
    packed = b"".join(payload(i, 160, end=True) for i in range(16))
    heard = pair_up([r for i in range(6) for r in receiver.packet(i * 10, 1000, packed)])
    assert keys(heard) == KEYS


# ---- R6: two equal digits --------------------------------------------------------------------


@pytest.mark.parametrize("clock_rate", [8000, 48000])
@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("lost_of_second", [0, 1, 2])
def test_two_equal_short_digits_stay_two(
    native: Native, clock_rate: int, shape: Shape, lost_of_second: int
) -> None:
    """40 ms long, 30 ms apart, with the first packets of the second lost."""
    train = shape.build("55", 40, 30, clock_rate)
    second = [i for i, p in enumerate(p for p in train.packets if p.digit >= 0) if p.digit == 1]
    heard = hear(native, train, arrive(train, drop=set(second[:lost_of_second])))
    assert keys(heard) == "55"
    assert [h.duration_ms for h in heard] == [40, 40]


def test_two_equal_digits_exactly_30_ms_apart(native: Native) -> None:
    """The end of the first is lost altogether; the second starts 30 ms after it."""
    receiver = Receiver(native)
    reports = receiver.packet(20 * MS, 0, payload(5, 160))
    reports += receiver.packet(110 * MS, 560, payload(5, 320, end=True))
    assert [(r.kind, r.duration_ms) for r in reports] == [
        (BEGIN, 20),
        (END, 20),
        (BEGIN, 40),
        (END, 40),
    ]


def test_arrivals_of_the_reorder_model_keep_every_packet() -> None:
    """The matrix would prove nothing if its network lost packets by itself."""
    train = ours("159#", 100, 30, 8000)
    sent: list[Packet] = [p for p in train.packets if p.digit >= 0]
    for by in (0, 1, 2):
        arrived = [p for _, p in reorder(train.packets, set(), by)]
        assert sorted(map(repr, arrived)) == sorted(map(repr, sent))
        assert (arrived == sent) == (by == 0)

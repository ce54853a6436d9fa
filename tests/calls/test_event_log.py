"""The event log: order, replay, and subscribers that do not keep up."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import NORMAL
from gateway.events import CallEnded, CallRinging, DigitReceived
from gateway.ids import CallId, LegId
from gateway.storage import Envelope, EventLog, EventsLost, Subscription, encode
from gateway.testing import ManualClock, virtual_time

ONE, TWO = CallId("c-1"), CallId("c-2")
RINGING = CallRinging(LegId("l-1"))
ENDED = CallEnded(NORMAL, answered=True, duration_ms=5, talk_ms=4)


def make_log(size: int = 10_000, events: int = 0) -> EventLog:
    log = EventLog(ManualClock(), size)
    for _ in range(events):
        log.append(ONE, RINGING)
    return log


def drain(subscription: Subscription) -> list[Envelope | EventsLost]:
    items = []
    while (item := subscription.take()) is not None:
        items.append(item)
    return items


def sequences(items: list[Envelope | EventsLost]) -> list[object]:
    return [item.sequence if isinstance(item, Envelope) else item for item in items]


def test_events_are_numbered_from_one_over_all_calls() -> None:
    log = make_log()
    assert log.last_sequence == 0
    numbers = [log.append(call, RINGING).sequence for call in (ONE, TWO, ONE)]
    assert numbers == [1, 2, 3]
    assert log.last_sequence == 3


def test_an_event_carries_both_clocks() -> None:
    clock = ManualClock(50)
    log = EventLog(clock)
    clock.advance(2.5)
    assert log.append(ONE, RINGING).at == clock.now()


def test_replay_gives_what_came_after() -> None:
    log = make_log(events=5)
    assert [item.sequence for item in log.replay(2)] == [3, 4, 5]
    assert log.replay(5) == []
    assert log.replay(99) == []


def test_replay_of_one_call() -> None:
    log = make_log()
    for call in (ONE, TWO, ONE, TWO):
        log.append(call, RINGING)
    assert [item.sequence for item in log.replay(1, TWO)] == [2, 4]


def test_only_the_newest_are_kept_and_a_late_subscriber_is_told() -> None:
    log = make_log(size=3, events=10)
    assert [item.sequence for item in log.replay(0)] == [8, 9, 10]
    assert sequences(drain(log.subscribe(since=5))) == [EventsLost(6, 7), 8, 9, 10]
    assert sequences(drain(log.subscribe(since=7))) == [8, 9, 10]


def test_a_subscription_without_since_gets_only_what_comes() -> None:
    log = make_log(events=3)
    subscription = log.subscribe()
    log.append(ONE, RINGING)
    assert sequences(drain(subscription)) == [4]


def test_a_slow_subscriber_loses_its_oldest_and_nobody_else_does() -> None:
    log = make_log()
    slow, quick = log.subscribe(capacity=2), log.subscribe(capacity=100)
    for _ in range(5):
        log.append(ONE, RINGING)
    assert sequences(drain(slow)) == [EventsLost(1, 3), 4, 5]
    assert sequences(drain(quick)) == [1, 2, 3, 4, 5]
    log.append(ONE, RINGING)
    assert sequences(drain(slow)) == [6]  # it has caught up


def test_the_replay_counts_against_the_capacity() -> None:
    log = make_log(events=10)
    assert sequences(drain(log.subscribe(since=0, capacity=3))) == [EventsLost(1, 7), 8, 9, 10]


def test_a_subscription_to_one_call_sees_no_other() -> None:
    log = make_log()
    subscription = log.subscribe(call=TWO)
    for call in (ONE, TWO, ONE, TWO):
        log.append(call, RINGING)
    assert sequences(drain(subscription)) == [2, 4]


@virtual_time
async def test_iteration_waits_for_events_and_ends_with_the_call() -> None:
    log = make_log()
    seen: list[object] = []

    async def consume() -> None:
        async for item in log.subscribe(call=ONE):
            seen.append(item)  # noqa: PERF401 - the order of arrival is what is tested

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    log.append(ONE, RINGING)
    await asyncio.sleep(1)
    assert len(seen) == 1
    log.append(ONE, ENDED)
    await task
    assert len(seen) == 2
    assert log.subscribers == 0


@virtual_time
async def test_closing_ends_the_iteration_of_who_waits() -> None:
    log = make_log()
    async with log.subscribe() as subscription:
        task = asyncio.create_task(anext(aiter(subscription), None))
        await asyncio.sleep(1)
    assert await task is None
    assert log.subscribers == 0
    subscription.close()  # twice does nothing
    log.append(ONE, RINGING)
    assert subscription.take() is None


@given(
    size=st.integers(1, 8),
    capacity=st.integers(1, 8),
    since=st.one_of(st.none(), st.integers(0, 12)),
    before=st.integers(0, 12),
    taken=st.lists(st.one_of(st.none(), st.just(True)), max_size=30),
)
@settings(deadline=None)
def test_what_is_delivered_and_what_is_lost_add_up(
    size: int, capacity: int, since: int | None, before: int, taken: list[bool | None]
) -> None:
    log = make_log(size, events=before)
    subscription = log.subscribe(since=since, capacity=capacity)
    items: list[Envelope | EventsLost] = []
    for take in taken:
        if take is None:
            log.append(ONE, RINGING)
        elif (item := subscription.take()) is not None:
            items.append(item)
    items += drain(subscription)
    expected = 1 + (before if since is None else min(since, before))
    for item in items:
        first, last = (
            (item.sequence, item.sequence)
            if isinstance(item, Envelope)
            else (item.first, item.last)
        )
        assert first == expected
        assert last >= first
        expected = last + 1
    assert expected == log.last_sequence + 1


def test_an_envelope_is_json_for_programs() -> None:
    log = make_log()
    envelope = log.append(ONE, DigitReceived(LegId("l-1"), "5", 120, 7))
    assert json.loads(json.dumps(encode(envelope))) == {
        "sequence": 1,
        "call": "c-1",
        "time": "2030-01-01T00:16:40.000Z",
        "type": "digit.received",
        "leg": "l-1",
        "digit": "5",
        "duration_ms": 120,
        "id": 7,
        "source": "rtp",
    }
    ended = encode(log.append(ONE, ENDED))
    assert json.loads(json.dumps(ended))["verdict"]["code"] == "normal"


@pytest.mark.parametrize("bad", [0, -1])
def test_no_room_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make_log(size=bad)
    with pytest.raises(ValueError, match="at least 1"):
        make_log().subscribe(capacity=bad)

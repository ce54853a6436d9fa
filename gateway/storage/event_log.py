"""Owns the one ordered event log: a bounded ring in memory, with replay and bounded subscriptions.

Everything that wants to know what happens to calls consumes this log. All methods belong to the
asyncio thread. A subscriber that does not keep up loses its own oldest events, is told which
(EventsLost), and costs nobody else anything. What is to outlive the process is a keeper's
(event_store.py), which gets each event before anybody else.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType, TracebackType
from typing import get_args

from gateway.clock import Clock, Instant
from gateway.errors import Verdict
from gateway.events import CallCreated, CallEnded, Event
from gateway.ids import DEFAULT_PROJECT, CallId

RING_SIZE = 10_000
QUEUE_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event in its place: `sequence` counts from 1 over all calls of the node, restarts
    included. `project` is the call's."""

    sequence: int
    call: CallId
    at: Instant
    event: Event
    project: str = DEFAULT_PROJECT


def encode(envelope: Envelope) -> dict[str, object]:
    """The envelope as JSON-ready values, for programs: `sequence`, `call`, `time` (RFC 3339, UTC),
    `type` (the event's name) and the event's own fields. It holds digits and numbers: not for logs.
    """
    return {
        "sequence": envelope.sequence,
        "call": envelope.call,
        "time": envelope.at.wall.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "type": envelope.event.name,
        **{name: _plain(getattr(envelope.event, name)) for name in _FIELDS[type(envelope.event)]},
    }


_FIELDS = MappingProxyType(
    {kind: tuple(field.name for field in fields(kind)) for kind in get_args(Event)}
)


def _plain(value: object) -> object:
    # Only what has fields of its own is taken apart: asdict would copy everything.
    return asdict(value) if isinstance(value, Verdict) else value


@dataclass(frozen=True, slots=True)
class EventsLost:
    """A gap: events `first`..`last` (sequence numbers, inclusive) are not available to this
    subscriber. For a subscription to one call, some of them may belong to other calls."""

    first: int
    last: int


class Subscription:
    """One consumer's place in the log: `async for item in subscription`.

    Items are envelopes in order, with an EventsLost in the place of each gap. The iteration ends
    when the subscription is closed and, for one call's subscription, after its CallEnded.
    """

    def __init__(self, log: EventLog, call: CallId | None, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._log = log
        self._capacity = capacity
        self._queue: deque[Envelope] = deque()
        self._lost: EventsLost | None = None  # always older than everything in the queue
        self._wake = asyncio.Event()
        self._closed = False
        self.call = call

    def __aiter__(self) -> AsyncIterator[Envelope | EventsLost]:
        return self

    async def __anext__(self) -> Envelope | EventsLost:
        while True:
            item = self.take()
            if item is not None:
                return item
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    def take(self) -> Envelope | EventsLost | None:
        """The next item if one is there, without waiting."""
        if self._lost is not None:
            lost, self._lost = self._lost, None
            return lost
        if not self._queue:
            return None
        envelope = self._queue.popleft()
        if self.call is not None and isinstance(envelope.event, CallEnded):
            self.close()
        return envelope

    def close(self) -> None:
        """Stop; what is queued can still be taken. Closing twice does nothing."""
        if not self._closed:
            self._closed = True
            self._log._forget(self)
            self._wake.set()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _offer(self, envelope: Envelope) -> None:
        if len(self._queue) == self._capacity:
            dropped = self._queue.popleft()
            self._log._lost += 1
            self._lose(dropped.sequence, dropped.sequence)
        self._queue.append(envelope)
        self._wake.set()

    def _lose(self, first: int, last: int) -> None:
        self._lost = EventsLost(self._lost.first if self._lost else first, last)
        self._wake.set()


class EventLog:
    """The log of one node."""

    def __init__(self, clock: Clock, size: int = RING_SIZE) -> None:
        if size < 1:
            raise ValueError("size must be at least 1")
        self._clock = clock
        self._ring: deque[Envelope] = deque(maxlen=size)
        self._first = 0  # what came before it, came before this process
        self._last = 0
        self._keeper: Callable[[Envelope], None] | None = None
        self._projects: dict[CallId, str] = {}  # of calls that are not over
        self._lost = 0
        self._everything: set[Subscription] = set()
        self._by_call: dict[CallId, set[Subscription]] = {}

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest event; 0 when nothing has happened yet."""
        return self._last

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return len(self._everything) + sum(map(len, self._by_call.values()))

    def keep_with(self, keeper: Callable[[Envelope], None]) -> None:
        """Everything is handed to `keeper`, which must not raise, before anybody learns of it."""
        self._keeper = keeper

    def resume(self, last: int) -> None:
        """Goes on after the sequence number `last`, of an earlier process. Raises ValueError:
        numbers up to there would be given twice."""
        if last <= self._last:
            return
        if self._last != self._first:
            raise ValueError("events have happened already")
        self._first = self._last = last

    @property
    def lost(self) -> int:
        """How many events subscribers did not take in time, all subscribers together."""
        return self._lost

    def append(self, call: CallId, event: Event) -> Envelope:
        """Gives `event` its place and time, and offers it to every subscriber."""
        self._last += 1
        envelope = Envelope(self._last, call, self._clock.now(), event, self._project(call, event))
        if self._keeper is not None:
            self._keeper(envelope)
        self._ring.append(envelope)
        for subscription in self._everything:
            subscription._offer(envelope)
        for subscription in self._by_call.get(call, ()):
            subscription._offer(envelope)
        return envelope

    def replay(self, since: int, call: CallId | None = None) -> list[Envelope]:
        """Events with a sequence number above `since` that are still held, oldest first."""
        if not self._ring or since >= self._last:
            return []
        # Sequence numbers in the ring have no holes, so the place of `since` is known.
        start = max(0, since + 1 - self._ring[0].sequence)
        held = itertools.islice(self._ring, start, None)
        return [item for item in held if call is None or item.call == call]

    def subscribe(
        self, *, since: int | None = None, call: CallId | None = None, capacity: int = QUEUE_SIZE
    ) -> Subscription:
        """A subscription to all calls, or to one.

        `since`: first deliver the events held after that sequence number (0: everything held;
        None: nothing). When older ones were wanted that are gone, EventsLost comes first. The
        replay counts against `capacity`. What happened before this process is never here.
        """
        subscription = Subscription(self, call, capacity)
        if since is not None:
            since = max(since, self._first)
            oldest = self._ring[0].sequence if self._ring else self._last + 1
            if since + 1 < oldest:
                subscription._lose(since + 1, oldest - 1)
            for envelope in self.replay(since, call):
                subscription._offer(envelope)
        group = self._everything if call is None else self._by_call.setdefault(call, set())
        group.add(subscription)
        return subscription

    def _project(self, call: CallId, event: Event) -> str:
        match event:
            case CallCreated():
                self._projects[call] = event.project
                return event.project
            case CallEnded():
                return self._projects.pop(call, DEFAULT_PROJECT)
            case _:
                return self._projects.get(call, DEFAULT_PROJECT)

    def _forget(self, subscription: Subscription) -> None:
        if subscription.call is None:
            self._everything.discard(subscription)
            return
        group = self._by_call.get(subscription.call, set())
        group.discard(subscription)
        if not group:
            self._by_call.pop(subscription.call, None)

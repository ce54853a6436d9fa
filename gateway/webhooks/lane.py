"""Owns the way to one webhook: a call's events one after another, calls beside each other.

Of each call only the delivery that is next is known here; all others are in the database.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.storage.deliveries import Attempt, Deliveries, Head, Parcel
from gateway.storage.outbox import Enqueued
from gateway.web.webhooks import Sent
from gateway.webhooks.notebook import Notebook
from gateway.webhooks.schedule import BackOff

_log = structlog.get_logger(__name__)

PARALLEL = 8
"""Attempts under way for one webhook."""
HEADS = 5_000
"""Calls that are known at once."""
SECONDS = 15.0
"""Of one attempt."""
AGAIN = 5.0
"""Seconds until the database is asked again that failed."""
LONGEST_LOOK = 60.0
"""Seconds that the clock on the wall is not looked at, which somebody may set."""
GONE = 410
PAUSING = (429, 503)


class Sender(Protocol):
    """Sends one notice (gateway.web.webhooks.NoticeSender; tests bring their own)."""

    async def send(self, url: str, secret: str, message: str, body: str, seconds: float) -> Sent:
        """See NoticeSender.send."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What deliveries are made with. chance: gives 0 to 1."""

    store: Deliveries
    notebook: Notebook
    sender: Sender
    clock: Clock
    back_off: BackOff
    chance: Callable[[], float]


@dataclass(order=True, slots=True)
class _Due:
    at: datetime
    sequence: int
    head: Head = field(compare=False)


class Lane:
    """The lane of one webhook. It runs until it is closed, or the webhook wants nothing more."""

    def __init__(self, hook: str, means: Means, on_end: Callable[[Lane], None]) -> None:
        self.hook = hook
        self._means = means
        self._calls: dict[str, Head] = {}  # what is next of each call, also what is under way
        self._due: list[_Due] = []
        self._more: set[str] = set()  # calls that have more behind what is next
        self._complete = False  # whether no call is left out
        self._stale = False  # whether there are more than the answer that is awaited can tell
        self._not_before: datetime | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[Sent]] = set()
        self._wake = asyncio.Event()
        self._ended = False
        self.task = asyncio.create_task(self._run(), name=f"webhook {hook}")
        self._on_end = on_end

    async def close(self) -> None:
        """Returns when it has ended."""
        self.end()
        await asyncio.gather(self.task, return_exceptions=True)

    def add(self, item: Enqueued) -> None:
        """A new delivery is in the database."""
        if item.call in self._calls:
            self._more.add(item.call)
        elif self._complete:
            # No need to ask: nothing of this call was waiting.
            self._put(Head(item.id, item.call, item.sequence, self._now()))
            self._complete = len(self._calls) < HEADS
        else:
            self._stale = True
        self._wake.set()

    def look(self) -> None:
        """There may be deliveries that nobody has told of."""
        self._complete = False
        self._stale = True
        self._more.update(self._calls)
        self._wake.set()

    def _now(self) -> datetime:
        return self._means.clock.now().wall

    def _put(self, head: Head) -> None:
        self._calls[head.call] = head
        heapq.heappush(self._due, _Due(head.next_at, head.sequence, head))

    # ---- the loop ---------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._ended:
                self._wake.clear()
                if not self._complete and len(self._calls) <= HEADS // 2:
                    await self._load()
                self._begin()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await self._wake.wait()
        finally:
            for sending in self._sending:
                sending.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _load(self) -> None:
        self._stale = False
        try:
            heads = await self._means.store.heads(self.hook, HEADS)
        except GatewayError as error:
            _log.warning("webhook.outbox_unreadable", webhook=self.hook, reason=str(error))
            self._later(AGAIN)
            return
        for head in heads:
            if head.call not in self._calls:
                self._put(head)
                self._more.add(head.call)
        self._complete = len(heads) < HEADS and not self._stale

    def _begin(self) -> None:
        """Begins what is due, as far as there is room."""
        now = self._now()
        if self._not_before is not None and now < self._not_before:
            return
        while self._due and self._due[0].at <= now and len(self._running) < PARALLEL:
            head = heapq.heappop(self._due).head
            task = asyncio.create_task(self._deliver(head), name=f"delivery {head.id}")
            self._running.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    def _pause(self) -> float | None:
        """Seconds until something is due; None: nothing will be by itself."""
        if not self._due or len(self._running) >= PARALLEL:
            return None if self._complete or self._running else AGAIN
        at = max(self._due[0].at, self._not_before or self._due[0].at)
        return min(max((at - self._now()).total_seconds(), 0.0), LONGEST_LOOK)

    def _later(self, seconds: float) -> None:
        self._not_before = self._now() + timedelta(seconds=seconds)

    # ---- one delivery -----------------------------------------------------------------------

    async def _deliver(self, head: Head) -> None:
        store = self._means.store
        try:
            parcel = head.parcel or await store.parcel(head.id)
            if parcel is not None and not parcel.enabled:
                self.end()
                return
            if parcel is not None:
                again = await self._attempt(head, parcel)
                if again is not None:
                    self._put(Head(head.id, head.call, head.sequence, again))
                    return
            await self._go_on(head.call)
        except GatewayError as error:  # the database's: what was sent may be sent again
            _log.warning("webhook.not_noted", webhook=self.hook, reason=str(error))
            later = self._now() + timedelta(seconds=AGAIN)
            self._more.add(head.call)
            self._put(Head(head.id, head.call, head.sequence, later))

    async def _attempt(self, head: Head, parcel: Parcel) -> datetime | None:
        """Makes an attempt and notes what became of it. When to make the next one; None: never."""
        sent = await self._send(head, parcel)
        if sent is None:
            return head.next_at
        now, note = self._now(), self._means.notebook.note
        if sent.error is None:
            await note(Attempt(head.id, now, sent.status))
            return None
        if sent.status == GONE:
            await note(Attempt(head.id, now, sent.status, sent.error, now))
            await self._means.store.give_up_on(self.hook, "Its receiver answered 410 Gone")
            _log.warning("webhook.gone", webhook=self.hook)
            self.end()
            return now
        if sent.status in PAUSING and sent.retry_after is not None:
            # It is the receiver that has too much, not this delivery.
            self._later(self._means.back_off.asked(sent.retry_after))
        again = self._means.back_off.next_at(
            parcel.attempts + 1, parcel.created_at, now, self._means.chance(), sent.retry_after
        )
        await note(Attempt(head.id, now, sent.status, sent.error, again))
        event = "webhook.dead_letter" if again is None else "webhook.failed"
        _log.warning(event, webhook=self.hook, delivery=head.id, attempts=parcel.attempts + 1,
                     status=sent.status, reason=sent.error)  # fmt: skip
        return again

    async def _send(self, head: Head, parcel: Parcel) -> Sent | None:
        """What became of it; None: it was cut off by the lane's end."""
        if self._ended:
            return None
        body = notice(parcel.text)
        sending = asyncio.create_task(
            self._means.sender.send(parcel.url, parcel.secret, head.id, body, SECONDS)
        )
        self._sending.add(sending)
        await asyncio.wait({sending})
        self._sending.discard(sending)
        return None if sending.cancelled() else sending.result()

    async def _go_on(self, call: str) -> None:
        """With the next delivery of a call, if there is one."""
        while call in self._more:
            self._more.discard(call)  # it comes back when there is news meanwhile
            following = await self._means.store.next_of_call(self.hook, call)
            if following is not None:
                self._more.add(call)
                self._put(following)
                return
        del self._calls[call]

    def end(self) -> None:
        """Ends it. What is under way is cut off, and so delivered again by the next lane; what is
        being noted in the database is not."""
        if not self._ended:
            self._ended = True
            self._on_end(self)
            self._wake.set()


def notice(text: str) -> str:
    """The body of a notice of an event, from the event's JSON: `type`, `timestamp` and `data`, as
    Standard Webhooks has them."""
    event = json.loads(text)
    return json.dumps(
        {"type": event["type"], "timestamp": event["time"], "data": event}, separators=(",", ":")
    )

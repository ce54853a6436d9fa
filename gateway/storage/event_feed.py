"""Owns the feed: events as programs read them, from a position on, out of the ring or the database.

Readers pull. Each has a position of its own and nothing else, so that one that is slow or dead
costs nobody anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from gateway.events import CallCreated
from gateway.storage.cdr import KEEP, Numbers
from gateway.storage.database import Database
from gateway.storage.event_log import RING_SIZE, Envelope, EventLog, EventsLost
from gateway.storage.event_writer import EventWriter, published_from
from gateway.storage.published import Published, Wanted, publish
from gateway.storage.tables import events

WINDOW = 20_000
"""Sequence numbers that one look into the database covers, however few events match."""
LOOKS = 2
"""Looks into the database at once, so that however many readers leave connections to the others."""
MAX_PAGE = 1_000
_COLUMNS = (
    events.c.sequence,
    events.c.project,
    events.c.call,
    events.c.type,
    events.c.at,
    events.c.monotonic,
    events.c.data,
)


@dataclass(frozen=True, slots=True)
class Portion:
    """Some events, in order. `position`: where to read on. `lost`: what came before them and
    nobody has any more; only a node without a database loses events."""

    events: Sequence[Published]
    position: int
    lost: EventsLost | None = None


class EventFeed:
    """The events of one node, for everybody outside. Belongs to the asyncio thread."""

    def __init__(
        self,
        log: EventLog,
        numbers: Numbers = KEEP,
        size: int = RING_SIZE,
        database: Database | None = None,
        writer: EventWriter | None = None,
        node: str = "",
    ) -> None:
        """writer, database: None, both: events are in memory only, the newest `size` of them."""
        self._numbers = numbers
        self._size = size
        self._database = database
        self._writer = writer
        self._node = node
        self._ring: dict[int, Published] = {}
        self._news = asyncio.Event()
        self._looks = asyncio.Semaphore(LOOKS)
        self.last = log.last_sequence
        """Sequence number of the newest event; 0 when nothing has happened yet."""
        if writer is not None:
            writer.on_commit = self.wake
        log.keep_with(self._keep)

    def resume(self, last: int) -> None:
        """The newest event of earlier processes has the sequence number `last`."""
        self.last = last

    def _keep(self, envelope: Envelope) -> None:
        event = publish(envelope, self._numbers)
        if self._writer is not None:
            self._writer.take(event)
        self._ring[event.sequence] = event
        if len(self._ring) > self._size:
            del self._ring[next(iter(self._ring))]
        self.last = event.sequence
        self.wake()

    def wake(self) -> None:
        """Has every reader look again."""
        self._news.set()
        self._news = asyncio.Event()

    @property
    def _oldest(self) -> int:
        """The first sequence number of the ring."""
        return next(iter(self._ring), self.last + 1)

    def reread(self) -> None:
        """Events were deleted from the database, and so are not to be shown from memory."""
        if self._writer is not None:
            for sequence in range(self._oldest, self._writer.committed + 1):
                del self._ring[sequence]

    async def news(self) -> None:
        """Returns when there may be more to read than now. Where the last `read` gave nothing,
        nothing is missed."""
        await self._news.wait()

    async def read(self, after: int, wanted: Wanted, limit: int = 500) -> Portion:
        """Some of the events above the sequence number `after` that are wanted, the oldest of them.

        Where `position` is `after`, there is nothing now: wait for `news`. Raises
        GatewayError(DATABASE_FAILED).
        """
        after = min(after, self.last)
        if after + 1 >= self._oldest:
            return self._read_ring(after, wanted, limit)
        if self._writer is None or self._database is None:
            lost = EventsLost(after + 1, self._oldest - 1)
            found = self._read_ring(lost.last, wanted, limit)
            whole = wanted.call is not None and self._has_begin_of(wanted.call)
            return Portion(found.events, found.position, None if whole else lost)
        return await self._read_database(self._database, self._writer, after, wanted, limit)

    def _has_begin_of(self, call: str) -> bool:
        """Whether nothing of a call is forgotten."""
        return any(
            event.call == call and event.type == CallCreated.name for event in self._ring.values()
        )

    def _read_ring(self, after: int, wanted: Wanted, limit: int) -> Portion:
        upto = min(self.last, after + WINDOW)
        found: list[Published] = []
        for sequence in range(after + 1, upto + 1):
            event = self._ring[sequence]
            if wanted.matches(event):
                found.append(event)
                if len(found) == limit:
                    return Portion(found, sequence)
        return Portion(found, upto)

    async def _read_database(
        self, database: Database, writer: EventWriter, after: int, wanted: Wanted, limit: int
    ) -> Portion:
        # A call's own events are found by its index, however far apart they are.
        reach = WINDOW if wanted.call is None else writer.committed
        upto = min(writer.committed, after + reach)
        if upto <= after:
            return Portion((), after)  # it is on its way there, and not in the ring any more
        here = (events.c.node == self._node, events.c.sequence > after, events.c.sequence <= upto)
        query = (
            select(*_COLUMNS)
            .where(*here, *_conditions(wanted))
            .order_by(events.c.sequence)
            .limit(limit)
        )
        found = await self._look(database, query)
        return Portion(found, found[-1].sequence if len(found) == limit else upto)

    async def _look(self, database: Database, query: Select[Any]) -> list[Published]:
        async with self._looks:
            return await database.read(
                lambda connection: [published_from(*row) for row in connection.execute(query)]
            )

    async def of_call(
        self, project: str, call: str, after: int = 0, limit: int = MAX_PAGE
    ) -> list[Published]:
        """The first `limit` events of a call above the sequence number `after`; none where there is
        no such call. Raises GatewayError(DATABASE_FAILED)."""
        wanted = Wanted(project, call)
        found: list[Published] = []
        if self._database is not None and self._writer is not None:
            committed = self._writer.committed  # more may be, when the answer is here
            query = (
                select(*_COLUMNS)
                .where(*_conditions(wanted), events.c.sequence > after)
                .order_by(events.c.sequence)
                .limit(limit)
            )
            found = await self._look(self._database, query)
            after = found[-1].sequence if found else max(after, committed)
        for sequence, event in self._ring.items():
            if len(found) == limit:
                break
            if sequence > after and wanted.matches(event):
                found.append(event)
        return found


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found = [events.c.project == wanted.project]
    if wanted.call is not None:
        found.append(events.c.call == wanted.call)
    if wanted.types:
        found.append(
            or_(
                *(
                    events.c.type.startswith(name, autoescape=True)
                    if name.endswith(".")
                    else events.c.type == name
                    for name in wanted.types
                )
            )
        )
    return found

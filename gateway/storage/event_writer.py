"""Owns the way of events into the database: journal first, then batches beside the calls.

A batch, what webhooks are to be told of it (outbox.py) and the node's last sequence number are one
transaction. Batches are in order, so that the database always has a beginning of the log.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.clock import Clock, Instant
from gateway.errors import GatewayError
from gateway.ids import CallId
from gateway.storage.database import Database
from gateway.storage.journal import Journal
from gateway.storage.outbox import Enqueued, enqueue
from gateway.storage.published import Published
from gateway.storage.records import pauses
from gateway.storage.tables import event_nodes, events
from gateway.storage.upserts import insert_new, upsert

_log = structlog.get_logger(__name__)

BATCH = 500
BACKLOG = 100_000
"""Events that wait for the database in memory; beyond, the journal alone has them."""
FROM_JOURNAL = 20_000
"""Events that are read from it at once."""
GATHER = 0.1
"""Seconds between two writes, in which a batch comes together."""
SETTLE = 1.0
"""Seconds between two looks at whether the journal is still needed."""

_INSERT = insert(events)

Told = Callable[[Sequence[Enqueued]], None]


class EventWriter:
    """Writes the events of a node. Belongs to the asyncio thread."""

    def __init__(
        self,
        database: Database,
        node: str,
        clock: Clock,
        journal: Journal | None = None,
        settled: Callable[[], int | None] = lambda: None,
        backlog: int = BACKLOG,
    ) -> None:
        """journal None: what waits is in memory only. settled: up to which event whatever else
        reads the journal after a crash is done; None: up to the newest."""
        self._database = database
        self._node = node
        self._clock = clock
        self._journal = journal
        self._settled = settled
        self._most = backlog
        self._pending: deque[Published] = deque()
        self._spilled = False
        self._unsure = False  # whether a transaction that failed was committed all the same
        self._last = 0
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.committed = 0
        """The sequence number up to which the database has everything."""
        self.lost = 0
        """How many events were lost: neither journal nor database took them."""
        self.on_commit: Callable[[], None] = lambda: None
        self.on_enqueued: Told = lambda _: None

    @property
    def waiting(self) -> int:
        """How many events wait for the database."""
        return self._last - self.committed

    @property
    def failing(self) -> bool:
        """Whether events are in this process only: the journal's disk does not take them."""
        return self._journal is not None and self._journal.failed

    def resume(self, last: int) -> None:
        """The database has everything up to `last`."""
        self._last = self.committed = last

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._write_on(), name="events: writing")

    async def close(self, patience: float = 5.0) -> None:
        """Writes what has happened until now, for at most `patience` seconds, and ends. What is
        left then waits in the journal for the next start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                async with self._writing:  # no transaction is cut off
                    await self._stop()
                await self.flush()
        await self._stop()
        self._settle()
        if self.waiting:
            _log.warning("events.wait_for_next_start", events=self.waiting)

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def take(self, event: Published) -> None:
        """Keeps an event. Never raises and never waits for the database."""
        written = self._journal is not None and self._journal.append(event)
        self._last = event.sequence
        if not self._spilled and len(self._pending) < self._most:
            self._pending.append(event)
        elif written:
            self._spilled = True
        else:
            self.lost += 1
            _log.error("events.lost", call=event.call, type=event.type, lost=self.lost)
        self._wake.set()

    async def flush(self) -> None:
        """Returns when all that has happened until now is in the database, however long that
        takes."""
        for pause in pauses():
            if await self._write():
                return
            await asyncio.sleep(pause)

    async def _write_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE if self._to_settle else None):
                    await self._wake.wait()
            self._wake.clear()
            for pause in pauses():
                if await self._write():
                    break
                await asyncio.sleep(pause)
            self._settle()
            await asyncio.sleep(GATHER)

    async def _write(self) -> bool:
        """Writes what waits; False: the database does not take it now."""
        async with self._writing:
            try:
                if self._unsure:
                    self.committed = await last_sequence(self._database, self._node)
                    self._unsure = False
                    self.on_enqueued(())
                while batch := await self._next():
                    await self._commit(batch)
            except GatewayError as error:
                self._unsure = True
                _log.warning("events.not_written", waiting=self.waiting, reason=str(error))
                return False
        return True

    async def _next(self) -> list[Published]:
        """What is to be written next. It stays where it is until it has been."""
        while self._pending and self._pending[0].sequence <= self.committed:
            self._pending.popleft()
        if self._pending:
            return list(itertools.islice(self._pending, BATCH))
        while self._spilled and self._journal is not None:
            newest = self._last
            found = await asyncio.to_thread(self._journal.read, self.committed, FROM_JOURNAL)
            self._pending.extend(found)
            if found:
                return found[:BATCH]
            # What has happened during the reading is in the journal alone: read again.
            self._spilled = self._last != newest
        return []

    async def _commit(self, batch: Sequence[Published]) -> None:
        try:
            await self.store(batch)
        except SQLAlchemyError as error:
            # An event that the database will never take must not keep back all others.
            _log.error("events.refused", events=len(batch), reason=type(error).__name__)
            for event in batch:
                try:
                    await self.store([event])
                except SQLAlchemyError:
                    self.lost += 1
                    _log.error("events.lost", call=event.call, type=event.type, lost=self.lost)
                    self.committed = event.sequence

    async def store(self, batch: Sequence[Published]) -> None:
        """One transaction. Raises GatewayError, and SQLAlchemyError for what it will never take."""
        last = batch[-1].sequence
        now = self._clock.now().wall

        def write(connection: Connection) -> list[Enqueued]:
            connection.execute(_INSERT, [_row(event, self._node) for event in batch])
            upsert(connection, event_nodes, [{"node": self._node, "sequence": last}])
            return enqueue(connection, batch, self._node, now)

        enqueued = await self._database.write(write)
        self.committed = last
        self.on_commit()
        if enqueued:
            self.on_enqueued(enqueued)

    @property
    def _to_settle(self) -> bool:
        return self._journal is not None and not self._journal.empty

    def _settle(self) -> None:
        if self._journal is None:
            return
        others = self._settled()
        upto = self.committed if others is None else min(self.committed, others)
        try:
            self._journal.settle(upto)
        except OSError as error:
            _log.warning("journal.not_settled", folder=str(self._journal), reason=str(error))


async def last_sequence(database: Database, node: str) -> int:
    """The number of the newest event that the database has, or had, of a node. 0: none."""
    newest = select(event_nodes.c.sequence).where(event_nodes.c.node == node)

    def read(connection: Connection) -> int:
        # A server may yet commit what a process sent it before it was killed, or lost it: whoever
        # wants the node's row waits until then.
        insert_new(connection, event_nodes, {"node": node, "sequence": 0})
        return int(connection.scalar(newest.with_for_update()) or 0)

    return await database.write(read)


def _row(event: Published, node: str) -> dict[str, object]:
    return {
        "node": node,
        "sequence": event.sequence,
        "project": event.project,
        "call": event.call,
        "type": event.type,
        "at": event.at.wall,
        "monotonic": event.at.monotonic,
        "data": event.text,
    }


def published_from(
    sequence: int, project: str, call: str, kind: str, at: datetime, monotonic: float, data: str
) -> Published:
    """An event from the columns of its row."""
    return Published(sequence, project, CallId(call), kind, Instant(monotonic, at), data)

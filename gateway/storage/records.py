"""Owns writing call records: from the event log into the database, in batches, beside the calls.

A call's record is written when the call is created, so that a crash leaves it open; when it is
answered; and at its end. Calls never wait for the database: what cannot be written now is kept
until it can, as long as the process lives.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import INTERRUPTED, GatewayError
from gateway.events import CallAnswered, CallCreated, CallEnded
from gateway.ids import CallId
from gateway.storage.cdr import KEEP, Cdr, CdrFold, Numbers
from gateway.storage.database import Database
from gateway.storage.event_log import Envelope, EventLog, EventsLost
from gateway.storage.rows import call_row, leg_rows
from gateway.storage.tables import calls, legs
from gateway.storage.upserts import upsert
from gateway.terms import CdrState, Party

_log = structlog.get_logger(__name__)

BATCH = 500
BACKLOG = 100_000
"""Calls whose records may wait for the database."""
QUEUE = 50_000
"""Events that may wait to be folded: more than a second of the busiest node's."""
GATHER = 0.1
"""Seconds between two writes, in which a batch comes together."""
RETRY = (0.5, 30.0)
"""Seconds before a write is tried again: at first, and at most."""
PROBES = 3
"""Records that are tried alone before the database counts as down."""
ATTEMPTS = 5
"""After so many in which others were written, a record that is not taken is given up."""
_MILESTONES = (CallCreated, CallAnswered, CallEnded)
_FAILURES = (GatewayError, SQLAlchemyError)


class RecordWriter:
    """Writes the records of a node's calls. Belongs to the asyncio thread.

    It reads the log from the moment it is made, which therefore is before the first call.
    """

    def __init__(
        self,
        database: Database,
        log: EventLog,
        node: str,
        numbers: Numbers = KEEP,
        backlog: int = BACKLOG,
    ) -> None:
        """node: which of the nodes that share the database this is. backlog: see BACKLOG."""
        self._database = database
        self._subscription = log.subscribe(capacity=QUEUE)
        self._node = node
        self._numbers = numbers
        self._most = backlog
        self._folds: dict[CallId, CdrFold] = {}
        self._waiting: dict[CallId, Cdr] = {}  # the newest record of each call to be written
        self._since: dict[CallId, int] = {}  # the first event that the record does not have
        self._attempts: dict[CallId, int] = {}
        self._seen = 0  # the newest event that was folded
        self._lost = 0
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._waiting)

    @property
    def lost(self) -> int:
        """How many records could not be kept until the database took them."""
        return self._lost

    @property
    def settled(self) -> int:
        """The sequence number up to which everything that records tell is written."""
        return min(self._since.values(), default=self._seen + 1) - 1

    async def start(self) -> None:
        """Closes what a crash left open, and begins. Raises GatewayError(DATABASE_FAILED)."""
        found = await close_interrupted(self._database, self._node)
        if found:
            _log.warning("records.interrupted", calls=found)
        self._tasks = [
            asyncio.create_task(self._follow(), name="records: events"),
            asyncio.create_task(self._write_on(), name="records: writing"),
        ]

    async def close(self, patience: float = 5.0) -> None:
        """Writes what has happened until now, for at most `patience` seconds, and ends."""
        self._subscription.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                async with self._writing:  # no transaction is cut off
                    await self._stop_tasks()
                await self.flush()
        await self._stop_tasks()
        if self._waiting:
            self._lost += len(self._waiting)
            _log.error("records.lost", calls=len(self._waiting), why="the node stops")

    async def _stop_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def flush(self) -> None:
        """Returns when all that has happened until now is in the database, however long that
        takes."""
        while (item := self._subscription.take()) is not None:
            self._take(item)
        for pause in pauses():
            await self._write()
            if not self._waiting:
                return
            await asyncio.sleep(pause)

    # ---- events -----------------------------------------------------------------------------

    async def _follow(self) -> None:
        async for item in self._subscription:
            self._take(item)

    def _take(self, item: Envelope | EventsLost) -> None:
        if isinstance(item, EventsLost):
            _log.error("records.events_lost", first=item.first, last=item.last)
            for known in self._folds.values():
                known.miss()
            return
        self._seen = item.sequence
        fold = self._folds.get(item.call)
        if fold is None:
            fold = self._folds[item.call] = CdrFold(item, self._numbers)
        else:
            fold.apply(item)
        if isinstance(item.event, CallEnded):
            del self._folds[item.call]
        if isinstance(item.event, _MILESTONES):
            self._keep(fold.cdr, item.sequence)

    def _keep(self, cdr: Cdr, sequence: int) -> None:
        self._since.setdefault(cdr.id, sequence)
        # The place in the order is the first one's: else busy calls would always be written last.
        self._waiting[cdr.id] = cdr
        if len(self._waiting) > self._most:
            oldest = next(iter(self._waiting))
            self._give_up(oldest, "too many wait for the database")
        self._wake.set()

    def _give_up(self, call: CallId, why: str) -> None:
        self._forget(call)
        self._lost += 1
        _log.error("records.lost", call=call, why=why, lost=self._lost)

    # ---- writing ----------------------------------------------------------------------------

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for pause in pauses():
                await self._write()
                if not self._waiting:
                    break
                await asyncio.sleep(pause)
            await asyncio.sleep(GATHER)

    async def _write(self) -> None:
        """Writes what waits; leaves what the database does not take."""
        async with self._writing:
            while self._waiting:
                batch = list(itertools.islice(self._waiting.values(), BATCH))
                try:
                    await self._store(batch)
                except _FAILURES as error:
                    _log.warning("records.not_written", waiting=self.waiting, reason=str(error))
                    if not await self._write_each(batch):
                        return

    async def _write_each(self, batch: Sequence[Cdr]) -> bool:
        """Writes one by one, so that a record that cannot be stored stops no other. Whether all
        is well now. Where none is taken, it is the database that fails, not a record."""
        failed: list[CallId] = []
        for number, cdr in enumerate(batch):
            try:
                await self._store([cdr])
            except _FAILURES:
                failed.append(cdr.id)
                if len(failed) == number + 1 >= min(PROBES, len(batch)):
                    return False
        for call in failed:
            self._attempts[call] = self._attempts.get(call, 0) + 1
            if self._attempts[call] >= ATTEMPTS and call in self._waiting:
                self._give_up(call, "the database does not take it")
        return not failed

    async def _store(self, batch: Sequence[Cdr]) -> None:
        await self._database.write(lambda connection: write_records(connection, batch, self._node))
        for cdr in batch:
            if self._waiting.get(cdr.id) is cdr:  # else there is news of it already
                self._forget(cdr.id)

    def _forget(self, call: CallId) -> None:
        del self._waiting[call]
        del self._since[call]
        self._attempts.pop(call, None)


def write_records(connection: Connection, records: Sequence[Cdr], node: str) -> None:
    """Writes `records`, of calls that `node` carried, over what is there of them."""
    upsert(connection, calls, [call_row(cdr, node) for cdr in records])
    upsert(connection, legs, [row for cdr in records for row in leg_rows(cdr)])


def pauses() -> Iterator[float]:
    """Seconds to wait before each new attempt; without end."""
    pause, most = RETRY
    while True:
        yield pause
        pause = min(2 * pause, most)


async def close_interrupted(database: Database, node: str) -> int:
    """Closes the records that `node` left open when it died; returns how many.

    Their end is the last moment that was written: a crash leaves no other. Raises
    GatewayError(DATABASE_FAILED).
    """
    return await database.write(lambda connection: _close_interrupted(connection, node))


def _close_interrupted(connection: Connection, node: str) -> int:
    verdict = INTERRUPTED
    open_calls = select(
        calls.c.id, calls.c.created_at, calls.c.duration_ms, calls.c.answered_at
    ).where(calls.c.node == node, calls.c.state == CdrState.LIVE.value)
    found = connection.execute(open_calls).all()
    if not found:
        return 0
    ends = [  # after the last moment: durations are rounded, and of another clock
        {
            "key": call,
            "end": max(created + timedelta(milliseconds=lasted + 1), answered or created),
        }
        for call, created, lasted, answered in found
    ]
    connection.execute(
        calls.update()
        .where(calls.c.id == bindparam("key"))
        .values(
            state=CdrState.INTERRUPTED.value,
            ended_at=bindparam("end"),
            code=verdict.code,
            sip_status=verdict.sip_status,
            q850=verdict.q850,
            blame=verdict.blame.value,
            text=verdict.text,
            hung_up_by=Party.GATEWAY.value,
        ),
        ends,
    )
    connection.execute(
        legs.update()
        .where(legs.c.call == bindparam("key"), legs.c.ended_at.is_(None))
        .values(ended_at=bindparam("end"), code=verdict.code, blame=verdict.blame.value),
        ends,
    )
    return len(found)

"""Owns a node's database and what is kept in it, records of calls and events: opened, recovered,
written, purged and closed with it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import MappingProxyType

import structlog

from gateway.clock import Clock
from gateway.config.model import NumbersKept, RecordsConfig
from gateway.errors import GatewayError
from gateway.storage.cdr import DROP, KEEP, MASK
from gateway.storage.database import Database
from gateway.storage.event_feed import EventFeed
from gateway.storage.event_log import EventLog
from gateway.storage.event_writer import EventWriter
from gateway.storage.idempotency import IdempotencyKeys
from gateway.storage.journal import Journal
from gateway.storage.queries import purge, purge_events
from gateway.storage.records import RecordWriter
from gateway.storage.recovery import recover

_log = structlog.get_logger(__name__)

PURGE_EVERY = 3600.0  # seconds
_NUMBERS = MappingProxyType(
    {NumbersKept.KEEP: KEEP, NumbersKept.MASK: MASK, NumbersKept.DROP: DROP}
)


def open_database(config: RecordsConfig, folder: Path) -> Database:
    """The database that `config` names; `folder` is the configuration's. Raises GatewayError."""
    password = None if config.password is None else config.password.get_secret_value()
    return Database(config.url, folder=folder, password=password)


class Records:
    """The records and events of one node. Belongs to the asyncio thread.

    A database in memory gets neither: nobody could read them, and they would fill it.
    """

    def __init__(self, config: RecordsConfig, folder: Path, log: EventLog, clock: Clock) -> None:
        """Raises GatewayError: the URL is none."""
        self._config = config
        self._clock = clock
        self._log = log
        self._numbers = _NUMBERS[config.numbers]
        self.node = config.node or socket.gethostname()
        self.database = open_database(config, folder)
        self.idempotency = IdempotencyKeys(self.database, self.node)
        self.events: EventWriter | None = None
        """What brings events into the database; None: they are in memory only."""
        self._writer: RecordWriter | None = None
        self._journal: Journal | None = None
        if config.in_memory:
            self.feed = EventFeed(log, self._numbers)
        else:
            writer = self._writer = RecordWriter(self.database, log, self.node, self._numbers)
            self._journal = Journal(_journal_folder(config, folder, self.database), self.node)
            self.events = EventWriter(
                self.database, self.node, clock, self._journal, lambda: writer.settled
            )
            self.feed = EventFeed(
                log,
                self._numbers,
                database=self.database,
                writer=self.events,
                node=self.node,
            )
        self._purging: asyncio.Task[None] | None = None

    @property
    def kept(self) -> Database | None:
        """The database, if it gets records of calls."""
        return None if self._writer is None else self.database

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return 0 if self._writer is None else self._writer.waiting

    @property
    def lost(self) -> int:
        """How many records the database never took."""
        return 0 if self._writer is None else self._writer.lost

    async def start(self) -> None:
        """Migrates, completes what a crash left, and begins. Raises GatewayError."""
        try:
            await self.database.start()
            await self.idempotency.recover()
            if self._journal is not None:
                await self._recover(self._journal)
        except GatewayError:
            await self._close()
            raise
        if self._config.keep_days and self._writer is not None:
            self._purging = asyncio.create_task(self._purge(), name="records: purge")

    async def _recover(self, journal: Journal) -> None:
        assert self.events is not None
        assert self._writer is not None
        journal.open()
        last = await recover(self.database, self.node, journal, self.events, self._numbers)
        self._log.resume(last)
        self.feed.resume(last)
        await self._writer.start()
        self.events.start()

    async def stop(self) -> None:
        """Writes what is left; call it when no call is live any more."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        if self._writer is not None:
            await self._writer.close()
        if self.events is not None:
            await self.events.close()
        await self._close()

    async def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        await self.database.close()

    async def _purge(self) -> None:
        while True:
            try:
                now, days = self._clock.now().wall, self._config.keep_days
                calls = await purge(self.database, days, now)
                events = await purge_events(self.database, days, now)
            except GatewayError as error:
                _log.warning("records.not_purged", reason=str(error))
            else:
                if calls or events:
                    _log.info("records.purged", calls=calls, events=events)
            await asyncio.sleep(PURGE_EVERY)


def _journal_folder(config: RecordsConfig, folder: Path, database: Database) -> Path:
    if config.journal is not None:
        return folder / config.journal
    return database.journal or folder / "gateway.journal"

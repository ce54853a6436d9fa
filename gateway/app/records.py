"""Owns a node's database and the records in it: opened, written, purged and closed with it."""

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
from gateway.storage.event_log import EventLog
from gateway.storage.idempotency import IdempotencyKeys
from gateway.storage.queries import purge
from gateway.storage.records import RecordWriter

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
    """The records of one node. Belongs to the asyncio thread.

    A database in memory gets no records of calls: nobody could read them, and they would fill it.
    """

    def __init__(self, config: RecordsConfig, folder: Path, log: EventLog, clock: Clock) -> None:
        """Raises GatewayError: the URL is none."""
        self._config = config
        self._clock = clock
        self.database = open_database(config, folder)
        node = config.node or socket.gethostname()
        self.idempotency = IdempotencyKeys(self.database, node)
        self._writer: RecordWriter | None = None
        if not config.in_memory:
            self._writer = RecordWriter(self.database, log, node, _NUMBERS[config.numbers])
        self._purging: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return 0 if self._writer is None else self._writer.waiting

    @property
    def lost(self) -> int:
        """How many records the database never took."""
        return 0 if self._writer is None else self._writer.lost

    async def start(self) -> None:
        """Migrates, closes what a crash left open, and begins. Raises GatewayError."""
        try:
            await self.database.start()
            await self.idempotency.recover()
            if self._writer is not None:
                await self._writer.start()
        except GatewayError:
            await self.database.close()
            raise
        if self._config.keep_days and self._writer is not None:
            self._purging = asyncio.create_task(self._purge(), name="records: purge")

    async def stop(self) -> None:
        """Writes what is left; call it when no call is live any more."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        if self._writer is not None:
            await self._writer.close()
        await self.database.close()

    async def _purge(self) -> None:
        while True:
            try:
                now = self._clock.now().wall
                deleted = await purge(self.database, self._config.keep_days, now)
            except GatewayError as error:
                _log.warning("records.not_purged", reason=str(error))
            else:
                if deleted:
                    _log.info("records.purged", calls=deleted)
            await asyncio.sleep(PURGE_EVERY)

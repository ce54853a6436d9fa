"""Owns how transactions run beside asyncio's work: SQLite's in threads, PostgreSQL's on the loop.

SQLite answers in microseconds, and a thread that is waited for costs a hundred times that. So a
whole transaction is one visit to a thread, and not each of its steps, as with an asyncio driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool, StaticPool

T = TypeVar("T")
Work = Callable[[Connection], T]

BUSY_MS = 5_000
"""How long a SQLite connection waits for another process's transaction."""
READERS = 3
"""Transactions of a SQLite file that only read, at once. It has one writer at a time anyway."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 60.0
"""After that PostgreSQL counts as gone."""
_WRITES = "gateway_writes"
"""The execution option of connections that write: what SQLite calls their `synchronous`."""
_FULL, _NORMAL = "FULL", "NORMAL"


class Engine(Protocol):
    """Runs transactions; see Database. Raises what SQLAlchemy does."""

    async def read(self, work: Work[T]) -> T:
        """One that only reads."""
        ...

    async def write(self, work: Work[T], lasting: bool) -> T:
        """One that is committed when `work` has returned."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


class SqliteEngine:
    """Of a file, or of what is in memory until `close`.

    `work` runs in a thread of the engine's. Who is cancelled meanwhile does not learn what came of
    it: what has begun is done to its end, as by a server.
    """

    def __init__(self, url: URL, *, in_memory: bool) -> None:
        """Raises ArgumentError of SQLAlchemy."""
        options: dict[str, Any] = {"poolclass": StaticPool}
        if not in_memory:
            options = {
                "poolclass": QueuePool,
                "pool_size": READERS + 1,
                "max_overflow": 0,
                "pool_use_lifo": True,  # which has pages of the file in its cache
            }
        self._engine = create_engine(
            url,
            hide_parameters=True,  # errors would quote them, and they are numbers and names
            connect_args={"check_same_thread": False},  # one at a time, but not always the same
            **options,
        )
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        self._for = {
            writes: self._engine.execution_options(**{_WRITES: writes})
            for writes in (None, _FULL, _NORMAL)
        }
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        # What is in memory belongs to its one connection.
        self._readers = self._writer if in_memory else ThreadPoolExecutor(READERS, "sqlite-reader")

    async def read(self, work: Work[T]) -> T:
        """See Engine."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._transact, work, None)

    async def write(self, work: Work[T], lasting: bool) -> T:
        """See Engine. Writers of one process take turns, in their order."""
        loop = asyncio.get_running_loop()
        synchronous = _FULL if lasting else _NORMAL
        return await loop.run_in_executor(self._writer, self._transact, work, synchronous)

    def _transact(self, work: Work[T], writes: str | None) -> T:
        with self._for[writes].begin() as connection:
            return work(connection)

    async def close(self) -> None:
        """See Engine. Waits for what has begun."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()


class PostgresEngine:
    """Of a PostgreSQL server."""

    def __init__(self, url: URL) -> None:
        """Raises ArgumentError of SQLAlchemy."""
        self._engine = create_async_engine(
            url,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS},
        )

    async def read(self, work: Work[T]) -> T:
        """See Engine."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Work[T], lasting: bool) -> T:
        """See Engine. The server's own settings say what lasts."""
        return await self.read(work)

    async def close(self) -> None:
        """See Engine."""
        await self._engine.dispose()


def _on_connect(connection: Any, _record: object) -> None:
    # The driver's own transactions would leave out what changes the schema.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    # A transaction that begins by reading cannot wait for its turn to write.
    writes = connection.get_execution_options().get(_WRITES)
    if writes is None:
        connection.exec_driver_sql("BEGIN")
        return
    if connection.info.get(_WRITES) != writes:
        connection.exec_driver_sql(f"PRAGMA synchronous = {writes}")
        connection.info[_WRITES] = writes
    connection.exec_driver_sql("BEGIN IMMEDIATE")

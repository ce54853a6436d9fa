"""Owns the database of a node: SQLite or PostgreSQL by one URL, and its schema.

Nothing else of the gateway makes an engine. Statements come from `tables.py`; the two databases
get the same ones.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from gateway.errors import BAD_REQUEST, DATABASE_FAILED, GatewayError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 5_000
"""How long a SQLite connection waits for another process's transaction."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 60.0
"""After that PostgreSQL counts as gone."""
IN_MEMORY = "sqlite://"
_DRIVERS = MappingProxyType(
    {
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+asyncpg",
        "postgres": "postgresql+asyncpg",
    }
)
_MIGRATION_LOCK = 0x67617465  # an arbitrary number that only the gateway's advisory lock has
_WRITES = "gateway_writes"
"""The execution option of connections that write: what SQLite calls their `synchronous`."""
FULL, NORMAL = "FULL", "NORMAL"
_OURS = (IntegrityError, DataError, ProgrammingError)
"""What a statement is to blame for, not the state of the database."""


class Database:
    """The database at one URL. Belongs to the asyncio thread.

    Failures of the database are GatewayError(DATABASE_FAILED); statements that it will never take
    (IntegrityError, DataError, ProgrammingError of SQLAlchemy) are raised as they are.
    """

    def __init__(self, url: str, *, folder: Path = Path(), password: str | None = None) -> None:
        """url: `sqlite:///FILE`, relative to `folder`; `sqlite://`, in memory until `close`; or
        `postgresql://USER@HOST/NAME`. Raises GatewayError(BAD_REQUEST) for another one."""
        self._url = _resolved(url, folder, password)
        try:
            self._engine = _engine(self._url)
        except ArgumentError:
            raise GatewayError(BAD_REQUEST, f"not the URL of a database: {self}") from None
        self._writing = self._engine.execution_options(**{_WRITES: FULL})
        self._writing_briefly = self._engine.execution_options(**{_WRITES: NORMAL})
        # SQLite has one writer at a time, and the others look every few milliseconds whether it
        # is their turn; those of this process can do better.
        self._turns = asyncio.Lock() if self._url.drivername == _DRIVERS["sqlite"] else None

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    async def start(self) -> None:
        """Brings the schema up to date; nodes that start together do it once.

        Raises GatewayError(DATABASE_FAILED): it does not answer, or a newer gateway made it.
        """
        file = self._file
        if file is not None and not file.parent.is_dir():
            raise GatewayError(DATABASE_FAILED, f"the database {self}: no folder {file.parent}")
        if file is not None:
            await self._keep_write_ahead_log(file)
        async with self.writing() as connection:
            await connection.run_sync(self._migrate)

    async def _keep_write_ahead_log(self, file: Path) -> None:
        try:
            await asyncio.to_thread(_keep_write_ahead_log, file)
        except (sqlite3.Error, OSError) as error:
            raise GatewayError(DATABASE_FAILED, f"the database {self}: {error}") from error

    @property
    def exists(self) -> bool:
        """Whether there can be anything in it: False for a file that no node has made yet."""
        return self._file is None or self._file.exists()

    @property
    def journal(self) -> Path | None:
        """The folder for events beside its file; None: it has no file."""
        return None if self._file is None else self._file.with_name(f"{self._file.name}.journal")

    @property
    def _file(self) -> Path | None:
        """SQLite's; None: there is none."""
        if self._url.drivername != _DRIVERS["sqlite"] or _is_in_memory(self._url):
            return None
        return Path(str(self._url.database))

    async def close(self) -> None:
        """Closes every connection; what was in memory is gone."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that only reads."""
        async with self._transaction(self._engine) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, *, lasting: bool = True) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which is committed at the end of the block and rolled
        back by an exception. Not to be nested.

        lasting: also across a loss of power. Otherwise SQLite does not wait for the disk, and only
        a crash of the gateway costs nothing.
        """
        engine = self._writing if lasting else self._writing_briefly
        async with self._turns or nullcontext(), self._transaction(engine) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        try:
            async with engine.begin() as connection:
                yield connection
        except _OURS:
            raise
        except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
            reason = str(getattr(error, "orig", None) or error) or type(error).__name__
            raise GatewayError(DATABASE_FAILED, f"the database {self}: {reason}") from error

    def _migrate(self, connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
            )
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        script = ScriptDirectory.from_config(config)
        known = {revision.revision for revision in script.walk_revisions()}
        newer = set(MigrationContext.configure(connection).get_current_heads()) - known
        if newer:
            raise GatewayError(
                DATABASE_FAILED,
                f"the database {self} was made by a newer gateway (schema {', '.join(newer)}); "
                "run that version, or name another database",
            )
        command.upgrade(config, "head")


def _resolved(url: str, folder: Path, password: str | None) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise GatewayError(BAD_REQUEST, "not the URL of a database") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise GatewayError(BAD_REQUEST, "a database's URL begins with sqlite: or postgresql:")
    parsed = parsed.set(drivername=driver)
    if password is not None and driver != _DRIVERS["sqlite"]:
        parsed = parsed.set(password=password)
    if driver == _DRIVERS["sqlite"] and not _is_in_memory(parsed):
        parsed = parsed.set(database=str(folder / str(parsed.database)))
    return parsed


def _is_in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _engine(url: URL) -> AsyncEngine:
    if url.drivername != _DRIVERS["sqlite"]:
        return create_async_engine(
            url,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS},
        )
    in_memory = _is_in_memory(url)
    engine = create_async_engine(
        url,
        hide_parameters=True,  # errors would quote them, and they are numbers and names
        poolclass=AsyncAdaptedQueuePool,
        # What is in memory belongs to its one connection.
        pool_size=1 if in_memory else 4,
        max_overflow=0,
    )
    event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
    event.listen(engine.sync_engine, "begin", _on_sqlite_begin)
    return engine


def _keep_write_ahead_log(file: Path) -> None:
    """Gives a SQLite file its write-ahead log, which it then keeps.

    Two connections that do so at once would not wait for each other: SQLite tells one of them that
    the file is locked. So they take turns, by a lock on the folder.
    """
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with closing(sqlite3.connect(file, timeout=BUSY_MS / 1000)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        os.close(folder)


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    # The driver's own transactions would leave out what changes the schema.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # A transaction that begins by reading cannot wait for its turn to write.
    writes = connection.get_execution_options().get(_WRITES)
    if writes is None:
        connection.exec_driver_sql("BEGIN")
        return
    if connection.info.get(_WRITES) != writes:
        connection.exec_driver_sql(f"PRAGMA synchronous = {writes}")
        connection.info[_WRITES] = writes
    connection.exec_driver_sql("BEGIN IMMEDIATE")

"""Owns the database of a node: SQLite or PostgreSQL by one URL, and its schema.

Nothing else of the gateway makes an engine. Statements come from `tables.py`; the two databases
get the same ones.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Awaitable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Delete, Insert, Row, Select, Update, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)

from gateway.errors import BAD_REQUEST, DATABASE_FAILED, GatewayError
from gateway.storage.engines import BUSY_MS, Engine, PostgresEngine, SqliteEngine, Work

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
IN_MEMORY = "sqlite://"
_SQLITE = "sqlite"
_DRIVERS = MappingProxyType(
    {
        _SQLITE: _SQLITE,
        "postgresql": "postgresql+asyncpg",
        "postgres": "postgresql+asyncpg",
    }
)
_MIGRATION_LOCK = 0x67617465  # an arbitrary number that only the gateway's advisory lock has
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
            self._engine: Engine = _engine(self._url)
        except ArgumentError:
            raise GatewayError(BAD_REQUEST, f"not the URL of a database: {self}") from None

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
        await self.write(self._migrate)

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
        if self._url.drivername != _SQLITE or _is_in_memory(self._url):
            return None
        return Path(str(self._url.database))

    async def close(self) -> None:
        """Closes every connection; what was in memory is gone."""
        await self._engine.close()

    async def read(self, work: Work[T]) -> T:
        """What `work` returns, in a transaction that only reads.

        `work` gets a connection of that transaction, in a thread of its own: it touches nothing
        but what it was given, and gives back nothing that needs the connection any more.
        """
        return await self._run(self._engine.read(work))

    async def write(self, work: Work[T], *, lasting: bool = True) -> T:
        """The same in a transaction which is committed when `work` has returned, and rolled back
        where it raises.

        lasting: also across a loss of power. Otherwise SQLite does not wait for the disk, and only
        a crash of the gateway costs nothing.
        """
        return await self._run(self._engine.write(work, lasting))

    async def row(self, query: Select[Any]) -> Row[Any] | None:
        """The row that `query` finds; None: there is none. Raises MultipleResultsFound."""
        return await self.read(lambda connection: connection.execute(query).one_or_none())

    async def change(
        self,
        statement: Insert | Update | Delete,
        parameters: Mapping[str, Any] | None = None,
        *,
        lasting: bool = True,
    ) -> int:
        """Performs one statement; how many rows it changed. lasting: as of `write`."""
        return await self.write(
            lambda connection: connection.execute(statement, parameters).rowcount, lasting=lasting
        )

    async def _run(self, transaction: Awaitable[T]) -> T:
        try:
            return await transaction
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
    if password is not None and driver != _SQLITE:
        parsed = parsed.set(password=password)
    if driver == _SQLITE and not _is_in_memory(parsed):
        parsed = parsed.set(database=str(folder / str(parsed.database)))
    return parsed


def _is_in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _engine(url: URL) -> Engine:
    if url.drivername != _SQLITE:
        return PostgresEngine(url)
    return SqliteEngine(url, in_memory=_is_in_memory(url))


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

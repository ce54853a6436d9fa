"""The database: one schema on both kinds, transactions, what it says when it cannot be used."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from gateway.errors import BAD_REQUEST, DATABASE_FAILED, GatewayError
from gateway.storage import tables
from gateway.storage.database import IN_MEMORY, Database

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


def row(call: str, **values: object) -> dict[str, object]:
    """What a call's row needs at least."""
    row: dict[str, object] = {
        "id": call, "node": "here", "state": "live", "context": "browser", "created_at": NOON,
        "duration_ms": 0, "talk_ms": 0, "dtmf_received": 0, "dtmf_sent": 0, "recorded": False,
        "incomplete": False,
    }  # fmt: skip
    return row | values


async def ids(database: Database) -> list[str]:
    query = select(tables.calls.c.id).order_by("id")
    return await database.read(lambda connection: list(connection.scalars(query)))


async def add(database: Database, *rows: dict[str, object]) -> None:
    def write(connection: Connection) -> None:
        for each in rows:
            connection.execute(insert(tables.calls), [each])

    await database.write(write)


async def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    assert await database.read(differences) == []


async def test_rows_survive_a_restart(url: str) -> None:
    first, second = Database(url), Database(url)
    await first.start()
    await add(first, row("c-1"))
    await first.close()
    await second.start()
    assert await ids(second) == ["c-1"]
    await second.close()


async def test_nodes_that_start_together_make_one_schema(url: str) -> None:
    databases = [Database(url) for _ in range(3)]
    await asyncio.gather(*(database.start() for database in databases))
    for database in databases:
        assert await ids(database) == []
        await database.close()


async def test_a_newer_schema_is_refused_and_left_alone(database: Database, url: str) -> None:
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await database.write(lambda connection: connection.execute(newer))
    older = Database(url)
    with pytest.raises(GatewayError, match=r"newer gateway \(schema 9999\)") as refused:
        await older.start()
    assert refused.value.verdict.code == DATABASE_FAILED.code
    await older.close()
    query = text("SELECT version_num FROM alembic_version")
    assert await database.read(lambda connection: connection.scalar(query)) == "9999"


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await add(database, row("c-1"), row("c-1"))
    assert await ids(database) == []


async def test_writers_wait_for_each_other(url: str) -> None:
    """Transactions that read what they then change: none may fail, and no update may be lost."""
    databases = [Database(url), Database(url)]
    await databases[0].start()
    await add(databases[0], row("c-1"))
    duration = select(tables.calls.c.duration_ms)

    def count(connection: Connection) -> None:
        before = connection.scalar(duration.with_for_update())
        connection.execute(tables.calls.update().values(duration_ms=(before or 0) + 1))

    await asyncio.gather(*(database.write(count) for database in databases for _ in range(10)))
    assert await databases[0].read(lambda connection: connection.scalar(duration)) == 20
    for database in databases:
        await database.close()


async def test_legs_go_with_their_call(database: Database) -> None:
    def count(connection: Connection) -> int | None:
        connection.execute(insert(tables.calls), [row("c-1")])
        leg: dict[str, object] = {
            "call": "c-1", "id": "l-1", "position": 0, "role": "caller", "kind": "sip",
            "created_at": NOON, "duration_ms": 0, "talk_ms": 0, "dtmf_received": 0, "dtmf_sent": 0,
        }  # fmt: skip
        connection.execute(insert(tables.legs), [leg])
        connection.execute(tables.calls.delete())
        return connection.scalar(select(func.count()).select_from(tables.legs))

    assert await database.write(count) == 0


async def test_moments_come_back_in_utc(database: Database) -> None:
    moment = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    await add(database, row("c-1", created_at=moment))
    query = select(tables.calls.c.created_at)
    found = await database.read(lambda connection: connection.scalar(query))
    assert found is not None
    assert (found, found.tzinfo) == (NOON, UTC)


async def test_in_memory_is_one_database_until_it_is_closed() -> None:
    database = Database(IN_MEMORY)
    await database.start()
    await asyncio.gather(*(add(database, row(f"c-{number}")) for number in range(5)))
    assert await ids(database) == [f"c-{number}" for number in range(5)]
    await database.close()


async def test_a_file_is_relative_to_its_folder(tmp_path: Path) -> None:
    database = Database("sqlite:///records.sqlite3", folder=tmp_path)
    await database.start()
    await database.close()
    assert (tmp_path / "records.sqlite3").stat().st_size > 0


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.sqlite3", "postgresql://nobody@/x?host=/nowhere"]
)
async def test_a_database_that_is_not_there(url: str) -> None:
    database = Database(url, password="s3cret")
    with pytest.raises(GatewayError) as failed:
        await database.start()
    assert failed.value.verdict.code == DATABASE_FAILED.code
    assert "nowhere" in str(failed.value)
    assert "s3cret" not in str(failed.value)
    await database.close()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "records.sqlite3", "", "sqlite://host/x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(GatewayError) as refused:
        Database(url)
    assert refused.value.verdict.code == BAD_REQUEST.code


async def test_what_is_to_last_waits_for_the_disk_and_nothing_else_does(tmp_path: Path) -> None:
    """SQLite: 2 is FULL, 1 NORMAL; a connection does one after the other."""
    database = Database(f"sqlite:///{tmp_path}/records.sqlite3")
    await database.start()

    def settings(connection: Connection) -> tuple[int, str]:
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        return synchronous, connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()

    for lasting in (True, False, True, True, False):
        found = await database.write(settings, lasting=lasting)
        assert found == (2 if lasting else 1, "wal")
    await database.close()


async def test_what_has_begun_is_done_although_nobody_waits_for_it(tmp_path: Path) -> None:
    """SQLite's transactions are not cut off: close() waits for them."""
    database = Database(f"sqlite:///{tmp_path}/records.sqlite3")
    await database.start()
    begun, go_on = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        begun.set()
        go_on.wait(10)
        connection.execute(insert(tables.calls), [row("c-1")])

    writing = asyncio.create_task(database.write(write))
    assert await asyncio.to_thread(begun.wait, 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await ids(database) == []  # readers wait for no writer
    go_on.set()
    await database.close()
    again = Database(f"sqlite:///{tmp_path}/records.sqlite3")
    assert await ids(again) == ["c-1"]
    await again.close()

"""The database: one schema on both kinds, transactions, what it says when it cannot be used."""

from __future__ import annotations

import asyncio
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
    async with database.reading() as connection:
        return list(await connection.scalars(select(tables.calls.c.id).order_by("id")))


async def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_rows_survive_a_restart(url: str) -> None:
    first, second = Database(url), Database(url)
    await first.start()
    async with first.writing() as connection:
        await connection.execute(insert(tables.calls), [row("c-1")])
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
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    older = Database(url)
    with pytest.raises(GatewayError, match=r"newer gateway \(schema 9999\)") as refused:
        await older.start()
    assert refused.value.verdict.code == DATABASE_FAILED.code
    await older.close()
    async with database.reading() as connection:
        found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert found == "9999"


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def twice() -> None:
        async with database.writing() as connection:
            await connection.execute(insert(tables.calls), [row("c-1")])
            await connection.execute(insert(tables.calls), [row("c-1")])

    with pytest.raises(IntegrityError):
        await twice()
    assert await ids(database) == []


async def test_writers_wait_for_each_other(url: str) -> None:
    """Transactions that read what they then change: none may fail, and no update may be lost."""
    databases = [Database(url), Database(url)]
    await databases[0].start()
    async with databases[0].writing() as connection:
        await connection.execute(insert(tables.calls), [row("c-1")])

    async def add(database: Database) -> None:
        async with database.writing() as connection:
            before = await connection.scalar(select(tables.calls.c.duration_ms).with_for_update())
            await connection.execute(tables.calls.update().values(duration_ms=(before or 0) + 1))

    await asyncio.gather(*(add(database) for database in databases for _ in range(10)))
    async with databases[0].reading() as connection:
        assert await connection.scalar(select(tables.calls.c.duration_ms)) == 20
    for database in databases:
        await database.close()


async def test_legs_go_with_their_call(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(insert(tables.calls), [row("c-1")])
        leg: dict[str, object] = {
            "call": "c-1", "id": "l-1", "position": 0, "role": "caller", "kind": "sip",
            "created_at": NOON, "duration_ms": 0, "talk_ms": 0, "dtmf_received": 0, "dtmf_sent": 0,
        }  # fmt: skip
        await connection.execute(insert(tables.legs), [leg])
        await connection.execute(tables.calls.delete())
        count = await connection.scalar(select(func.count()).select_from(tables.legs))
    assert count == 0


async def test_moments_come_back_in_utc(database: Database) -> None:
    moment = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    async with database.writing() as connection:
        await connection.execute(insert(tables.calls), [row("c-1", created_at=moment)])
        found = await connection.scalar(select(tables.calls.c.created_at))
    assert found is not None
    assert (found, found.tzinfo) == (NOON, UTC)


async def test_in_memory_is_one_database_until_it_is_closed() -> None:
    database = Database(IN_MEMORY)
    await database.start()

    async def add(call: str) -> None:
        async with database.writing() as connection:
            await connection.execute(insert(tables.calls), [row(call)])

    await asyncio.gather(*(add(f"c-{number}") for number in range(5)))
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
    for lasting in (True, False, True, True, False):
        async with database.writing(lasting=lasting) as connection:
            synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
            mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
        assert (synchronous, mode) == (2 if lasting else 1, "wal")
    await database.close()

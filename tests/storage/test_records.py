"""The writer of call records, on both databases: what is there, when, and after what goes wrong."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, text

from gateway.clock import SystemClock
from gateway.errors import BUSY
from gateway.storage import records
from gateway.storage.cdr import DROP, KEEP, MASK, Numbers, fold
from gateway.storage.database import Database
from gateway.storage.event_log import EventLog
from gateway.storage.queries import Filters, get_call, list_calls
from gateway.storage.records import RecordWriter, close_interrupted
from gateway.storage.rows import MAX_TEXT
from gateway.terms import CdrState, Party
from tests.storage.calls import CALLEE, CALLER, DIGITS, answer, begin, end, whole
from tests.support.postgres import Postgres
from tests.support.processes import wait_until

Entries = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def lines() -> Iterator[Entries]:
    """What was logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are small, and follow each other at once as retries do."""
    monkeypatch.setattr(records, "BATCH", 100)
    monkeypatch.setattr("gateway.storage.database.BUSY_MS", 50)
    monkeypatch.setattr(records, "GATHER", 0.0)
    monkeypatch.setattr(records, "RETRY", (0.02, 0.05))


@asynccontextmanager
async def writing(
    database: Database, numbers: Numbers = KEEP, backlog: int = 1000, patience: float = 5.0
) -> AsyncIterator[tuple[RecordWriter, EventLog]]:
    """A writer that is started and closed, and its log."""
    log = EventLog(SystemClock())
    writer = RecordWriter(database, log, "here", numbers, backlog)
    await writer.start()
    try:
        yield writer, log
    finally:
        await writer.close(patience)


async def states(database: Database) -> dict[str, CdrState]:
    page = await list_calls(database, Filters())
    return {record.id: record.state for record in page.records}


async def dump(database: Database) -> str:
    """Everything in every table."""

    def read(connection: Connection) -> str:
        found = ""
        for table in ("call_records", "leg_records"):
            rows = connection.execute(text(f"SELECT * FROM {table}"))
            found += str(rows.mappings().all())
        return found

    return await database.read(read)


async def test_a_record_is_there_from_the_beginning_and_whole_at_the_end(
    database: Database,
) -> None:
    async with writing(database) as (writer, log):
        begin(log, "c-1")
        await writer.flush()
        record = await get_call(database, "c-1")
        assert (record.state, record.answered_at, record.code) == (CdrState.LIVE, None, None)
        answer(log, "c-1")
        await writer.flush()
        assert (await get_call(database, "c-1")).answered_at is not None
        end(log, "c-1")
        await writer.flush()
        assert await get_call(database, "c-1") == fold(log.replay(0))


async def test_what_happens_is_written_without_being_asked_for(database: Database) -> None:
    async with writing(database) as (_, log):
        whole(log, "c-1")

        async def written() -> bool:
            return (await states(database)).get("c-1") is CdrState.ENDED

        await wait_until(written, 5, "the record")


async def test_closing_writes_what_has_just_happened(database: Database) -> None:
    async with writing(database) as (_, log):
        for number in range(250):
            whole(log, f"c-{number}")
    count = text("SELECT count(*) FROM call_records WHERE state = 'ended'")
    assert await database.read(lambda connection: connection.scalar(count)) == 250


@pytest.mark.parametrize("numbers", [KEEP, MASK, DROP], ids=["keep", "mask", "drop"])
async def test_no_table_has_digits_and_numbers_only_if_they_are_kept(
    database: Database, numbers: Numbers
) -> None:
    async with writing(database, numbers) as (_, log):
        begin(log, "c-1")
        answer(log, "c-1")
        end(log, "c-1", BUSY.because(f"486 {CALLER} is busy"))
        begin(log, "c-2")
    found = await dump(database)
    assert "c-1" in found
    assert "c-2" in found
    assert DIGITS not in found
    assert DIGITS[:4] not in found
    assert (CALLER in found, CALLEE in found) == ((numbers is KEEP,) * 2)
    assert ("+1415555xxxx" in found) == (numbers is MASK)


async def test_texts_that_a_database_refuses_are_cleaned(database: Database) -> None:
    """NUL is nothing to PostgreSQL, lone surrogates nothing to either, and peers send both."""
    hostile = "\0x\ud800" + "y" * 100_000
    async with writing(database) as (writer, log):
        whole(log, "c-1", caller=hostile)
        whole(log, "c-2")
        await writer.flush()
        assert writer.lost == 0
    caller = (await get_call(database, "c-1")).caller
    assert caller is not None
    assert caller.startswith("\ufffdx?yyy")
    assert len(caller) == MAX_TEXT
    assert set(await states(database)) == {"c-1", "c-2"}


async def test_one_record_that_cannot_be_written_stops_no_other(
    database: Database, lines: Entries
) -> None:
    await database.write(
        lambda connection: connection.execute(
            text("CREATE UNIQUE INDEX one_caller ON call_records (caller)")
        )
    )
    async with writing(database) as (writer, log):
        for number in range(5):
            whole(log, f"c-{number}", caller="same" if number in (1, 3) else f"caller {number}")
        await wait_until(lambda: writer.waiting == 1, 5, "all but one")
        for number in range(5, 9):
            assert writer.lost == 0
            whole(log, f"c-{number}", caller=f"caller {number}")

            async def written(call: str = f"c-{number}") -> bool:
                return call in await states(database)

            await wait_until(written, 5, "another one")
        await wait_until(lambda: writer.lost, 5, "it is given up")
    assert set(await states(database)) == {f"c-{number}" for number in range(9) if number != 3}
    [lost] = [line for line in lines if line["event"] == "records.lost"]
    assert lost["call"] == "c-3"


async def test_a_database_that_is_down_loses_nothing(lines: Entries, postgres: Postgres) -> None:
    database = Database(postgres.database())
    await database.start()
    async with writing(database) as (writer, log):
        whole(log, "c-1")
        await writer.flush()
        begin(log, "c-2")
        await writer.flush()
        postgres.stop()
        answer(log, "c-2")
        end(log, "c-2")
        for number in range(3, 10):
            whole(log, f"c-{number}")
        await wait_until(
            lambda: sum(line["event"] == "records.not_written" for line in lines) > 2,
            10,
            "several attempts",
        )
        assert writer.waiting == 8
        postgres.start()
        await writer.flush()
        assert (writer.waiting, writer.lost) == (0, 0)
    assert await states(database) == {f"c-{n}": CdrState.ENDED for n in range(1, 10)}
    await database.close()


async def test_a_backlog_that_overflows_is_told(tmp_path: Path, lines: Entries) -> None:
    file = tmp_path / "busy.sqlite3"
    database = Database(f"sqlite:///{file}")
    await database.start()
    other = sqlite3.connect(file, isolation_level=None)
    async with writing(database, backlog=3) as (writer, log):
        other.execute("BEGIN EXCLUSIVE")
        for number in range(5):
            whole(log, f"c-{number}")
        await wait_until(lambda: writer.lost == 2, 5, "two lost")
        assert writer.waiting == 3
        assert [line["call"] for line in lines if line["event"] == "records.lost"] == ["c-0", "c-1"]
        other.execute("ROLLBACK")
        await writer.flush()
    assert set(await states(database)) == {"c-2", "c-3", "c-4"}
    other.close()
    await database.close()


async def test_a_node_stops_in_time_though_its_database_does_not_answer(
    tmp_path: Path, lines: Entries
) -> None:
    file = tmp_path / "stuck.sqlite3"
    database = Database(f"sqlite:///{file}")
    await database.start()
    other = sqlite3.connect(file, isolation_level=None)
    async with asyncio.timeout(6):
        async with writing(database, patience=0.1) as (writer, log):
            other.execute("BEGIN EXCLUSIVE")
            whole(log, "c-1")
            whole(log, "c-2")
        assert writer.lost == 2
    assert [line["calls"] for line in lines if line["event"] == "records.lost"] == [2]
    other.execute("ROLLBACK")
    other.close()
    await database.close()


async def test_missed_events_are_told_and_marked(
    database: Database, lines: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "QUEUE", 40)
    async with writing(database) as (writer, log):
        begin(log, "c-1")
        await writer.flush()
        answer(log, "c-1", DIGITS * 2)
        end(log, "c-1")
        await writer.flush()
    record = await get_call(database, "c-1")
    assert (record.state, record.incomplete) == (CdrState.ENDED, True)
    assert any(line["event"] == "records.events_lost" for line in lines)


async def test_only_a_nodes_own_open_records_are_closed(database: Database) -> None:
    log = EventLog(SystemClock())
    for node in ("here", "there"):
        writer = RecordWriter(database, log, node)
        begin(log, f"c-{node}")
        await writer.flush()
        await writer.close()
    assert await close_interrupted(database, "here") == 1
    assert await states(database) == {"c-here": CdrState.INTERRUPTED, "c-there": CdrState.LIVE}
    assert await close_interrupted(database, "here") == 0


CHILD = """
import asyncio, sys
from gateway.clock import SystemClock
from gateway.storage.database import Database
from gateway.storage.event_log import EventLog
from gateway.storage.records import RecordWriter
from tests.storage.calls import answer, begin, end

async def main():
    database = Database(sys.argv[1])
    await database.start()
    log = EventLog(SystemClock())
    writer = RecordWriter(database, log, "here")
    await writer.start()
    for number in range(100):
        begin(log, f"c-{number}")
        answer(log, f"c-{number}")
    for number in range(0, 100, 2):
        end(log, f"c-{number}")
    await writer.flush()
    print("written", flush=True)
    number = 100
    while True:
        begin(log, f"c-{number}")
        end(log, f"c-{number}")
        number += 1
        await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_a_crash_in_mid_call_leaves_records_that_the_next_start_closes(
    url: str, lines: Entries
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert child.stdout is not None
    assert await asyncio.wait_for(child.stdout.readline(), 20) == b"written\n"
    child.send_signal(signal.SIGKILL)
    await child.wait()
    database = Database(url)
    await database.start()
    async with writing(database):
        pass
    for number in range(100):
        record = await get_call(database, f"c-{number}")
        whole_one = number % 2 == 0
        assert record.state is (CdrState.ENDED if whole_one else CdrState.INTERRUPTED)
        assert record.code == ("normal" if whole_one else "interrupted")
        assert record.ended_at is not None
        assert record.answered_at is not None
        assert len(record.legs) == 2
        assert all(leg.ended_at is not None for leg in record.legs)
        if not whole_one:
            assert (record.hung_up_by, record.q850) == (Party.GATEWAY, 41)
            assert record.created_at <= record.answered_at <= record.ended_at
    page = await list_calls(database, Filters(state=CdrState.LIVE))
    assert not page.records
    assert any(line["event"] == "records.interrupted" for line in lines)
    await database.close()

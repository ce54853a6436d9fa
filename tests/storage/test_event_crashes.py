"""What a crash leaves of events and records, on both databases: everything."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from gateway.storage.database import Database
from gateway.storage.event_writer import last_sequence
from gateway.storage.published import Published
from gateway.storage.queries import Filters, list_calls
from gateway.storage.tables import event_nodes
from gateway.terms import CdrState
from tests.storage.keeping import (
    impatient,
    journal_bytes,
    node,
    numbers,
    read,
)

__all__ = ["impatient"]
pytestmark = pytest.mark.usefixtures("impatient")


async def test_what_a_dead_process_still_commits_is_waited_for(
    database: Database, url: str
) -> None:
    begun, commits = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        connection.execute(insert(event_nodes), [{"node": "here", "sequence": 7}])
        begun.set()
        commits.wait(10)

    async def dying() -> None:
        other = Database(url)
        await other.write(write)
        await other.close()

    died = asyncio.create_task(asyncio.to_thread(asyncio.run, dying()))
    assert await asyncio.to_thread(begun.wait, 10)
    reading = asyncio.create_task(last_sequence(database, "here"))
    await asyncio.wait([reading], timeout=0.3)
    assert not reading.done()
    commits.set()
    assert await reading == 7
    await died


CHILD = """
import asyncio, sys
from pathlib import Path
from gateway.app.records import Records
from gateway.clock import SystemClock
from gateway.config.model import RecordsConfig
from gateway.storage import event_writer, records
from gateway.storage.event_log import EventLog
from tests.storage.calls import answer, begin, end

async def main():
    url, folder, gather, stall = sys.argv[1:]
    event_writer.GATHER = records.GATHER = float(gather)
    if stall == "records":
        async def store(self, batch): await asyncio.sleep(1000)
        records.RecordWriter._store = store
    log = EventLog(SystemClock())
    config = RecordsConfig(url=url, node="here", journal=folder + "/journal")
    kept = Records(config, Path(folder), log, SystemClock())
    await kept.start()
    if stall == "events":
        async def store(self, batch): await asyncio.sleep(1000)
        event_writer.EventWriter.store = store
    number = 0
    while True:
        begin(log, f"c-{number}")
        answer(log, f"c-{number}")
        if number % 2 == 0:
            end(log, f"c-{number}")
        number += 1
        print(log.last_sequence, flush=True)
        await asyncio.sleep(0.002)

asyncio.run(main())
"""


@pytest.mark.parametrize("stall", ["nothing", "events", "records"])
@pytest.mark.parametrize("gather", ["0", "0.3"])
async def test_a_crash_loses_no_event_and_no_record(
    url: str, tmp_path: Path, gather: str, stall: str
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, str(tmp_path), gather, stall,
        stdout=asyncio.subprocess.PIPE, cwd=Path.cwd(),
    )  # fmt: skip
    assert child.stdout is not None
    appended = 0
    async with asyncio.timeout(30):
        while appended < 2_000:
            appended = int(await child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = (await child.stdout.read()).split()
    await child.wait()
    appended = int(rest[-1]) if rest else appended
    for _ in range(2):  # doing it twice changes nothing
        async with node(url, tmp_path) as (kept, log):
            found = await read(kept)
            assert numbers(found) == list(range(1, log.last_sequence + 1))
            assert len(found) >= appended
            pages = await list_calls(kept.database, Filters(), 1000)
    by_call: dict[str, list[Published]] = {}
    for event in found:
        by_call.setdefault(event.call, []).append(event)
    assert all(history[0].type == "call.created" for history in by_call.values())
    assert all(history[-1].type == "call.ended" for history in by_call.values())
    assert {record.id for record in pages.records} == set(by_call)
    for record in pages.records:
        history = by_call[record.id]
        over = json.loads(history[-1].text)
        interrupted = over["verdict"]["code"] == "interrupted"
        assert record.state is (CdrState.INTERRUPTED if interrupted else CdrState.ENDED)
        assert not record.incomplete
        assert record.ended_at == history[-1].at.wall
        assert record.dtmf_received == sum(event.type == "digit.received" for event in history)
        assert len(record.legs) == sum(event.type == "leg.added" for event in history)
        assert all(leg.ended_at is not None for leg in record.legs)
        assert (record.duration_ms, record.talk_ms) == (over["duration_ms"], over["talk_ms"])
    odd = [record for record in pages.records if int(record.id[2:]) % 2]
    assert len(odd) > 10
    assert all(record.state is CdrState.INTERRUPTED for record in odd)
    assert max(record.duration_ms for record in odd) > 50  # until the node died, not its last event
    assert not await asyncio.to_thread(journal_bytes, tmp_path)

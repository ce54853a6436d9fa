"""Events on their way into the database and out of it, on both databases."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from gateway.app.records import Records
from gateway.clock import SystemClock
from gateway.config.model import NumbersKept
from gateway.errors import BUSY, NORMAL, GatewayError
from gateway.events import CallCreated, CallEnded
from gateway.ids import CallId
from gateway.storage import event_writer, journal
from gateway.storage.event_log import EventLog, EventsLost
from gateway.storage.published import Wanted
from gateway.storage.queries import Filters, delete_call, delete_calls
from gateway.testing import ManualClock
from tests.storage.calls import CALLEE, CALLER, DIGITS, answer, begin, end, whole
from tests.storage.keeping import (
    EVERYTHING,
    WHOLE,
    flush,
    impatient,
    journal_bytes,
    node,
    numbers,
    read,
    settings,
)
from tests.support.postgres import Postgres
from tests.support.processes import wait_until

__all__ = ["impatient"]
Entries = list[MutableMapping[str, Any]]
pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(autouse=True)
def lines() -> Iterator[Entries]:
    """What was logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_what_is_read_later_is_what_was_read_at_once(url: str, tmp_path: Path) -> None:
    async with node(url, tmp_path) as (kept, log):
        whole(log, "c-1")
        live = await read(kept)
        assert [json.loads(event.text)["type"] for event in live] == [
            item.event.name for item in log.replay(0)
        ]
    async with node(url, tmp_path) as (kept, log):
        assert log.last_sequence == len(live)
        again = await read(kept)
        whole(log, "c-2")
        assert numbers(await read(kept)) == list(range(1, 2 * len(live) + 1))
    assert [(event.sequence, event.text, event.type, event.at.wall) for event in again] == [
        (event.sequence, event.text, event.type, event.at.wall) for event in live
    ]


async def test_only_what_is_wanted(url: str, tmp_path: Path) -> None:
    wanted = [
        (Wanted("default", "c-2"), 15),
        (Wanted("default", types=("call.created", "leg.")), 14),
        (Wanted("default", types=("call.created",)), 2),
        (Wanted("default", types=("call",)), 0),
        (Wanted("default", "c-3"), 0),
        (Wanted("other"), 1),
        (Wanted("nobody"), 0),
    ]
    async with node(url, tmp_path) as (kept, log):
        for call in ("c-1", "c-2"):
            begin(log, call)
            answer(log, call, "12")
            end(log, call)
        log.append(CallId("c-3"), CallCreated("browser", CALLER, CALLEE, project="other"))
        at_once = [len(await read(kept, wanted=one)) for one, _ in wanted]
    async with node(url, tmp_path) as (kept, log):
        # The crash left the other project's call open: its end belongs to that project too.
        later = [len(await read(kept, wanted=one)) for one, _ in wanted]
    expected = [count for _, count in wanted]
    assert at_once == expected
    assert later == [*expected[:5], 2, 0]


async def test_the_journal_is_empty_when_the_database_has_everything(
    url: str, tmp_path: Path
) -> None:
    async with node(url, tmp_path) as (kept, log):
        for number in range(30):
            whole(log, f"c-{number}")
        assert journal_bytes(tmp_path).count(b"\n") == 30 * WHOLE
        await wait_until(lambda: not journal_bytes(tmp_path), 5, "an empty journal")
        assert kept.events is not None
        assert kept.events.waiting == 0


async def test_big_journals_are_several_files_and_go_when_they_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 10_000)
    url = postgres.database()
    async with node(url, tmp_path) as (kept, log):
        whole(log, "c-first")
        await flush(kept)
        postgres.stop()
        for number in range(20):
            whole(log, f"c-{number}")
        assert len(list((tmp_path / "journal").glob("*.jsonl"))) > 5
        postgres.start()
        await wait_until(lambda: not journal_bytes(tmp_path), 10, "an empty journal")
        assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 1
        assert numbers(await read(kept)) == list(range(1, 21 * WHOLE + 1))


async def test_more_than_memory_may_hold_waits_in_the_journal(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ring and memory are small; the database is down for long."""
    monkeypatch.setattr(event_writer, "FROM_JOURNAL", 70)
    url = postgres.database()
    log = EventLog(SystemClock())
    kept = Records(settings(url, tmp_path), tmp_path, log, SystemClock())
    assert kept.events is not None
    kept.events._most = 100
    kept.feed._size = 50
    await kept.start()
    try:
        whole(log, "c-first")
        await flush(kept)
        postgres.stop()
        for number in range(20):
            whole(log, f"c-{number}")
        assert kept.events.waiting == 20 * WHOLE
        assert len(kept.events._pending) == 100
        # In neither ring nor database: a reader waits for it, and misses nothing.
        portion = await kept.feed.read(WHOLE, EVERYTHING)
        assert (list(portion.events), portion.position) == ([], WHOLE)
        postgres.start()
        for number in range(20, 25):
            whole(log, f"c-{number}")
        await flush(kept)
        assert kept.events.lost == 0
        assert numbers(await read(kept)) == list(range(1, 26 * WHOLE + 1))
    finally:
        await kept.stop()


async def test_a_disk_that_takes_nothing_stops_no_call_and_no_event(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Entries
) -> None:
    async with node(url, tmp_path) as (kept, log):
        whole(log, "c-1")
        await flush(kept)
        real = os.write
        full = [True]

        def write(descriptor: int, data: bytes) -> int:
            ours = data.lstrip().startswith(b'{"project"')
            return real(descriptor, data[:10] if ours and full[0] else data)

        monkeypatch.setattr(os, "write", write)
        whole(log, "c-2")
        assert kept.events is not None
        assert kept.events.failing
        full[0] = False
        whole(log, "c-3")
        assert not kept.events.failing
        complaints = [line["event"] for line in lines if line["event"].startswith("journal.")]
        assert complaints == ["journal.failed", "journal.works_again"]
        left = (await asyncio.to_thread(journal_bytes, tmp_path)).splitlines()
        assert len([line for line in left if b'"c-3"' in line and line.endswith(b"}}")]) == WHOLE
        await flush(kept)
        assert numbers(await read(kept)) == list(range(1, 3 * WHOLE + 1))


async def test_two_gateways_of_one_name_are_refused(url: str, tmp_path: Path) -> None:
    async with node(url, tmp_path):
        with pytest.raises(GatewayError, match=r"set records\.node"):
            async with node(url, tmp_path):
                pass


@pytest.mark.parametrize("kept_numbers", list(NumbersKept))
async def test_numbers_and_digits_are_kept_as_records_keep_them(
    url: str, tmp_path: Path, kept_numbers: NumbersKept
) -> None:
    """Nowhere: neither in the database, nor in the journal, nor in what programs read."""
    async with node(url, tmp_path, numbers=kept_numbers) as (kept, log):
        begin(log, "c-1")
        answer(log, "c-1")
        on_disk = journal_bytes(tmp_path).decode()
        shown = "".join(event.text for event in await read(kept))
        end(log, "c-1", BUSY.because(f"486 {CALLER} is busy"))
        await flush(kept)
        shown += "".join(event.text for event in await read(kept))
        query = text("SELECT * FROM events")
        rows = str(await kept.database.read(lambda connection: connection.execute(query).all()))
    for found in (on_disk, shown, rows):
        whole_ones = kept_numbers is NumbersKept.KEEP
        assert "c-1" in found
        assert (CALLER in found, CALLEE in found) == (whole_ones, whole_ones)
        assert ('"digit":"7"' in found) == whole_ones
        assert ('"digit":"X"' in found) != whole_ones
        assert ("+1415555xxxx" in found) == (kept_numbers is NumbersKept.MASK)
    assert DIGITS not in shown


async def test_texts_that_databases_refuse_are_kept(url: str, tmp_path: Path) -> None:
    hostile = "\0x\ud800"
    async with node(url, tmp_path) as (kept, log):
        whole(log, "c-1", caller=hostile)
        await flush(kept)
        assert kept.events is not None
        assert kept.events.lost == 0
    async with node(url, tmp_path) as (kept, _):
        [created, *_] = await read(kept)
        assert json.loads(created.text)["caller"] == hostile


async def test_an_event_that_is_refused_keeps_back_no_other(
    url: str, tmp_path: Path, lines: Entries
) -> None:
    async with node(url, tmp_path) as (kept, log):
        index = text("CREATE UNIQUE INDEX one_end ON events (type, project)"
                     " WHERE type = 'call.ended'")  # fmt: skip
        await kept.database.write(lambda connection: connection.execute(index))
        for call in ("c-1", "c-2"):
            begin(log, call)
            log.append(CallId(call), CallEnded(NORMAL, False, 1, 0))
        await flush(kept)
        assert kept.events is not None
        assert (kept.events.lost, kept.events.waiting) == (1, 0)
        count = text("SELECT count(*) FROM events")
        assert await kept.database.read(lambda connection: connection.scalar(count)) == 11
    assert [line["call"] for line in lines if line["event"] == "events.lost"] == ["c-2"]


async def test_deleting_a_call_deletes_its_events_and_no_number_is_given_twice(
    url: str, tmp_path: Path
) -> None:
    async with node(url, tmp_path) as (kept, log):
        for call in ("c-1", "c-2", "c-3"):
            whole(log, call)
    async with node(url, tmp_path) as (kept, log):
        with pytest.raises(GatewayError):
            await delete_call(kept.database, "c-3", "another")
        await delete_call(kept.database, "c-3")
        await delete_calls(kept.database, Filters(caller="nobody"))
        assert {event.call for event in await read(kept)} == {"c-1", "c-2"}
        assert await kept.feed.of_call("default", "c-3") == []
    async with node(url, tmp_path) as (kept, log):
        assert log.last_sequence == 3 * WHOLE
        await delete_calls(kept.database, Filters())
        assert await read(kept) == []


async def test_a_call_that_was_deleted_is_not_in_memory_either(url: str, tmp_path: Path) -> None:
    async with node(url, tmp_path) as (kept, log):
        whole(log, "c-1")
        whole(log, "c-2")
        await flush(kept)
        assert kept.kept is not None
        await wait_until(lambda: not kept.waiting, 5, "the records")
        await delete_call(kept.kept, "c-1")
        kept.feed.reread()
        begin(log, "c-3")
        assert {event.call for event in await read(kept)} == {"c-2", "c-3"}


async def test_old_events_are_purged(url: str, tmp_path: Path) -> None:
    clock = ManualClock()
    log = EventLog(clock)
    before = Records(settings(url, tmp_path, keep_days=30), tmp_path, log, clock)
    await before.start()
    whole(log, "c-old")
    await before.stop()
    clock.advance(31 * 24 * 3600)
    log = EventLog(clock)
    after = Records(settings(url, tmp_path, keep_days=30), tmp_path, log, clock)
    await after.start()
    try:

        async def gone() -> bool:
            return not await read(after)

        await wait_until(gone, 5, "the old ones are gone")
        whole(log, "c-new")
        assert numbers(await read(after)) == list(range(44, 87))
    finally:
        await after.stop()


async def test_events_of_a_call_page_by_page(url: str, tmp_path: Path) -> None:
    async with node(url, tmp_path) as (kept, log):
        begin(log, "c-1")
        begin(log, "c-2")
        await flush(kept)
        answer(log, "c-1", "1")
        end(log, "c-1")
        found, after = [], 0
        while page := await kept.feed.of_call("default", "c-1", after, 4):
            assert len(page) <= 4
            found += page
            after = page[-1].sequence
        assert numbers(found) == [item.sequence for item in log.replay(0, CallId("c-1"))]
        assert await kept.feed.of_call("other", "c-1") == []


async def test_in_memory_old_events_are_told_to_be_lost(tmp_path: Path) -> None:
    async with node("sqlite://", tmp_path) as (kept, log):
        kept.feed._size = 10
        whole(log, "c-1")
        portion = await kept.feed.read(5, EVERYTHING)
        assert portion.lost == EventsLost(6, 33)
        assert numbers(list(portion.events)) == list(range(34, 44))
        begin(log, "c-2")
        whole_call = await kept.feed.read(0, Wanted("default", "c-2"))
        assert (whole_call.lost, numbers(list(whole_call.events))) == (None, list(range(44, 49)))
        assert (await kept.feed.read(0, Wanted("default", "c-1"))).lost == EventsLost(1, 38)
        assert not (tmp_path / "journal").exists()


async def test_a_reader_is_woken(url: str, tmp_path: Path) -> None:
    async with node(url, tmp_path) as (kept, log):
        news = asyncio.create_task(kept.feed.news())
        await asyncio.sleep(0)
        begin(log, "c-1")
        await asyncio.wait_for(news, 1)


async def test_nodes_that_share_a_database_have_logs_of_their_own(url: str, tmp_path: Path) -> None:
    """Each numbers and streams its own; a call's events are found from both."""
    log, other = EventLog(SystemClock()), EventLog(SystemClock())
    both = [
        Records(settings(url, tmp_path).model_copy(update={"node": name}), tmp_path, one,
                SystemClock())
        for name, one in (("n-1", log), ("n-1-2", other))
    ]  # fmt: skip
    for kept in both:
        await kept.start()
    try:
        begin(log, "c-1")
        whole(other, "c-2")
        for kept in both:
            await flush(kept)
        assert [event.call for event in await read(both[0])] == ["c-1"] * 5
        assert numbers(await read(both[1])) == list(range(1, WHOLE + 1))
        assert len(await both[0].feed.of_call("default", "c-2")) == WHOLE
    finally:
        for kept in both:
            await kept.stop()
    async with node(url, tmp_path) as (third, _):
        # It was not this one that left a call open.
        assert await read(third) == []
        assert len(await third.feed.of_call("default", "c-1")) == 5

"""Asking for records: filters, pages, one of them, CSV, deletion, retention."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select

from gateway.errors import NOT_FOUND, GatewayError
from gateway.events import Role
from gateway.ids import CallId, LegId
from gateway.ports import LegKind
from gateway.storage.cdr import Cdr, LegCdr, Quality
from gateway.storage.database import Database
from gateway.storage.pages import BAD_CURSOR
from gateway.storage.queries import (
    Filters,
    csv_lines,
    delete_call,
    delete_calls,
    each_call,
    get_call,
    list_calls,
    purge,
)
from gateway.storage.rows import call_row, leg_rows
from gateway.storage.tables import calls, legs
from gateway.terms import CdrState, Party

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def record(number: int, **changes: object) -> Cdr:
    """A call that began `number` minutes after noon."""
    at = NOON + number * MINUTE
    heard = Quality("pcmu/8000", 500, 5, 500, 0, 1.5, 20.0, 4.21)
    leg = LegCdr(LegId("l-1"), Role.CALLER, LegKind.SIP, "in", "555", at, None, at, at + MINUTE)
    to = LegCdr(LegId("l-2"), Role.CALLEE, LegKind.SIP, "out", "556", at, at, at, at + MINUTE)
    cdr = Cdr(
        CallId(f"c-{number:03}"), at, state=CdrState.ENDED, context="in", caller="+14155550100",
        callee="200", trunk="in", ended_at=at + MINUTE, duration_ms=60_000, code="normal",
        sip_status=200, q850=16, hung_up_by=Party.CALLER,
        legs=(leg._replace(quality=heard), to),
    )  # fmt: skip
    return cdr._replace(**changes)  # type: ignore[arg-type]


async def store(database: Database, *records: Cdr) -> None:
    def write(connection: Connection) -> None:
        for cdr in records:
            connection.execute(insert(calls), [call_row(cdr, "here")])
            if cdr.legs:
                connection.execute(insert(legs), leg_rows(cdr))

    await database.write(write)


@pytest.fixture
async def filled(database: Database) -> Database:
    """Ten calls, of which some differ."""
    changes: dict[int, dict[str, object]] = {
        1: {"caller": "alice", "trunk": None},
        2: {"code": "busy", "sip_status": 486},
        3: {"callee": "201"},
        4: {"project": "other"},
        5: {"legs": (), "trunk": None},
        6: {"state": CdrState.LIVE, "ended_at": None, "code": None, "hung_up_by": None},
    }
    await store(database, *(record(number, **changes.get(number, {})) for number in range(10)))
    return database


def numbers(records: tuple[Cdr, ...]) -> list[int]:
    return [int(found.id[2:]) for found in records]


FILTERED: list[tuple[Filters, list[int]]] = [
    (Filters(), [9, 8, 7, 6, 5, 3, 2, 1, 0]),
    (Filters(since=NOON + 2 * MINUTE, until=NOON + 7 * MINUTE), [6, 5, 3, 2]),
    (Filters(caller="alice"), [1]),
    (Filters(callee="201"), [3]),
    (Filters(code="busy"), [2]),
    (Filters(trunk="in", until=NOON + 3 * MINUTE), [2, 1, 0]),
    (Filters(trunk="out", until=NOON + 7 * MINUTE), [6, 3, 2, 1, 0]),
    (Filters(trunk="nowhere"), []),
    (Filters(state=CdrState.LIVE), [6]),
    (Filters(project="other"), [4]),
    (Filters(caller="' OR 1=1 --"), []),
]


async def test_filters(filled: Database) -> None:
    for filters, expected in FILTERED:
        page = await list_calls(filled, filters)
        assert numbers(page.records) == expected, filters


async def test_a_record_comes_back_as_it_was(database: Database) -> None:
    await store(database, record(1), record(2, legs=()))
    assert await get_call(database, "c-001") == record(1)
    assert (await list_calls(database, Filters())).records == (record(2, legs=()), record(1))


async def test_pages_join_without_gap_though_calls_come_meanwhile(filled: Database) -> None:
    """Two of them began at the same moment."""
    await store(filled, record(5)._replace(id=CallId("c-005b")))
    first = await list_calls(filled, Filters(), limit=4)
    assert first.cursor is not None
    await store(filled, record(50))
    second = await list_calls(filled, Filters(), limit=4, cursor=first.cursor)
    third = await list_calls(filled, Filters(), limit=4, cursor=second.cursor)
    found = [cdr.id for page in (first, second, third) for cdr in page.records]
    assert found == [
        f"c-{n}" for n in ["009", "008", "007", "006", "005b", "005", "003", "002", "001", "000"]
    ]
    assert third.cursor is None
    every = [found.id async for found in each_call(filled, Filters())]
    assert every == ["c-050", *found]


async def test_other_cursors_and_sizes_of_a_page_are_refused(database: Database) -> None:
    for cursor in ("", "x", "AAAA", "MjAzMC0wNi0wMVQxMjowMDowMA", "é"):
        with pytest.raises(GatewayError) as refused:
            await list_calls(database, Filters(), cursor=cursor)
        assert refused.value.verdict == BAD_CURSOR
    for limit in (0, -1, 1001):
        with pytest.raises(GatewayError, match="limit must be"):
            await list_calls(database, Filters(), limit=limit)


async def test_another_projects_record_is_not_there(filled: Database) -> None:
    for ask in (get_call, delete_call):
        with pytest.raises(GatewayError) as refused:
            await ask(filled, "c-004")
        assert refused.value.verdict.code == NOT_FOUND.code
    assert (await get_call(filled, "c-004", "other")).project == "other"


async def test_deletion_takes_the_legs_along_and_leaves_live_calls(filled: Database) -> None:
    await delete_call(filled, "c-001")
    with pytest.raises(GatewayError, match="not over"):
        await delete_call(filled, "c-006")
    assert await delete_calls(filled, Filters(caller="+14155550100")) == 7
    assert numbers((await list_calls(filled, Filters())).records) == [6]
    query = select(legs.c.call).distinct()
    left = await filled.read(lambda connection: set(connection.scalars(query)))
    assert left == {"c-004", "c-006"}


async def test_retention_deletes_what_is_too_old_in_every_project(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.queries.PURGE_BATCH", 2)
    day = 24 * 60
    live = {"state": CdrState.LIVE}
    await store(
        database, *(record(number * day) for number in range(6)),
        record(1, project="other"), record(2, **live),
    )  # fmt: skip
    now = NOON + timedelta(days=5)
    assert await purge(database, 30, now) == 0
    assert await purge(database, 2, now) == 4
    count = select(func.count()).select_from(calls)
    assert await database.read(lambda connection: connection.scalar(count)) == 4
    assert numbers((await list_calls(database, Filters())).records) == [7200, 5760, 4320, 2]


def test_csv_says_what_a_call_was() -> None:
    text = "".join(csv_lines([record(1), record(2, caller='a,"b"\r\nc', legs=())]))
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert (first["id"], first["caller"], first["duration_ms"]) == (
        "c-001",
        "+14155550100",
        "60000",
    )
    assert (first["created_at"], first["recorded"]) == ("2030-06-01T12:01:00+00:00", "no")
    assert (first["caller_mos"], first["caller_codec"], first["callee_mos"]) == (
        "4.21",
        "pcmu/8000",
        "",
    )
    assert second["caller"] == 'a,"b"\r\nc'


@given(st.text() | st.text().map(lambda rest: "=" + rest) | st.sampled_from(["@SUM(1)", "-1+1"]))
def test_no_cell_is_a_formula(caller: str) -> None:
    text = "".join(csv_lines([record(1, caller=caller)]))
    [found] = csv.DictReader(io.StringIO(text, newline=""))
    cell = found["caller"]
    assert cell in (caller, "'" + caller)
    assert not cell.startswith(("=", "@", "\t", "\r", "\n", "|"))
    if cell.startswith(("+", "-")):
        assert cell[1:].replace(".", "", 1).isdigit()

"""Owns asking for call records: lists by filters, one of them, export, deletion.

Everything belongs to a project: nothing of another one is found, changed or deleted. All functions
raise GatewayError(DATABASE_FAILED).
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    and_,
    bindparam,
    exists,
    or_,
    select,
    tuple_,
)

from gateway.errors import BAD_REQUEST, NOT_FOUND, Blame, GatewayError, Verdict
from gateway.ids import DEFAULT_PROJECT
from gateway.storage.cdr import Cdr, LegCdr
from gateway.storage.database import Database
from gateway.storage.pages import read_cursor, written_cursor
from gateway.storage.rows import CALL_COLUMNS, LEG_COLUMNS, cdr_from, leg_from
from gateway.storage.tables import calls, events, legs
from gateway.terms import CdrState

T = TypeVar("T")
CALL_IS_LIVE = Verdict("call_is_live", 409, 409, 95, Blame.CALLER, "The call is not over")
MAX_PAGE = 1_000
PURGE_BATCH = 1_000
_FORMULA = ("=", "+", "-", "@", "|", "\t", "\r", "\n")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
CSV_COLUMNS = (
    "id", "project", "state", "context", "caller", "callee", "trunk", "rule", "program",
    "created_at", "answered_at", "ended_at", "duration_ms", "talk_ms", "code", "sip_status", "q850",
    "blame", "text", "hung_up_by", "dtmf_received", "dtmf_sent", "recorded", "incomplete",
)  # fmt: skip
CSV_QUALITY = ("codec", "rx_packets", "rx_lost", "tx_packets", "jitter_ms", "rtt_ms", "mos")
CSV_SIDES = ("caller", "callee")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records. All that is given must hold; texts are compared whole.

    since, until: of the call's beginning; `until` itself is not in. trunk: that the call came from,
    or that one of its legs went to.
    """

    project: str = DEFAULT_PROJECT
    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = field(default=None, repr=False)
    callee: str | None = field(default=None, repr=False)
    trunk: str | None = None
    code: str | None = None
    state: CdrState | None = None

    def given(self) -> dict[str, Any]:
        """What is not left open, by name."""
        found = {name: getattr(self, name) for name in _CONDITIONS}
        return {name: value for name, value in found.items() if value is not None}


_CONDITIONS: Mapping[str, ColumnElement[bool]] = MappingProxyType(
    {
        "project": calls.c.project == bindparam("project"),
        "since": calls.c.created_at >= bindparam("since"),
        "until": calls.c.created_at < bindparam("until"),
        "caller": calls.c.caller == bindparam("caller"),
        "callee": calls.c.callee == bindparam("callee"),
        "trunk": or_(
            calls.c.trunk == bindparam("trunk"),
            exists().where(legs.c.call == calls.c.id, legs.c.trunk == bindparam("trunk")),
        ),
        "code": calls.c.code == bindparam("code"),
        "state": calls.c.state == bindparam("state"),
    }
)
"""What each filter means."""
_LEGS = (
    select(*LEG_COLUMNS, legs.c.call)
    .where(legs.c.call.in_(bindparam("calls", expanding=True)))
    .order_by(legs.c.call, legs.c.position)
)
_ONE = select(*CALL_COLUMNS).where(
    calls.c.id == bindparam("call"), calls.c.project == bindparam("project")
)


def _where(names: Iterable[str]) -> list[ColumnElement[bool]]:
    return [_CONDITIONS[name] for name in names]


@functools.cache
def _newest(names: tuple[str, ...], *, follows: bool) -> Select[Any]:
    """The calls that these filters leave, newest first; follows: those after `moment` and `id`. A
    statement that is made anew takes as long as reading ten calls."""
    conditions = _where(names)
    if follows:
        moment = bindparam("moment", type_=calls.c.created_at.type)
        same = and_(calls.c.created_at == moment, calls.c.id < bindparam("id"))
        conditions.append(or_(calls.c.created_at < moment, same))
    newest = (calls.c.created_at.desc(), calls.c.id.desc())
    return select(*CALL_COLUMNS).where(*conditions).order_by(*newest).limit(bindparam("most"))


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, newest first. `cursor` asks for the ones after them; None: there are none."""

    records: tuple[Cdr, ...]
    cursor: str | None


async def list_calls(
    database: Database, filters: Filters, limit: int = 100, cursor: str | None = None
) -> Page:
    """Records that match, newest first. What is written meanwhile shifts no page.

    Raises GatewayError: BAD_CURSOR; BAD_REQUEST: limit is not 1..MAX_PAGE.
    """
    return await made_of_calls(lambda page: page, database, filters, limit, cursor)


async def made_of_calls(
    make: Callable[[Page], T],
    database: Database,
    filters: Filters,
    limit: int = 100,
    cursor: str | None = None,
) -> T:
    """What `make` makes of the page that list_calls gives. It does so where the page is read: the
    asyncio thread, on which calls wait, does not see it."""
    return await database.read(lambda connection: make(_page(connection, filters, limit, cursor)))


def _page(connection: Connection, filters: Filters, limit: int, cursor: str | None) -> Page:
    if not 1 <= limit <= MAX_PAGE:
        raise GatewayError(BAD_REQUEST, f"limit must be 1 to {MAX_PAGE}")
    given = filters.given()
    query = _newest(tuple(given), follows=cursor is not None)
    if cursor is not None:
        given["moment"], given["id"] = read_cursor(cursor)
    found = _records(connection, query, given | {"most": limit + 1})
    if len(found) <= limit:
        return Page(tuple(found), None)
    return Page(
        tuple(found[:limit]), written_cursor(found[limit - 1].created_at, found[limit - 1].id)
    )


async def each_call(database: Database, filters: Filters) -> AsyncIterator[Cdr]:
    """All records that match, newest first, page by page."""
    cursor = None
    while True:
        page = await list_calls(database, filters, MAX_PAGE, cursor)
        for record in page.records:
            yield record
        cursor = page.cursor
        if cursor is None:
            return


async def get_call(database: Database, call: str, project: str = DEFAULT_PROJECT) -> Cdr:
    """One record. Raises GatewayError(NOT_FOUND)."""
    asked = {"call": call, "project": project}
    found = await database.read(lambda connection: _records(connection, _ONE, asked))
    if not found:
        raise GatewayError(NOT_FOUND, "No such call")
    return found[0]


async def delete_call(database: Database, call: str, project: str = DEFAULT_PROJECT) -> None:
    """Deletes one record, its legs' and its events.

    Raises GatewayError: NOT_FOUND, CALL_IS_LIVE.
    """

    def delete(connection: Connection) -> None:
        this = (calls.c.id == call, calls.c.project == project)
        state = connection.scalar(select(calls.c.state).where(*this))
        if state is None:
            raise GatewayError(NOT_FOUND, "No such call")
        if state == CdrState.LIVE:
            raise GatewayError(CALL_IS_LIVE)
        theirs = (events.c.call == call, events.c.project == project)
        connection.execute(events.delete().where(*theirs))
        connection.execute(calls.delete().where(*this))

    await database.write(delete)


async def delete_calls(database: Database, filters: Filters) -> int:
    """Deletes every record that matches, of calls that are over, and their events; returns how
    many."""
    given = filters.given()
    these = (*_where(given), calls.c.state != CdrState.LIVE.value)
    theirs = events.c.call.in_(select(calls.c.id).where(*these))

    def delete(connection: Connection) -> int:
        connection.execute(events.delete().where(theirs), given)
        return connection.execute(calls.delete().where(*these), given).rowcount

    return await database.write(delete)


async def purge(database: Database, keep_days: int, now: datetime) -> int:
    """Deletes the records, of all projects, of calls that began more than `keep_days` ago; returns
    how many. In small transactions, so that nobody waits long."""
    oldest = now - timedelta(days=keep_days)
    over = (calls.c.created_at < oldest, calls.c.state != CdrState.LIVE.value)
    due = select(calls.c.id).where(*over).limit(PURGE_BATCH)
    return await _delete_in_batches(database, calls.delete().where(calls.c.id.in_(due)))


async def purge_events(database: Database, keep_days: int, now: datetime) -> int:
    """Deletes the events, of all projects, of more than `keep_days` ago; returns how many. In
    small transactions."""
    oldest = now - timedelta(days=keep_days)
    key = tuple_(events.c.node, events.c.sequence)
    due = select(events.c.node, events.c.sequence).where(events.c.at < oldest).limit(PURGE_BATCH)
    return await _delete_in_batches(database, events.delete().where(key.in_(due)))


async def _delete_in_batches(database: Database, statement: Delete) -> int:
    """Deletes until a batch is not full; returns how many."""
    total = 0
    while True:
        done = await database.change(statement)
        total += done
        if done < PURGE_BATCH:
            return total


def _records(connection: Connection, query: Select[Any], asked: Mapping[str, Any]) -> list[Cdr]:
    """The calls whose CALL_COLUMNS `query` finds, with their legs."""
    rows = connection.execute(query, asked).all()
    found = connection.execute(_LEGS, {"calls": [row.id for row in rows]}).all()
    by_call: defaultdict[str, list[LegCdr]] = defaultdict(list)
    for leg in found:
        by_call[leg[-1]].append(leg_from(leg))
    return [cdr_from(row, by_call[row.id]) for row in rows]


# ---- CSV ------------------------------------------------------------------------------------


def csv_lines(records: Iterable[Cdr]) -> Iterator[str]:
    """The records as CSV (RFC 4180), line by line, column names first. The audio columns are the
    caller's leg, and the callee's that was answered."""
    names = [*CSV_COLUMNS]
    names += [f"{side}_{name}" for side in CSV_SIDES for name in CSV_QUALITY]
    yield _line(names)
    for record in records:
        yield _line([*(getattr(record, name) for name in CSV_COLUMNS), *_audio(record)])


def _audio(record: Cdr) -> Iterator[object]:
    for side in CSV_SIDES:
        there = [leg for leg in record.legs if leg.role == side]
        leg = next((leg for leg in there if leg.answered_at is not None), None)
        quality = None if leg is None else leg.quality
        for name in CSV_QUALITY:
            yield None if quality is None else getattr(quality, name)


def _line(values: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula: peers choose their numbers and names."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if text.startswith(_FORMULA) and not _PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text

"""Owns the records of calls over HTTP: listed, exported, shown, deleted."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator, Sequence

import structlog
from aiohttp import web

from gateway.api.operations import Asked, Operation, as_json
from gateway.api.problems import UNPROCESSABLE
from gateway.config.identity import Scope
from gateway.contract.records import (
    CallRecord,
    CallRecords,
    DeletedRecords,
    RecordFilters,
    RecordsQuery,
)
from gateway.errors import NOT_FOUND, Blame, GatewayError, Verdict
from gateway.storage.cdr import Cdr
from gateway.storage.database import Database
from gateway.storage.queries import (
    CALL_IS_LIVE,
    Filters,
    Page,
    csv_lines,
    delete_call,
    delete_calls,
    get_call,
    list_calls,
    made_of_calls,
)

_log = structlog.get_logger(__name__)

PATH = "/v1/cdrs"
TAG = "records"
CSV = "text/csv"
CSV_PAGE = 200
"""Records of an export that are read at once."""
NOT_KEPT = Verdict(
    "records_not_kept", 500, 501, 41, Blame.GATEWAY,
    "This node keeps no records of calls: its configuration has no `records` section, or one in "
    "memory",
)  # fmt: skip
_CALL = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RecordEndpoint:
    """The operations. An identity sees the records of its project, and no others."""

    def __init__(
        self, database: Database | None, deleted: Callable[[], None] = lambda: None
    ) -> None:
        """database: None: no records are kept, and every operation is NOT_KEPT. deleted: told when
        records are, and their events with them."""
        self._database = database
        self._deleted = deleted

    def operations(self) -> builtins.list[Operation]:
        """All of them."""
        one, read, delete = PATH + "/{call}", Scope.CALLS_READ, Scope.RECORDS_DELETE
        return [
            Operation(
                "GET", PATH, "listRecords", "The records of calls", TAG, read, self.list,
                query=RecordsQuery, answer=CallRecords, problems=(NOT_KEPT,),
            ),
            Operation(
                "GET", PATH + ".csv", "exportRecords", "The records of calls as CSV", TAG, read,
                self.export, query=RecordFilters, media=CSV, problems=(NOT_KEPT,),
            ),
            Operation(
                "DELETE", PATH, "deleteRecords", "Delete the records that match", TAG, delete,
                self.delete_all, query=RecordFilters, answer=DeletedRecords, problems=(NOT_KEPT,),
            ),
            Operation(
                "GET", one, "getRecord", "The record of one call", TAG, read, self.show,
                answer=CallRecord, problems=(NOT_KEPT,),
            ),
            Operation(
                "DELETE", one, "deleteRecord", "Delete the record of one call", TAG, delete,
                self.delete, status=204, problems=(NOT_KEPT, CALL_IS_LIVE),
            ),
        ]  # fmt: skip

    async def list(self, asked: Asked) -> bytes:
        """Newest first. `cursor` asks for the records after a page; calls that begin meanwhile
        shift none."""
        wanted: RecordsQuery = asked.query
        return await made_of_calls(
            _listed, self._kept(), _filters(asked), wanted.limit, wanted.cursor
        )

    async def export(self, asked: Asked) -> web.StreamResponse:
        """All records that match, newest first, column names before them (RFC 4180). What a
        spreadsheet would take for a formula has an apostrophe before it."""
        database, filters = self._kept(), _filters(asked)
        page = await list_calls(database, filters, CSV_PAGE)
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{CSV}; charset=utf-8; header=present",  # RFC 7111 5.1
                "Content-Disposition": 'attachment; filename="calls.csv"',
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(asked.request)
        try:
            await response.write(_csv(page.records, names=True))
            while page.cursor is not None:
                page = await list_calls(database, filters, CSV_PAGE, page.cursor)
                await response.write(_csv(page.records, names=False))
            await response.write_eof()
        except (GatewayError, ConnectionError) as error:
            # 200 was said already: only a connection that breaks tells that something is missing.
            _log.warning("records.export_broken", reason=str(error))
            if asked.request.transport is not None:
                asked.request.transport.abort()
        return response

    async def show(self, asked: Asked) -> CallRecord:
        """With its legs, the caller's first."""
        return CallRecord.model_validate(await get_call(self._kept(), _call(asked), asked.project))

    async def delete(self, asked: Asked) -> None:
        """Also its legs'. Its recordings stay: they are deleted by themselves."""
        await delete_call(self._kept(), _call(asked), asked.project)
        self._deleted()

    async def delete_all(self, asked: Asked) -> DeletedRecords:
        """Needs a filter: who means all of them writes `until`. Records of live calls stay."""
        database = self._kept()
        if not asked.query.model_dump(exclude_none=True):
            raise GatewayError(UNPROCESSABLE, "Say which records: write at least one filter")
        found = await delete_calls(database, _filters(asked))
        self._deleted()
        return DeletedRecords(deleted=found)

    def _kept(self) -> Database:
        if self._database is None:
            raise GatewayError(NOT_KEPT)
        return self._database


def _listed(page: Page) -> bytes:
    return as_json(CallRecords.model_validate({"calls": page.records, "cursor": page.cursor}))


def _filters(asked: Asked) -> Filters:
    """Which records are asked for, of those of the project."""
    wanted: RecordFilters = asked.query
    return Filters(
        asked.project, wanted.since, wanted.until, wanted.caller, wanted.callee, wanted.trunk,
        wanted.code, wanted.state,
    )  # fmt: skip


def _call(asked: Asked) -> str:
    """The call's id. Raises GatewayError(NOT_FOUND): no call is called so."""
    call = asked.path["call"]
    if _CALL.fullmatch(call) is None:
        raise GatewayError(NOT_FOUND, "No such call")
    return call


def _csv(records: Sequence[Cdr], *, names: bool) -> bytes:
    lines: Iterator[str] = csv_lines(records)
    if not names:
        next(lines)
    return "".join(lines).encode()

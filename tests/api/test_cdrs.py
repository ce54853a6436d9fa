"""The records of calls over HTTP: listed, exported, shown and deleted, each project its own."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from gateway.api import cdrs
from gateway.api.cdrs import CSV_PAGE, RecordEndpoint
from gateway.config.identity import Scope
from gateway.errors import DATABASE_FAILED, GatewayError
from gateway.storage.database import Database
from gateway.storage.queries import Filters, Page, list_calls
from gateway.terms import CdrState
from tests.api.conftest import StartApi
from tests.api.known import Stand, known
from tests.storage.test_queries import record, store

CHANGES: dict[int, dict[str, Any]] = {
    1: {"caller": "alice", "trunk": None},
    2: {"code": "busy"},
    3: {"project": "other"},
    4: {"state": CdrState.LIVE, "ended_at": None, "code": None},
    5: {"caller": "=HYPERLINK()"},
}


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    """Six calls; one of another project, one that lives."""
    async with known(start_api) as made:
        await store(made.database, *(record(n, **CHANGES.get(n, {})) for n in range(6)))
        yield made


async def ids(stand: Stand, headers: dict[str, str], query: str = "") -> list[str]:
    status, told = await stand.ask("GET", "/v1/cdrs" + query, headers)
    assert status == 200, told
    return [call["id"] for call in told["calls"]]


async def test_a_project_sees_its_own_records_newest_first(stand: Stand) -> None:
    ours = await stand.key(Scope.CALLS_READ)
    others = await stand.key(Scope.CALLS_READ, project="other")
    assert await ids(stand, ours) == ["c-005", "c-004", "c-002", "c-001", "c-000"]
    assert await ids(stand, others) == ["c-003"]
    assert (await stand.ask("GET", "/v1/cdrs/c-000", others))[0] == 404
    status, told = await stand.ask("GET", "/v1/cdrs/c-000", ours)
    assert (status, told["caller"]) == (200, "+14155550100")
    assert [leg["number"] for leg in told["legs"]] == ["555", "556"]
    assert told["legs"][0]["quality"]["mos"] == 4.21


async def test_pages_have_every_record_once(stand: Stand) -> None:
    key = await stand.key(Scope.CALLS_READ)
    found: list[str] = []
    cursor = ""
    while True:
        _, told = await stand.ask("GET", f"/v1/cdrs?limit=2{cursor}", key)
        found += [call["id"] for call in told["calls"]]
        if told["cursor"] is None:
            break
        cursor = f"&cursor={told['cursor']}"
    assert found == ["c-005", "c-004", "c-002", "c-001", "c-000"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?caller=alice", ["c-001"]),
        ("?code=busy", ["c-002"]),
        ("?state=live", ["c-004"]),
        ("?trunk=in", ["c-005", "c-004", "c-002", "c-001", "c-000"]),
        ("?trunk=nowhere", []),
        ("?since=2030-06-01T12:04:00Z", ["c-005", "c-004"]),
        ("?until=2030-06-01T14:01:00%2B02:00", ["c-000"]),
        ("?since=2030-06-01T12:01:00Z&until=2030-06-01T12:02:00Z", ["c-001"]),
    ],
)
async def test_filters(stand: Stand, query: str, wanted: list[str]) -> None:
    assert await ids(stand, await stand.key(Scope.CALLS_READ), query) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday", "since=1700000000", "since=2030-06-01", "since=2030-06-01T12:00:00",
        "since=9999-12-31T23:59:59-12:00", "since=2030-13-01T00:00:00Z", "state=gone", "limit=0",
        "limit=1001", "cursor=x", "caller=", "caller=%00", "trunk=a%20b", "colour=red",
    ],
)  # fmt: skip
async def test_queries_that_make_no_sense(stand: Stand, query: str) -> None:
    status, told = await stand.ask("GET", f"/v1/cdrs?{query}", await stand.key(Scope.CALLS_READ))
    assert (status, told["code"]) in (
        (400, "bad_request"),
        (422, "unprocessable"),
        (422, "bad_cursor"),
    )


@pytest.mark.parametrize("call", ["c-none", "%00", "..", "a%2Fb", "'", "x" * 65])
async def test_a_call_that_is_none(stand: Stand, call: str) -> None:
    key = await stand.key(Scope.ADMIN)
    for method in ("GET", "DELETE"):
        assert (await stand.ask(method, f"/v1/cdrs/{call}", key))[0] in (404, 405), method


async def test_an_export_has_all_pages_and_no_formulas(stand: Stand) -> None:
    many = [record(n) for n in range(100, 101 + CSV_PAGE)]
    await store(stand.database, *many)
    key = await stand.key(Scope.CALLS_READ)
    async with stand.api.client.get("/v1/cdrs.csv", headers=key) as response:
        assert response.headers["Content-Type"].startswith("text/csv")
        assert response.headers["Content-Disposition"] == 'attachment; filename="calls.csv"'
        text = (await response.read()).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 5 + len(many)
    assert {row["project"] for row in rows} == {"default"}
    assert next(row["caller"] for row in rows if row["id"] == "c-005") == "'=HYPERLINK()"
    assert text.count("\r\n") == 1 + len(rows)  # RFC 4180 2, rule 1
    async with stand.api.client.get("/v1/cdrs.csv?code=busy", headers=key) as response:
        assert (await response.text()).splitlines()[1].startswith("c-002,")


async def test_an_export_that_fails_in_the_middle_is_no_whole_one(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(stand.database, *(record(n) for n in range(100, 101 + CSV_PAGE)))
    key = await stand.key(Scope.CALLS_READ)

    async def fails(
        database: Database, filters: Filters, limit: int, cursor: str | None = None
    ) -> Page:
        if cursor is not None:
            raise GatewayError(DATABASE_FAILED)
        return await list_calls(database, filters, limit)

    monkeypatch.setattr(cdrs, "list_calls", fails)
    async with stand.api.client.get("/v1/cdrs.csv", headers=key) as response:
        with pytest.raises(ClientPayloadError):
            await response.read()
    assert (await stand.ask("GET", "/v1/cdrs/c-100", key))[0] == 200  # the node goes on


async def test_deletion_of_one_record(stand: Stand) -> None:
    key = await stand.key(Scope.RECORDS_DELETE, Scope.CALLS_READ)
    others = await stand.key(Scope.RECORDS_DELETE, project="other")
    assert (await stand.ask("DELETE", "/v1/cdrs/c-000", others))[0] == 404
    status, told = await stand.ask("DELETE", "/v1/cdrs/c-004", key)
    assert (status, told["code"]) == (409, "call_is_live")
    assert (await stand.ask("DELETE", "/v1/cdrs/c-000", key))[0] == 204
    assert (await stand.ask("GET", "/v1/cdrs/c-000", key))[0] == 404


async def test_deletion_by_filters_needs_one_and_stays_in_the_project(stand: Stand) -> None:
    key = await stand.key(Scope.RECORDS_DELETE, Scope.CALLS_READ)
    others = await stand.key(Scope.CALLS_READ, project="other")
    status, told = await stand.ask("DELETE", "/v1/cdrs", key)
    assert (status, told["code"]) == (422, "unprocessable")
    assert len(await ids(stand, key)) == 5
    assert await stand.ask("DELETE", "/v1/cdrs?caller=alice", key) == (200, {"deleted": 1})
    asked = await stand.ask("DELETE", "/v1/cdrs?until=2040-01-01T00:00:00Z", key)
    assert asked == (200, {"deleted": 3})
    assert await ids(stand, key) == ["c-004"]
    assert await ids(stand, others) == ["c-003"]


async def test_who_may_only_read_deletes_nothing(stand: Stand) -> None:
    key = await stand.key(Scope.CALLS_READ, Scope.CALLS_WRITE)
    assert (await stand.ask("DELETE", "/v1/cdrs/c-000", key))[0] == 403
    assert (await stand.ask("DELETE", "/v1/cdrs?caller=alice", key))[0] == 403


async def test_a_node_without_records_says_so(start_api: StartApi) -> None:
    api = await start_api(demo=True, operations=RecordEndpoint(None).operations())
    for method, path in [("GET", ""), ("GET", ".csv"), ("GET", "/c-1"), ("DELETE", "/c-1")]:
        async with api.client.request(method, "/v1/cdrs" + path) as response:
            assert response.status == 501
            assert (await response.json(content_type=None))["code"] == "records_not_kept"

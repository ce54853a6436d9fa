"""What every operation does: request ids, rates, located errors; and the lists of live calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import pytest

from gateway.config.identity import Scope
from gateway.ports import IncomingSip, LegKind
from gateway.testing import FakeLeg
from tests.api.conftest import StartApi
from tests.api.known import Stand, known


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


def phones(stand: Stand, count: int) -> list[str]:
    """Calls that came from a trunk, oldest first."""
    made = []
    for number in range(count):
        leg = FakeLeg(LegKind.SIP, stand.node.media)
        call = stand.node.registry.start_sip_call(
            IncomingSip(leg, "carrier", f"555{number}", "wait")
        )
        assert call is not None
        made.append(call.id)
    return [str(call) for call in made]


# ---- what is the same everywhere ------------------------------------------------------------


async def test_a_request_keeps_its_id(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_READ)
    async with stand.api.client.get(
        "/v1/calls/c-none", headers=headers | {"X-Request-Id": "mine.1"}
    ) as response:
        assert response.headers["X-Request-Id"] == "mine.1"
        assert (await response.json(content_type=None))["instance"] == "urn:gateway:request:mine.1"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "<script>"])
async def test_a_request_gets_an_id(stand: Stand, given: str) -> None:
    async with stand.api.client.get("/v1/calls", headers={"X-Request-Id": given}) as response:
        name = response.headers["X-Request-Id"]
        assert name.startswith("r-")
        assert (await response.json(content_type=None))["instance"].endswith(name)


async def test_who_asks_too_often_is_told_when_to_ask_again(stand: Stand) -> None:
    hasty = await stand.key(Scope.CALLS_READ)
    other = await stand.key(Scope.CALLS_READ, name="other")
    answers = [await stand.ask("GET", "/v1/calls", hasty) for _ in range(200)]
    assert {status for status, _ in answers} == {200}
    async with stand.api.client.get("/v1/calls", headers=hasty) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "1"
        assert (await response.json(content_type=None))["code"] == "rate_limited"
    assert (await stand.ask("GET", "/v1/calls", other))[0] == 200
    stand.clock.advance(1)
    assert (await stand.ask("GET", "/v1/calls", hasty))[0] == 200


async def test_all_that_is_wrong_is_told_where_it_is(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, Scope.CALLS_READ)
    status, told = await stand.ask("GET", "/v1/calls?limit=0&phase=x&nothing=1", headers)
    assert status == 400
    assert [(each["in"], each["path"]) for each in told["errors"]] == [
        ("query", ["limit"]), ("query", ["phase"]), ("query", ["nothing"]),
    ]  # fmt: skip
    status, told = await stand.ask(
        "POST", "/v1/calls", headers, json={"to": {"user": "alice"}, "callee": 5, "more": "x"}
    )
    assert status == 400
    assert [each["path"] for each in told["errors"]] == [["callee"], ["more"]]
    assert (await stand.ask("GET", "/v1/calls/c-1?x=1", headers))[0] == 400
    assert (await stand.ask("GET", "/v1/calls?limit=1&limit=2", headers))[0] == 400


# ---- live calls -----------------------------------------------------------------------------


async def pages(stand: Stand, headers: dict[str, str], query: str) -> list[list[str]]:
    """The ids on each page."""
    found, cursor = [], ""
    while True:
        status, told = await stand.ask("GET", f"/v1/calls?{query}{cursor}", headers)
        assert status == 200
        found.append([call["id"] for call in told["calls"]])
        if told["cursor"] is None:
            return found
        cursor = f"&cursor={told['cursor']}"


async def test_live_calls_are_listed_newest_first(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_READ)
    made = phones(stand, 5)
    listed = await pages(stand, headers, "limit=2")
    assert [len(page) for page in listed] == [2, 2, 1]
    assert sorted(chain.from_iterable(listed)) == sorted(made)
    assert await pages(stand, headers, "limit=5") == [list(chain.from_iterable(listed))]
    assert await pages(stand, headers, "caller=5553") == [[made[3]]]
    assert await pages(stand, headers, "context=browser") == [[]]
    assert await pages(stand, headers, "phase=ringing") == [[]]


async def test_a_call_that_ends_shifts_no_page(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_READ)
    phones(stand, 4)
    _, first = await stand.ask("GET", "/v1/calls?limit=2", headers)
    _, whole = await stand.ask("GET", "/v1/calls", headers)
    wanted = [call["id"] for call in whole["calls"]][2:]
    for call in first["calls"]:
        stand.node.registry.calls[call["id"]].cut_off()
    _, second = await stand.ask("GET", f"/v1/calls?cursor={first['cursor']}", headers)
    assert [call["id"] for call in second["calls"]] == wanted


@pytest.mark.parametrize("cursor", ["x", "%00", "eA", "MjAyMA"])
async def test_what_is_no_cursor_is_refused(stand: Stand, cursor: str) -> None:
    headers = await stand.key(Scope.CALLS_READ)
    status, told = await stand.ask("GET", f"/v1/calls?cursor={cursor}", headers)
    assert (status, told["code"]) == (422, "bad_cursor")


async def test_a_call_is_shown_and_ended(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_READ, Scope.CALLS_WRITE)
    [call] = phones(stand, 1)
    status, told = await stand.ask("GET", f"/v1/calls/{call}", headers)
    assert status == 200
    assert (told["caller"], told["callee"], told["context"]) == ("5550", "wait", "carrier")
    assert [leg["role"] for leg in told["legs"]] == ["caller"]
    async with stand.api.client.delete(f"/v1/calls/{call}", headers=headers) as response:
        assert response.status == 204
    live = stand.node.registry.calls.get(call)  # type: ignore[call-overload]
    assert live is None or live.verdict is not None


async def test_another_projects_call_is_none(stand: Stand) -> None:
    scopes = (Scope.CALLS_READ, Scope.CALLS_WRITE)
    foreign = await stand.key(*scopes, name="theirs", project="other")
    [call] = phones(stand, 1)
    leg = stand.node.registry.calls[call].caller_leg  # type: ignore[index]
    assert await pages(stand, foreign, "") == [[]]
    asked: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/verbs", {"hangup": {}}),
        ("POST", f"/legs/{leg}/verbs", {"mute": {}}),
        ("POST", "/bridge", {"call": "c-1"}),
    ]
    for method, path, body in asked:
        more = {} if body is None else {"json": body}
        status, told = await stand.ask(method, f"/v1/calls/{call}{path}", foreign, **more)
        assert (status, told["code"]) == (404, "not_found"), path
    assert stand.node.registry.calls[call].verdict is None  # type: ignore[index]

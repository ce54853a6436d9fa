"""The dialplan over HTTP: shown, checked, compared, tried out."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.config.identity import Scope
from gateway.contract.dialplan import MAX_SOURCE, Explanation
from gateway.dialplan import Request, decide
from gateway.dialplan.explain import as_json
from tests.api.conftest import StartApi
from tests.api.known import PLAN, Stand, known
from tests.api.registry import plan

GOOD = "contexts:\n  browser:\n    - {match: echo, echo: }\n    - {match: new, echo: }\n"
BROKEN = "contexts:\n  browser:\n    - {match: echo, ecco: }\n    - {match: x, dial: {trunk: no}}\n"


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


@pytest.fixture
async def key(stand: Stand) -> dict[str, str]:
    return await stand.key(Scope.DIALPLAN_READ)


async def post(
    stand: Stand, key: dict[str, str], what: str, body: Any
) -> tuple[int, dict[str, Any]]:
    data, kind = io.BytesIO(json.dumps(body).encode()), {"Content-Type": "application/json"}
    return await stand.ask("POST", f"/v1/dialplan/{what}", key | kind, data=data)


async def test_the_dialplan_in_force(stand: Stand, key: dict[str, str]) -> None:
    status, told = await stand.ask("GET", "/v1/dialplan", key)
    assert status == 200
    assert (told["source"], told["file"]) == (PLAN, "plan.yaml")
    assert told["read_at"] == "2030-01-01T12:00:00Z"
    assert told["contexts"] == [
        {"name": "browser", "rules": 4}, {"name": "crm", "rules": 2}, {"name": "sales", "rules": 1},
        {"name": "carrier", "rules": 1},
    ]  # fmt: skip
    assert told["rules"] == 8


async def test_only_its_scope_shows_it(stand: Stand) -> None:
    for scope in (Scope.DIALPLAN_WRITE, Scope.CALLS_READ, Scope.NODE_READ):
        other = await stand.key(scope)
        assert (await stand.ask("GET", "/v1/dialplan", other))[0] == 403
        assert (await post(stand, other, "validate", {"source": GOOD}))[0] == 403
        assert (await post(stand, other, "explain", {"to": "echo"}))[0] == 403
    assert (await stand.ask("GET", "/v1/dialplan", await stand.key(Scope.ADMIN)))[0] == 200


async def test_a_good_dialplan_has_no_problems_and_changes_nothing(
    stand: Stand, key: dict[str, str]
) -> None:
    before = stand.node.registry.plan
    assert await post(stand, key, "validate", {"source": GOOD}) == (200, {"problems": []})
    assert stand.node.registry.plan is before


async def test_every_problem_of_a_bad_one_is_located(stand: Stand, key: dict[str, str]) -> None:
    status, told = await post(stand, key, "validate", {"source": BROKEN})
    assert status == 200
    first = told["problems"][0]
    assert (first["line"], "ecco" in first["message"]) == (3, True)
    assert all(found["remedy"] and found["column"] for found in told["problems"])
    _, told = await post(stand, key, "validate", {"source": "a: [1"})
    assert "not YAML" in told["problems"][0]["message"]
    trunk = "contexts:\n  browser:\n    - {match: x, dial: {trunk: nowhere, number: '1'}}\n"
    _, told = await post(stand, key, "validate", {"source": trunk})
    assert [found["line"] for found in told["problems"]] == [3]
    assert "nowhere" in told["problems"][0]["message"]


async def test_what_would_change(stand: Stand, key: dict[str, str]) -> None:
    assert await post(stand, key, "diff", {"source": PLAN}) == (200, {"changes": []})
    changed = PLAN.replace("      - {match: alice, dial: {user: alice}}\n", "").replace(
        "{match: wait,", "{match: later,"
    )
    status, told = await post(stand, key, "diff", {"source": changed})
    assert status == 200
    assert [line[0] for line in told["changes"]] == ["+", "-", "-"]
    status, told = await post(stand, key, "diff", {"source": BROKEN})
    assert (status, told["code"]) == (422, "dialplan_invalid")
    assert told["problems"][0]["line"] == 3


async def test_what_would_become_of_a_call(stand: Stand, key: dict[str, str]) -> None:
    asked = {"to": "2125550100", "from": "555"}
    status, told = await post(stand, key, "explain", asked)
    assert status == 200
    assert told["steps"] == [
        {"dial": {"trunk": "carrier", "number": "+12125550100", "caller": "555"}}
    ]
    assert [look["matched"] for look in told["looked_at"]] == [False, False, False, True]
    assert told["contexts"] == ["browser"]
    _, told = await post(stand, key, "explain", {"to": "wait", "trunk": "carrier"})
    assert [next(iter(step)) for step in told["steps"]] == ["answer", "pause"]
    _, told = await post(stand, key, "explain", {"to": "echo", "key": "sales/crm"})
    assert told["contexts"] == ["sales"]
    _, told = await post(stand, key, "explain", {"to": "nobody", "context": "sales"})
    assert (told["rule"], told["refused"]["status"]) == (None, 404)
    _, told = await post(stand, key, "explain", {"to": "echo", "context": "no such"})
    assert told["why_not"]
    assert not stand.node.registry.calls


@pytest.mark.parametrize("callee", ["echo", "2125550100", "nobody", "+999"])
def test_an_explanation_has_all_that_the_command_tells(callee: str) -> None:
    told = as_json(decide(plan(PLAN), Request("browser", "x", callee), every_rule=True))
    assert Explanation.model_validate(told).model_dump() == told


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2026-12-24T18:00", 200),
        ("2026-12-24T18:00:00+02:00", 200),
        ("tomorrow", 422),
        ("9999-12-31T23:59:59-12:00", 422),
        ("0001-01-01T00:00:00+14:00", 422),
    ],
)
async def test_moments(stand: Stand, key: dict[str, str], at: str, status: int) -> None:
    assert (await post(stand, key, "explain", {"to": "echo", "at": at}))[0] == status


@pytest.mark.parametrize(
    ("what", "body", "refused"),
    [
        ("explain", {}, 400),
        ("explain", {"to": ""}, 400),
        ("explain", {"to": "a\nb"}, 422),
        ("explain", {"to": "echo", "from": "\ud800"}, 400),
        ("explain", {"to": "echo", "caller": "x"}, 400),
        ("explain", {"to": "echo", "headers": {"X-A": "1\r\nX-B: 2"}}, 422),
        ("explain", {"to": "echo", "variables": {str(n): "" for n in range(65)}}, 400),
        ("validate", {}, 400),
        ("validate", {"source": 1}, 400),
        ("validate", {"source": "\ud800"}, 400),
        ("diff", {"source": "x" * (MAX_SOURCE + 1)}, 400),
    ],
)
async def test_questions_that_make_no_sense(
    stand: Stand, key: dict[str, str], what: str, body: Any, refused: int
) -> None:
    status, told = await post(stand, key, what, body)
    assert (status, told["status"]) == (refused, refused)


async def test_a_large_dialplan_is_checked_and_an_endless_one_is_not(
    stand: Stand, key: dict[str, str]
) -> None:
    rules = "".join(f"    - {{match: '{number}', echo: }}\n" for number in range(10_000))
    large = f"contexts:\n  browser:\n{rules}"
    assert len(large) > 256 * 1024  # more than other routes take
    assert await post(stand, key, "validate", {"source": large}) == (200, {"problems": []})
    assert (await post(stand, key, "validate", {"source": "x" * 5_000_000}))[0] == 413
    assert (await post(stand, key, "explain", {"to": "x" * 200_000}))[0] == 413

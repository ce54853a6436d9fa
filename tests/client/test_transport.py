"""The client on a bad day: proxies, lost answers, limits, other servers."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from gateway.client import GatewayApiError, GatewayClient, Target
from tests.client.conftest import Rough

MADE = {"id": "c-1"}
BUSY = {"code": "rate_limited", "detail": "Too many requests", "status": 429}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited between attempts; it does not."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("gateway.web.retrying.asyncio.sleep", sleep)
    return waited


def made() -> web.Response:
    return web.json_response(MADE, status=201)


def page(status: int = 502) -> web.Response:
    return web.Response(status=status, text="<h1>Bad Gateway</h1>", content_type="text/html")


def problem(status: int, body: object, **headers: str) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/problem+json",
        headers=headers,
    )


async def test_a_post_that_is_sent_again_is_the_same_request(rough: Rough) -> None:
    rough.says = [None, page(), problem(409, BUSY, **{"Retry-After": "1"}), made()]
    async with GatewayClient(rough.url, "gw_key", attempts=4) as gateway:
        call = await gateway.calls.create(Target(user="alice"), callee="1")
        rough.says = [made()]
        await gateway.calls.create(Target(user="alice"), callee="1")
        rough.says = [made()]
        await gateway.calls.create(Target(user="alice"), callee="1", idempotency_key="mine")
    assert call.id == "c-1"
    keys = [request.headers["Idempotency-Key"] for request in rough.seen]
    assert len(set(keys[:4])) == 1
    assert len(set(keys)) == 3
    assert keys[-1] == "mine"
    assert len(set(rough.bodies)) == 1
    assert json.loads(rough.bodies[0]) == {
        "to": {"user": "alice"}, "callee": "1", "program": None, "variables": {},
    }  # fmt: skip
    assert {request.headers["Authorization"] for request in rough.seen} == {"Bearer gw_key"}


async def test_the_wait_is_at_least_what_the_gateway_asks_for(
    rough: Rough, waits: list[float]
) -> None:
    rough.says = [problem(429, BUSY, **{"Retry-After": "7"}), page(503), made()]
    async with GatewayClient(rough.url) as gateway:
        await gateway.calls.create(Target(user="alice"), callee="1")
    assert waits[0] >= 7
    assert 0 < waits[1] < 7


async def test_a_wait_that_is_too_long_is_told_at_once(rough: Rough, waits: list[float]) -> None:
    rough.says = [problem(429, BUSY, **{"Retry-After": "3600"})]
    async with GatewayClient(rough.url) as gateway:
        with pytest.raises(GatewayApiError) as refused:
            await gateway.calls.get("c-1")
    assert refused.value.code == "rate_limited"
    assert waits == []


async def test_a_refusal_that_names_no_time_is_final(rough: Rough) -> None:
    rough.says = [problem(429, {"code": "too_many_calls", "detail": "Too many calls"})]
    async with GatewayClient(rough.url) as gateway:
        with pytest.raises(GatewayApiError, match="too_many_calls"):
            await gateway.calls.create(Target(user="alice"), callee="1")
    assert len(rough.seen) == 1


async def test_attempts_come_to_an_end(rough: Rough) -> None:
    rough.says = [page(), page(), page(504)]
    async with GatewayClient(rough.url) as gateway:
        with pytest.raises(GatewayApiError) as refused:
            await gateway.calls.get("c-1")
    assert (refused.value.code, refused.value.status) == ("not_a_gateway", 504)


async def test_a_deletion_whose_answer_was_lost_is_done(rough: Rough) -> None:
    gone = {"code": "not_found", "detail": "No such call"}
    async with GatewayClient(rough.url) as gateway:
        rough.says = [None, problem(404, gone)]
        await gateway.calls.hang_up("c-1")
        rough.says = [problem(404, gone)]
        with pytest.raises(GatewayApiError, match="404 not_found"):
            await gateway.calls.hang_up("c-1")


async def test_a_redirect_takes_the_key_nowhere(rough: Rough) -> None:
    rough.says = [web.Response(status=307, headers={"Location": rough.url + "elsewhere"})]
    async with GatewayClient(rough.url, "gw_key") as gateway:
        with pytest.raises(GatewayApiError, match="307 not_a_gateway"):
            await gateway.calls.get("c-1")
    assert len(rough.seen) == 1


@pytest.mark.parametrize("body", ["{}", '{"id": 1}', "<h1>Hello</h1>", ""])
async def test_another_servers_answer_is_none(rough: Rough, body: str) -> None:
    rough.says = [web.Response(text=body)]
    async with GatewayClient(rough.url) as gateway:
        with pytest.raises(GatewayApiError) as refused:
            await gateway.calls.get("c-1")
    assert refused.value.code == "not_a_gateway"


async def test_what_a_newer_gateway_tells_besides_does_no_harm(rough: Rough) -> None:
    rough.says = [web.json_response({**MADE, "colour": "green"}, status=201)]
    async with GatewayClient(rough.url) as gateway:
        assert (await gateway.calls.create(Target(user="a"), callee="1")).id == "c-1"


async def test_nobody_there_is_said_so() -> None:
    async with GatewayClient(f"http://127.0.0.1:{unused_port()}") as gateway:
        with pytest.raises(GatewayApiError, match="cannot be reached") as refused:
            await gateway.calls.get("c-1")
    assert refused.value.status is None


async def test_a_gateway_below_a_path_is_asked_there(rough: Rough) -> None:
    rough.says = [made()]
    async with GatewayClient(rough.url + "phones/") as gateway:
        await gateway.calls.create(Target(user="a"), callee="1")
    assert rough.seen[0].path == "/phones/v1/calls"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("gateway.example", None),
        ("ftp://gateway.example", None),
        ("http://", None),
        ("http://gateway.example/?key=1", None),
        ("http://gateway.example", "two words"),
        ("http://gateway.example", "gw\r\nX: 1"),
        ("http://gateway.example", ""),
    ],
)
def test_addresses_and_keys_that_are_none(url: str, token: str | None) -> None:
    with pytest.raises(ValueError, match=r"written as|no key has"):
        GatewayClient(url, token)

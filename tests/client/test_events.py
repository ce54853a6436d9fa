"""Following the event log over connections that break."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gateway.client import CallEvent, GatewayApiError, GatewayClient
from tests.client.conftest import Rough

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def written(sequence: int, kind: str = "call.ringing", **more: object) -> bytes:
    event = {
        "sequence": sequence, "call": "c-1", "type": kind, "time": "2030-01-01T00:00:00Z", **more,
    }  # fmt: skip
    return f"id: {sequence}\nevent: {kind}\ndata: {json.dumps(event)}\n\n".encode()


GAP = b'id: 9\nevent: events.lost\ndata: {"type": "events.lost", "first": 3, "last": 9}\n\n'


def stream(*parts: bytes) -> web.Response:
    """What a connection brings before it ends."""
    return web.Response(body=b": hello\n\n" + b"".join(parts), content_type="text/event-stream")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited before new connections; it does not."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("gateway.client.events.asyncio.sleep", sleep)
    return waited


async def test_a_stream_that_breaks_goes_on_where_it_was(rough: Rough, waits: list[float]) -> None:
    rough.says = [
        stream(written(7), b"retry: 4000\n", written(8), b"id: 9\ndata: {half"),
        None,
        web.Response(status=503),
        stream(written(9, "digit.received", duration_ms=120), written(10)),
        web.Response(status=401),
    ]
    seen: list[CallEvent] = []

    async def follow(gateway: GatewayClient) -> None:
        async for event in gateway.events(types=["call.", "digit.received"], since=6):
            seen.append(event)  # noqa: PERF401  # the last one raises

    async with GatewayClient(rough.url, "gw_key") as gateway:
        with pytest.raises(GatewayApiError, match="401"):
            await follow(gateway)
    assert [event.sequence for event in seen] == [7, 8, 9, 10]
    assert seen[2].data == {"duration_ms": 120}
    asked = [request.headers.get("Last-Event-ID") for request in rough.seen]
    assert asked == [None, "8", "8", "8", "10"]
    assert rough.seen[0].query.getall("type") == ["call.", "digit.received"]
    assert rough.seen[0].query["since"] == "6"
    assert rough.seen[0].headers["Authorization"] == "Bearer gw_key"
    assert 2 <= waits[0] <= 4  # as the server asked, with jitter
    assert waits[1] <= 8
    assert max(waits) <= 30


async def test_a_calls_events_begin_with_it_and_end_with_it(rough: Rough) -> None:
    rough.says = [stream(written(1, "call.created"), written(2, "call.ended"), written(3))]
    async with GatewayClient(rough.url) as gateway:
        kinds = [event.type async for event in gateway.events(call="c-1")]
        assert kinds == ["call.created", "call.ended"]
        assert dict(rough.seen[0].query) == {"call": "c-1", "since": "0"}
        rough.says = [stream(written(1, "digit.received"), written(2, "call.ended"))]
        kinds = [e.type async for e in gateway.events(call="c-1", types=["digit."])]
        assert kinds == ["digit.received"]


async def test_a_gateway_that_refuses_or_is_not_there_is_told(rough: Rough) -> None:
    async with GatewayClient(rough.url) as gateway:
        cases: list[tuple[list[web.StreamResponse | None], str]] = [
            ([web.Response(status=403)], "403"),
            ([None, None], "broke off"),  # aiohttp asks once more by itself
            ([stream(b"data: no json\n\n")], "no event"),
            ([stream(GAP)], "events 3 to 9 are not kept any more"),
        ]
        for responses, word in cases:
            rough.says = responses
            with pytest.raises(GatewayApiError, match=word):
                async for _ in gateway.events():
                    pass

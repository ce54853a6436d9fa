"""Streams of events: what comes, from where on, for whom, and what slow or gone clients cost."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from gateway.api.event_streams import StreamLimits
from gateway.clock import SystemClock
from gateway.config.identity import Scope
from gateway.events import CallCreated
from gateway.ids import CallId
from tests.api.conftest import StartApi
from tests.api.telling import READ, told
from tests.storage.calls import CALLER, begin, end, whole
from tests.support.processes import wait_until


async def test_events_come_as_they_happen(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node:
        begin(node.log, "c-before")
        async with node.stream(await node.key(READ)) as stream:
            begin(node.log, "c-1")
            first = await stream.event()
            assert (first["sequence"], first["type"]) == (6, "call.created")
            assert (first["call"], first["caller"]) == ("c-1", CALLER)
            assert await stream.events(4) == [7, 8, 9, 10]
            end(node.log, "c-1")
            assert (await stream.event())["type"] == "leg.quality"


async def test_a_client_goes_on_where_it_was_also_after_a_restart(
    start_api: StartApi, tmp_path: Path
) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(READ)
        whole(node.log, "c-1")
        async with node.stream(key, "since=0") as stream:
            assert await stream.events(20) == list(range(1, 21))
        begin(node.log, "c-2")
    async with told(start_api, tmp_path) as node:
        # The restart ended what was left open.
        async with node.stream(key, "since=0", last=20) as stream:
            assert await stream.events(29) == list(range(21, 50))
            begin(node.log, "c-3")
            assert await stream.events(5) == list(range(50, 55))
        async with node.stream(key, last=999_999) as stream:
            begin(node.log, "c-4")
            assert await stream.events(1) == [55]


async def test_only_what_is_asked_for(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(READ)
        for call in ("c-1", "c-2"):
            begin(node.log, call)
            end(node.log, call)
        async with node.stream(key, "since=0&call=c-2&type=call.created&type=leg.") as stream:
            found = [await stream.event() for _ in range(7)]
        assert {event["call"] for event in found} == {"c-2"}
        assert [event["type"] for event in found] == [
            "call.created", "leg.added", "leg.added", "leg.quality", "leg.gone", "leg.quality",
            "leg.gone",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "query", ["since=-1", "since=x", "type=nothing.such", "type=call", "unknown=1", "type=x.%0Ay"]
)
async def test_what_makes_no_sense_is_refused(
    start_api: StartApi, tmp_path: Path, query: str
) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(READ)
        status, problem = await node.ask("GET", f"/v1/events?{query}", key)
        assert status in (400, 422), problem
        status, _ = await node.ask("GET", "/v1/events", key | {"Last-Event-ID": "nine"})
        assert status == 400


async def test_another_projects_key_sees_nothing(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node:
        whole(node.log, "c-1")
        theirs = await node.key(READ, project="sales")
        async with node.stream(theirs, "since=0") as stream:
            call = CallId("c-sales")
            node.log.append(call, CallCreated("browser", CALLER, "1", project="sales"))
            assert (await stream.event())["call"] == "c-sales"
        for path in ("/v1/calls/c-1/events", "/v1/calls/c-none/events", "/v1/calls/%00/events"):
            status, problem = await node.ask("GET", path, theirs)
            assert (status, problem["code"]) == (404, "not_found")
        status, page = await node.ask("GET", "/v1/calls/c-sales/events", theirs)
        assert (status, len(page["events"])) == (200, 1)


async def test_the_scope_is_needed(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node:
        others = await node.key(*(set(Scope) - {READ, Scope.ADMIN}))
        for path in ("/v1/events", "/v1/events/ws", "/v1/calls/c-1/events"):
            assert (await node.ask("GET", path, others))[0] == 403
            assert (await node.ask("GET", path, {}))[0] == 401


async def test_events_of_a_call_page_by_page(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(READ)
        begin(node.log, "c-0")
        whole(node.log, "c-1")
        found, cursor, pages = [], "", 0
        while True:
            _, page = await node.ask("GET", f"/v1/calls/c-1/events?limit=20{cursor}", key)
            found += [event["sequence"] for event in page["events"]]
            pages += 1
            if page["cursor"] is None:
                break
            cursor = f"&cursor={page['cursor']}"
        assert (found, pages) == (list(range(6, 49)), 3)
        status, _ = await node.ask("GET", "/v1/calls/c-1/events?cursor=x", key)
        assert status == 400


async def test_heartbeats_move_the_place_of_a_client_that_wants_little(
    start_api: StartApi, tmp_path: Path
) -> None:
    async with (
        told(start_api, tmp_path, StreamLimits(heartbeat=0.05)) as node,
        node.stream(await node.key(READ), "type=recording.&since=0") as stream,
    ):
        assert await stream.block() == {"retry": "3000"}
        whole(node.log, "c-1")
        while (block := await stream.block()) != {"": "still here", "id": "43"}:
            assert block is not None
            assert "data" not in block


async def test_a_stream_ends_with_its_key(start_api: StartApi, tmp_path: Path) -> None:
    limits = StreamLimits(heartbeat=0.05, check=0.05)
    async with told(start_api, tmp_path, limits) as node:
        good, short = await node.key(READ), await node.key(READ, lasts=timedelta(seconds=1))
        revoked = await node.key(READ, name="old")
        [record] = [key for key in await node.keys.all() if key.name == "old"]
        async with (
            node.stream(good) as stays,
            node.stream(revoked) as goes,
            node.stream(short) as expires,
        ):
            await node.keys.revoke(record.id, SystemClock().now().wall)
            for stream in (expires, goes):
                async with asyncio.timeout(20):
                    while await stream.block() is not None:
                        pass
            begin(node.log, "c-1")
            assert await stays.events(5) == [1, 2, 3, 4, 5]
        assert (await node.ask("GET", "/v1/events", revoked))[0] == 401


async def test_a_client_that_reads_nothing_is_dropped_and_costs_nobody_anything(
    start_api: StartApi, tmp_path: Path
) -> None:
    async with told(start_api, tmp_path, StreamLimits(write=0.3)) as node:
        key = await node.key(READ)
        port = node.api.server.port
        assert port is not None
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", port))
        head = (
            f"GET /v1/events?since=0 HTTP/1.1\r\nHost: x\r\nAuthorization: {key['Authorization']}"
        )
        lazy.sendall(f"{head}\r\n\r\n".encode())
        await wait_until(lambda: node.streams.open == 1, 5, "the lazy one's stream")
        async with node.stream(key) as other:
            for number in range(400):
                whole(node.log, f"c-{number}")
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert await other.events(400 * 43) == list(range(1, 400 * 43 + 1))
            await wait_until(lambda: node.streams.open == 1, 10, "the lazy one is dropped")
        lazy.close()


async def test_there_are_not_too_many_streams(start_api: StartApi, tmp_path: Path) -> None:
    limits = StreamLimits(per_key=2, per_node=3, heartbeat=0.05)
    async with told(start_api, tmp_path, limits) as node:
        one, two = await node.key(READ), await node.key(READ, name="other")
        async with node.stream(one), node.stream(one):
            async with node.api.client.get("/v1/events", headers=one) as response:
                assert response.status == 429
                assert response.headers["Retry-After"] == "30"
            async with node.stream(two):
                assert (await node.ask("GET", "/v1/events", two))[0] == 429
        await wait_until(lambda: node.streams.open == 0, 5, "all are gone")
        async with node.stream(one):
            assert node.streams.open == 1


async def test_streams_end_when_the_node_does(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node, node.stream(await node.key(READ)) as stream:
        assert await stream.block() == {"retry": "3000"}
        async with asyncio.timeout(3):
            closing = asyncio.create_task(node.api.server.close())
            assert await stream.block() is None
            await closing


async def test_in_memory_a_gap_is_told(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path, url="sqlite://") as node:
        node.records.feed._size = 10
        whole(node.log, "c-1")
        async with node.stream(await node.key(READ), "since=5") as stream:
            assert await stream.event() == {"type": "events.lost", "first": 6, "last": 33}
            assert await stream.events(10) == list(range(34, 44))


# ---- by WebSocket ---------------------------------------------------------------------------


async def test_the_same_by_websocket(start_api: StartApi, tmp_path: Path) -> None:
    """With a token as browsers can give it."""
    async with told(start_api, tmp_path) as node:
        whole(node.log, "c-1")
        key = (await node.key(READ))["Authorization"].removeprefix("Bearer ")
        connecting = node.api.client.ws_connect(
            "/v1/events/ws?since=40&type=leg.&type=call.", protocols=("gateway", f"token.{key}")
        )
        async with connecting as ws:
            assert ws.protocol == "gateway"
            assert [json.loads((await ws.receive(5)).data)["sequence"] for _ in range(3)] == [
                41, 42, 43,
            ]  # fmt: skip
            begin(node.log, "c-2")
            found = json.loads((await ws.receive(5)).data)
            assert (found["sequence"], found["type"]) == (44, "call.created")
        await wait_until(lambda: node.streams.open == 0, 5, "its end is noticed at once")
        with pytest.raises(WSServerHandshakeError) as refused:
            await node.api.client.ws_connect("/v1/events/ws", protocols=("gateway", "token.no"))
        assert refused.value.status == 401


async def test_a_websocket_ends_with_its_key(start_api: StartApi, tmp_path: Path) -> None:
    limits = StreamLimits(heartbeat=5, check=0.05)
    async with told(start_api, tmp_path, limits) as node:
        key = await node.key(READ)
        async with node.api.client.ws_connect("/v1/events/ws", headers=key) as ws:
            [record] = await node.keys.all()
            await node.keys.revoke(record.id, SystemClock().now().wall)
            message = await ws.receive(20)
            assert message.type is WSMsgType.CLOSE
            assert ws.close_code == 1008


async def test_who_speaks_is_closed(start_api: StartApi, tmp_path: Path) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(READ)
        async with node.api.client.ws_connect("/v1/events/ws", headers=key) as ws:
            await ws.send_str("hello")
            assert (await ws.receive(5)).type is WSMsgType.CLOSE
            assert ws.close_code == 1003
        await wait_until(lambda: node.streams.open == 0, 5, "it is gone")
        assert (await node.ask("GET", "/v1/events/ws", key))[0] == 400

"""A running API with doubles behind it, and WebSocket clients that speak its messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from gateway.api.app import create_app
from gateway.api.directory import Directory
from gateway.api.identity import authenticator_for
from gateway.api.limits import Limits
from gateway.api.services import Services
from gateway.config.model import IceServer, NodeConfig, WebRtcConfig
from gateway.console import pages
from gateway.storage.database import IN_MEMORY, Database
from gateway.storage.idempotency import IdempotencyKeys
from tests.api.doubles import FakeCalls, FakeClock, FakeWebRtc

WAIT = 5.0  # seconds; only ever reached by a failing test


class Browser:
    """One WebSocket client."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"v": 1, "type": type_, **fields}))

    async def receive(self, type_: str) -> dict[str, Any]:
        """The next message, which must be of this type."""
        message = await self.socket.receive(WAIT)
        assert message.type is WSMsgType.TEXT, message
        value: dict[str, Any] = json.loads(message.data)
        assert value["v"] == 1
        assert value["type"] == type_, value
        return value

    async def request(self, type_: str, reply: str, **fields: Any) -> dict[str, Any]:
        await self.send(type_, **fields)
        return await self.receive(reply)

    async def closed(self) -> int | None:
        """Waits for the close; the code that the server gave."""
        while (await self.socket.receive(WAIT)).type is WSMsgType.TEXT:
            pass
        return self.socket.close_code


@dataclass
class Api:
    """The running API and what is behind it."""

    client: TestClient[Any, Any]
    server: TestServer
    calls: FakeCalls
    webrtc: FakeWebRtc
    directory: Directory
    clock: FakeClock
    database: Database

    async def connect(self, **kwargs: Any) -> Browser:
        return Browser(await self.client.ws_connect("/v1/signal", **kwargs))

    async def browser(self, user: str = "") -> Browser:
        """A client that has said hello."""
        browser = await self.connect()
        await browser.request("hello", "hello", user=user)
        return browser


StartApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start_api() -> AsyncIterator[StartApi]:
    """Starts APIs; `limits` and fields of Services may be given, and `demo`."""
    clients: list[TestClient[Any, Any]] = []
    databases: list[Database] = []

    async def start(*, demo: bool = True, limits: Limits | None = None, **services: Any) -> Api:
        config = NodeConfig(
            demo=demo,
            dialplan="unused.yaml",
            webrtc=WebRtcConfig(
                ice_servers=[
                    IceServer(urls=["stun:stun.example:3478"]),
                    IceServer.model_validate(
                        {"urls": ["turn:turn.example"], "username": "u", "credential": "c"}
                    ),
                ]
            ),
        )
        calls, webrtc, directory, clock = FakeCalls(), FakeWebRtc(), Directory(), FakeClock()
        database = Database(IN_MEMORY)
        await database.start()
        databases.append(database)
        built = Services(
            calls=calls,
            webrtc=webrtc,
            directory=directory,
            authenticator=authenticator_for(config),
            idempotency=IdempotencyKeys(database, "node"),
            pages=pages,
            clock=clock,
            limits=limits or Limits(),
        )
        server = TestServer(create_app(config, replace(built, **services)))
        client = TestClient(server)
        await client.start_server()
        clients.append(client)
        return Api(client, server, calls, webrtc, directory, clock, database)

    yield start
    for client in clients:
        await client.close()
    for database in databases:
        await database.close()


@pytest.fixture
async def api(start_api: StartApi) -> Api:
    """An API in demo mode with the usual limits."""
    return await start_api()

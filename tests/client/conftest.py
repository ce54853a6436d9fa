"""Clients of a running API that wants to know who calls, and of a server that misbehaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.calls import Call
from gateway.client import GatewayClient
from gateway.config.identity import Scope
from gateway.media.archive import RecordingArchive
from gateway.ports import IncomingSip, LegKind
from gateway.testing import FakeLeg
from tests.api.conftest import StartApi, start_api
from tests.api.known import Stand, known

__all__ = ["start_api"]  # a fixture


@dataclass
class Clients:
    """An API, and clients of it."""

    stand: Stand
    recordings: Path
    made: list[GatewayClient] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.stand.api.server.make_url("/"))

    async def token(self, *scopes: Scope, project: str = "default") -> str:
        headers = await self.stand.key(*(scopes or (Scope.ADMIN,)), project=project)
        return headers["Authorization"].removeprefix("Bearer ")

    async def client(self, *scopes: Scope, project: str = "default") -> GatewayClient:
        self.made.append(GatewayClient(self.url, await self.token(*scopes, project=project)))
        return self.made[-1]

    def phone(self, to: str = "wait") -> tuple[FakeLeg, Call]:
        """A phone that calls."""
        leg = FakeLeg(LegKind.SIP, self.stand.node.media)
        call = self.stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", to))
        assert call is not None
        return leg, call


@pytest.fixture
async def clients(start_api: StartApi, tmp_path: Path) -> AsyncIterator[Clients]:
    """An API that wants to know who calls, with a folder of recordings."""
    folder = tmp_path / "recordings"
    folder.mkdir(0o700)
    async with known(start_api, archive=RecordingArchive(folder)) as stand:
        made = Clients(stand, folder)
        yield made
        for client in made.made:
            await client.close()


@pytest.fixture
async def gateway(clients: Clients) -> GatewayClient:
    """A client that may do everything."""
    return await clients.client()


@dataclass
class Rough:
    """A server whose next responses are written down. None: it breaks off the connection."""

    server: TestServer | None = None
    says: list[web.StreamResponse | None] = field(default_factory=list)
    seen: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        assert self.server is not None
        return str(self.server.make_url("/"))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        response = self.says.pop(0)
        if response is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return response


@pytest.fixture
async def rough() -> AsyncIterator[Rough]:
    """The server, and nothing that it says yet."""
    made = Rough()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    made.server = TestServer(app)
    async with made.server:
        yield made

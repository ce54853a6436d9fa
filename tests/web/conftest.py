"""A web server on two addresses of loopback, of which the gateway may ask one."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.config.model import WebConfig
from gateway.web.client import HttpClient
from gateway.web.fetcher import Fetcher
from gateway.web.webhooks import WebhookClient

ALLOWED = "127.0.0.2"
PRIVATE = "127.0.0.1"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Names(AbstractResolver):
    """Answers each look-up with the next of its answers, each a list of addresses."""

    def __init__(self, *answers: str) -> None:
        self._answers = [answer.split() for answer in answers]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for address in self._answers.pop(0)
        ]

    async def close(self) -> None:
        pass


class Site:
    """The server, and clients of the gateway's kind. `paths`: handlers; `seen`: who was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.paths: dict[str, Handler] = {}
        self.seen: list[web.Request] = []
        self._clients: list[HttpClient] = []

    def url(self, path: str = "/", host: str = ALLOWED) -> str:
        """An address of this server."""
        return f"http://{host}:{self.port}{path}"

    def config(self, **changed: Any) -> WebConfig:
        """Allows the one address."""
        allowed = {"allow_private": [f"{ALLOWED}/32"], "attempts": 1, "timeout": 3, **changed}
        return WebConfig.model_validate(allowed)

    def client(self, names: Names | None = None, **changed: Any) -> HttpClient:
        """A client that is closed at the end."""
        client = HttpClient(self.config(**changed), names)
        self._clients.append(client)
        return client

    def fetcher(self, names: Names | None = None, **changed: Any) -> Fetcher:
        """GET."""
        return Fetcher(self.client(names, **changed), self.config(**changed))

    def hooks(self, **changed: Any) -> WebhookClient:
        """POST."""
        changed = {"secret": SECRET, **changed}
        return WebhookClient(self.client(**changed), self.config(**changed))

    def says(self, path: str, **response: Any) -> None:
        """`path` gives this response."""

        async def handler(request: web.Request) -> web.Response:
            return web.Response(**response)

        self.paths[path] = handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        self.seen.append(request)
        handler = self.paths.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)

    async def close(self) -> None:
        """Ends the clients."""
        for client in self._clients:
            await client.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """The server."""
    first = socket.create_server((PRIVATE, 0))
    port = first.getsockname()[1]
    second = socket.create_server((ALLOWED, port))
    found = Site(port)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    for listening in (first, second):
        await web.SockSite(runner, listening).start()
    yield found
    await found.close()
    await runner.cleanup()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line that is logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries

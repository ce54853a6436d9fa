"""The aiohttp application: routes, middlewares and graceful shutdown of the API."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api.dispatch import Dispatcher
from gateway.api.health import Health
from gateway.api.idempotency import Idempotency
from gateway.api.openapi import document
from gateway.api.origin import OriginPolicy
from gateway.api.problems import problems
from gateway.api.rates import RateLimits
from gateway.api.request_ids import request_ids, tell_request_id
from gateway.api.services import Services, ice_servers
from gateway.api.signal import SignalServer
from gateway.api.watch import IDENTITY_WATCH, IdentityWatch
from gateway.api.whip import WhipEndpoint
from gateway.config.model import NodeConfig


def create_app(config: NodeConfig, services: Services) -> web.Application:
    """Everything that the node serves over HTTP.

    Its shutdown closes every WebSocket with 1001 and ends the calls of browsers; the services
    must outlive it.
    """
    policy = OriginPolicy(tuple(services.origins), loopback_only=config.demo)
    servers = ice_servers(config, services.clock)
    signal = SignalServer(services, servers)
    rates = RateLimits(config.http, services.clock)
    idempotency = Idempotency(services.idempotency, services.clock)
    whip = WhipEndpoint(services, servers, rates, idempotency)
    health = Health(services)
    dispatcher = Dispatcher(services.authenticator, rates, idempotency)

    @web.middleware
    async def origins(request: web.Request, handler: Handler) -> web.StreamResponse:
        policy.check(request)
        return await handler(request)

    app = web.Application(
        middlewares=[request_ids, problems, origins], client_max_size=services.limits.body_bytes
    )
    if services.meter is not None:
        services.meter.install(app)
    app.router.add_get("/v1/signal", signal.handle, allow_head=False)
    app.router.add_routes(whip.routes())
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_routes(dispatcher.routes(services.operations))
    described = functools.cache(lambda: document(services.operations))  # when first asked for
    app.router.add_get("/v1/openapi.json", _openapi(described), allow_head=False)
    app.router.add_routes(services.pages(described))

    app[IDENTITY_WATCH] = IdentityWatch(services.authenticator, services.clock)

    async def watch(app: web.Application) -> AsyncIterator[None]:
        watching = asyncio.create_task(app[IDENTITY_WATCH].run(), name="identities")
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await idempotency.close()

    async def shut_down(_: web.Application) -> None:
        health.draining = True
        whip.close()
        for close in services.closing:
            close()
        await signal.close()

    async def name_ourselves(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "gateway"  # aiohttp would tell its version and Python's

    app.cleanup_ctx.append(watch)
    app.on_shutdown.append(shut_down)
    app.on_response_prepare.append(name_ourselves)
    app.on_response_prepare.append(tell_request_id)
    return app


def _openapi(described: Callable[[], dict[str, Any]]) -> Handler:
    """Answers with the OpenAPI document."""
    written = functools.cache(lambda: json.dumps(described()).encode())

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=written(), content_type="application/json")

    return answer

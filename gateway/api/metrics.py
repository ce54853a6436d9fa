"""Owns `/metrics`, what is counted of each HTTP request, and the trace that it belongs to."""

from __future__ import annotations

from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.api.operations import Asked, Operation
from gateway.api.problems import route_of
from gateway.clock import Clock
from gateway.config.identity import Scope
from gateway.observability.traceparent import HEADER, traced

PATH = "/metrics"
_BEGAN = web.RequestKey("began", float)


class Scraped(Protocol):
    """Where the metrics are."""

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """All of them now, and their content type."""
        ...


class Answered(Protocol):
    """Counts requests."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A response begins. route: the pattern; empty where there is none."""
        ...


class MetricsEndpoint:
    """The operation."""

    def __init__(self, metrics: Scraped) -> None:
        self._metrics = metrics

    def operations(self) -> list[Operation]:
        """There is one."""
        return [
            Operation(
                "GET", PATH, "readMetrics", "Metrics for Prometheus", "node", Scope.METRICS_READ,
                self.show, media="text/plain",
            )
        ]  # fmt: skip

    async def show(self, asked: Asked) -> web.Response:
        """The metrics of the node, all projects together, as Prometheus reads them. An `Accept` of
        OpenMetrics is obeyed."""
        accept = asked.request.headers.get(hdrs.ACCEPT, "")
        text, content_type = await self._metrics.scrape(accept)
        return web.Response(
            body=text, headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"}
        )


class RequestMeter:
    """Measures from a request's arrival to the beginning of its answer: streams and WebSockets go
    on for as long as they like."""

    def __init__(self, metrics: Answered, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def install(self, app: web.Application) -> None:
        """Measures all of `app`; to be called before other middlewares are added."""

        @web.middleware
        async def begins(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[_BEGAN] = self._clock.now().monotonic
            # All calls of a WebSocket in the trace of its first request would be one endless trace.
            lasting = hdrs.UPGRADE in request.headers
            with traced(None if lasting else request.headers.get(HEADER)):
                return await handler(request)

        app.middlewares.insert(0, begins)
        app.on_response_prepare.append(self._answers)

    async def _answers(self, request: web.Request, response: web.StreamResponse) -> None:
        now = self._clock.now().monotonic
        seconds = max(now - request.get(_BEGAN, now), 0.0)
        self._metrics.answered(request.method, route_of(request), response.status, seconds)

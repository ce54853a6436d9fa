"""Owns a collector of traces: a real OTLP/HTTP server, and the spans that it was sent."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.processes import HOST

Value = str | int | bool


@dataclass
class Collector:
    """What it received. `status`: what it answers with."""

    url: str = ""
    status: int = 200
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, Value] = field(default_factory=dict)

    def has(self, exports: int) -> bool:
        """Whether so many exports have come."""
        return len(self.bodies) >= exports

    async def take(self, request: web.Request) -> web.Response:
        """One export."""
        self.requests.append(request)
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        if self.status == 200:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource |= attributes(resource.resource)
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        return web.Response(
            status=self.status,
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    def named(self, name: str, **wanted: Value) -> list[Span]:
        """Spans with this name and these attributes (`leg_kind` is `gateway.leg.kind`)."""
        told = {f"gateway.{key.replace('_', '.')}": value for key, value in wanted.items()}
        found = [span for span in self.spans if span.name == name]
        return [span for span in found if told.items() <= attributes(span).items()]


def attributes(of: object) -> dict[str, Value]:
    """The attributes of a span, an event or a resource."""
    found: dict[str, Value] = {}
    for each in of.attributes:  # type: ignore[attr-defined]
        found[each.key] = getattr(each.value, each.value.WhichOneof("value"))
    return found


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """The collector, listening."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    collector.url = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()

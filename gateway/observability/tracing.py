"""Owns the traces of calls: OpenTelemetry's SDK, and the thread that brings spans to a collector.

Loaded only where the configuration has `tracing`. No call waits for any of it: spans are made from
the event log, wait in a bounded queue, and a collector that is down loses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

import gateway
from gateway.config.tracing import TracingConfig
from gateway.observability.call_spans import CallSpans
from gateway.storage.event_log import EventLog, EventsLost

_log = structlog.get_logger(__name__)

QUEUE = 50_000
"""Events that may wait to become spans."""
SPANS = 8_192
"""Spans that may wait for the collector."""
BATCH_EVERY_MS = 1_000
EXPORT_SECONDS = 5.0
"""What one export may take, attempts and pauses together."""
PATIENCE = 3.0
"""Seconds that a node which stops gives the last spans to leave."""


class Tracing:
    """The traces of one node's calls. Belongs to the asyncio thread."""

    def __init__(self, config: TracingConfig, log: EventLog, node: str = "") -> None:
        """node: which of several nodes this is."""
        self._subscription = log.subscribe(capacity=QUEUE)
        self._exporter = _Exporter(config)
        resource = Resource.create(
            {
                SERVICE_NAME: "gateway",
                SERVICE_VERSION: gateway.__version__,
                **({SERVICE_INSTANCE_ID: node} if node else {}),
            }
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.ratio)),
            resource=resource,
            shutdown_on_exit=False,  # `close` does it, in time
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter, max_queue_size=SPANS, schedule_delay_millis=BATCH_EVERY_MS
            )
        )
        self._spans = CallSpans(self._provider.get_tracer("gateway.calls", gateway.__version__))
        self._following: asyncio.Task[None] | None = None

    def start(self, stack: AsyncExitStack) -> None:
        """Begins; ends with `stack`."""
        self._following = asyncio.create_task(self._follow(), name="traces")
        stack.push_async_callback(self.close)

    async def close(self) -> None:
        """Spans of all that has happened until now leave, for at most some seconds."""
        self._subscription.close()
        if self._following is not None:
            await self._following
        self._spans.close()
        closing = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
        done, _ = await asyncio.wait([closing], timeout=PATIENCE)
        if not done:
            _log.warning("traces.lost", why="the collector does not take them")
            self._exporter.shutdown()  # it tries no more
        await closing

    async def _follow(self) -> None:
        async for item in self._subscription:
            if isinstance(item, EventsLost):
                _log.warning("traces.events_lost", first=item.first, last=item.last)
                self._spans.close()
            else:
                self._spans.take(item)


class _Exporter(SpanExporter):
    """Sends spans, in its processor's thread; says once that they are not taken, and once that they
    are again."""

    def __init__(self, config: TracingConfig) -> None:
        self._otlp = OTLPSpanExporter(
            endpoint=config.endpoint,
            headers={each.name: each.secret.get_secret_value() for each in config.headers},
            timeout=EXPORT_SECONDS,
        )
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._otlp.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            _log.warning(
                "traces.not_sent", why="the collector does not take them", spans=len(spans)
            )
        elif self._failing and not failing:
            _log.info("traces.sent_again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._otlp.shutdown()  # type: ignore[no-untyped-call]

"""Owns a node's metrics: one registry, what fills it, and how Prometheus gets it."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import gateway
from gateway.observability.call_metrics import CallMetrics
from gateway.observability.node_metrics import HttpMetrics, LoopLag, NodeCollector, NodeState
from gateway.storage.event_log import EventLog


class Metrics:
    """The metrics of one node. Belongs to the asyncio thread.

    They count from the moment that this is made, which therefore is before the first call.
    """

    def __init__(
        self, log: EventLog, state: Callable[[], NodeState], trunks: Iterable[str] = ()
    ) -> None:
        """state: the node's present one, asked at each scrape. trunks: names of those that the
        configuration has."""
        self.registry = CollectorRegistry()
        self._state = state
        self._calls = CallMetrics(self.registry, log, trunks)
        self._node = NodeCollector(self.registry)
        self._lag = LoopLag(self.registry)
        self.http = HttpMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        build = Info("gateway_build", "Which gateway this is", registry=self.registry)
        build.info({"version": gateway.__version__, "python": platform.python_version()})

    def start(self, stack: AsyncExitStack) -> None:
        """Begins to count; ends with `stack`."""
        for work, name in ((self._calls.follow(), "calls"), (self._lag.watch(), "loop lag")):
            task = asyncio.create_task(work, name=f"metrics: {name}")
            stack.push_async_callback(_cancelled, task)
        stack.callback(self._calls.close)

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as of now, in the format that `accept` (RFC 9110 12.5.1) prefers, and its
        content type. The text is made in a thread: calls do not wait for it."""
        self._calls.catch_up()
        self._node.state = self._state()
        encode, content_type = choose_encoder(accept)
        text: bytes = await asyncio.to_thread(encode, _WithoutAges(self.registry))
        return text, content_type


class _WithoutAges(Collector):
    """A registry without the `_created` series, which double its size and which nobody asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])

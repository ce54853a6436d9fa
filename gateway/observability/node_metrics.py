"""Owns what a node adds to the metrics beside its calls: its state, HTTP, its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LAG_EVERY = 0.5
"""Seconds between two looks at how late the loop is."""

_LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_HTTP_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class AskedTrunk:
    """A trunk that is asked by OPTIONS. up: None while nothing is known; rtt: seconds."""

    name: str
    up: bool | None
    rtt: float | None


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a node is like at one moment. The field's names are the metrics', after `gateway_`;
    those that end in `_total` only grow. `trunks` are metrics of their own."""

    calls_live: int = 0
    browsers_signed_in: int = 0
    media_ports: int = 0
    media_clock_ticks_total: int = 0
    media_clock_late_ticks_total: int = 0
    media_clock_skipped_ticks_total: int = 0
    media_clock_lateness_mean_seconds: float = 0.0
    media_clock_lateness_max_seconds: float = 0.0
    sip_messages_lost_total: int = 0
    events_total: int = 0
    event_subscribers: int = 0
    event_subscribers_lost_total: int = 0
    events_waiting: int = 0
    events_unprotected: bool = False
    records_waiting: int = 0
    records_lost_total: int = 0
    events_lost_total: int = 0
    event_streams: int = 0
    webhook_deliveries_pending: int = 0
    webhook_deliveries_dead: int = 0
    trunks: tuple[AskedTrunk, ...] = ()


_MEANINGS = {
    "calls_live": "Calls that are going on",
    "browsers_signed_in": "Browsers that can be called; a user's every tab is one",
    "media_ports": "Ports of the media plane: legs, players, recorders",
    "media_clock_ticks_total": "Ticks of the bridge's clock, one each 20 ms",
    "media_clock_late_ticks_total": "Ticks that began more than 5 ms late",
    "media_clock_skipped_ticks_total": "Ticks that did not come at all",
    "media_clock_lateness_mean_seconds": "How late ticks were on average, since the last look",
    "media_clock_lateness_max_seconds": "How late the latest tick was, since the last look",
    "sip_messages_lost_total": "SIP messages that came too fast for timelines and captures",
    "events_total": "Events of the log",
    "event_subscribers": "Who follows the event log now",
    "event_subscribers_lost_total": "Events that subscribers were too slow for, all together",
    "events_waiting": "Events that wait for the database, in the journal meanwhile",
    "events_unprotected": "1 while the journal's disk fails: a crash would lose events",
    "records_waiting": "Call records that wait for the database",
    "records_lost_total": "Call records that the database never took",
    "events_lost_total": "Events that neither journal nor database took",
    "event_streams": "Streams of events that are open",
    "webhook_deliveries_pending": "Deliveries to webhooks that are to come, as of the last look",
    "webhook_deliveries_dead": "Deliveries to webhooks that were given up, as of the last look",
}


class NodeCollector(Collector):
    """Shows the state that it was last given. `collect` may run in another thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.state = NodeState()
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """One family for each field."""
        state = self.state
        yield from _trunk_families(state.trunks)
        for each in fields(state):
            if each.name not in _MEANINGS:
                continue
            counts = each.name.endswith("_total")
            family = CounterMetricFamily if counts else GaugeMetricFamily
            value: float = getattr(state, each.name)
            yield family(f"gateway_{each.name}", _MEANINGS[each.name], value=value)


def _trunk_families(trunks: Sequence[AskedTrunk]) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "gateway_trunk_up",
        "0: down, it answers no OPTIONS; of trunks that are asked, once something is known",
        labels=["trunk"],
    )
    rtt = GaugeMetricFamily(
        "gateway_trunk_options_rtt_seconds",
        "From an OPTIONS to its response, the last one that came",
        labels=["trunk"],
    )
    for trunk in trunks:
        if trunk.up is not None:
            up.add_metric([trunk.name], trunk.up)
        if trunk.rtt is not None:
            rtt.add_metric([trunk.name], trunk.rtt)
    yield up
    yield rtt


class HttpMetrics:
    """Counts requests, by route pattern: paths hold ids and destinations."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "gateway_http_requests",
            "Requests that were answered, by the pattern of their route",
            ["method", "route", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            "gateway_http_request_seconds",
            "From a request's arrival to the beginning of its answer",
            ["method", "route"],
            buckets=_HTTP_SECONDS,
            registry=registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A response begins. route: the pattern; empty where there is none."""
        method = method if method in _METHODS else "other"
        route = route or "none"
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)


class LoopLag:
    """Looks how late the event loop is: everything of the control plane waits that long."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "gateway_event_loop_lag_seconds",
            f"How late the event loop was, looked at each {LAG_EVERY} s",
            buckets=_LAG_SECONDS,
            registry=registry,
        )

    async def watch(self) -> None:
        """Looks until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._lag.observe(max(loop.time() - due, 0.0))

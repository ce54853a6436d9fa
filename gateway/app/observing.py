"""Owns how a node is looked into from outside: its metrics, and the traces of its calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

from gateway.api.directory import Directory
from gateway.app.records import Records
from gateway.app.telling import Telling
from gateway.calls import CallRegistry
from gateway.calls.pinging import Reach
from gateway.calls.pings import TrunkPings
from gateway.calls.trunks import TrunkWatch
from gateway.config.model import NodeConfig
from gateway.media.engine import MediaEngine
from gateway.observability.metrics import Metrics
from gateway.observability.node_metrics import AskedTrunk, NodeState
from gateway.storage.event_log import EventLog


class Observing:
    """The metrics and traces of one node, from its first call to its last."""

    def __init__(
        self,
        config: NodeConfig,
        log: EventLog,
        *,
        media: MediaEngine,
        calls: CallRegistry,
        directory: Directory,
        records: Records,
        telling: Telling,
        pings: TrunkPings,
        trunks: TrunkWatch,
    ) -> None:
        self._config = config
        self._log = log
        self._media = media
        self._calls = calls
        self._directory = directory
        self._records = records
        self._telling = telling
        self._pings = pings
        self._trunks = trunks
        self.metrics = Metrics(log, self._state, (trunk.name for trunk in config.sip.trunks))

    def start(self, stack: AsyncExitStack) -> None:
        """Begins; ends with `stack`, which therefore ends the calls before."""
        self.metrics.start(stack)
        if self._config.tracing is not None:
            # Here, because nobody who does not trace should load the libraries.
            from gateway.observability.tracing import Tracing

            tracing = Tracing(self._config.tracing, self._log)
            tracing.start(stack)

    def _state(self) -> NodeState:
        clock, written = self._media.clock(), self._records.events
        return NodeState(
            calls_live=len(self._calls.calls),
            browsers_signed_in=self._directory.sessions,
            media_ports=self._media.port_count,
            media_clock_ticks_total=clock.ticks,
            media_clock_late_ticks_total=clock.late_ticks,
            media_clock_skipped_ticks_total=clock.skipped_ticks,
            media_clock_lateness_mean_seconds=clock.mean_late_ms / 1000,
            media_clock_lateness_max_seconds=clock.max_late_ms / 1000,
            sip_messages_lost_total=self._media.sip_messages_lost,
            events_total=self._log.last_sequence,
            event_subscribers=self._log.subscribers,
            event_subscribers_lost_total=self._log.lost,
            events_waiting=0 if written is None else written.waiting,
            events_unprotected=written is not None and written.failing,
            records_waiting=self._records.waiting,
            records_lost_total=self._records.lost,
            events_lost_total=0 if written is None else written.lost,
            event_streams=self._telling.open_streams,
            webhook_deliveries_pending=self._telling.deliveries.pending,
            webhook_deliveries_dead=self._telling.deliveries.dead,
            trunks=tuple(self._asked_trunks()),
        )

    def _asked_trunks(self) -> Iterator[AskedTrunk]:
        for trunk in self._config.sip.trunks:
            pings = self._pings.of(trunk.name)
            if pings is not None:
                known = pings.reach is not Reach.UNKNOWN
                up = not self._trunks.is_down(trunk.name) if known else None
                yield AskedTrunk(trunk.name, up, pings.rtt)

"""Owns reading the counters of every leg once per second, for the timelines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.ids import CallId, LegId
from gateway.observability.timeline.store import Timelines
from gateway.ports import MediaPort, PortStats

_log = structlog.get_logger(__name__)

EVERY = 1.0  # seconds
_AT_ONCE = 32  # ports, before others on the loop have their turn


@dataclass(frozen=True, slots=True)
class LivePort:
    """A port that a leg of a live call has now."""

    call: CallId
    leg: LegId
    port: MediaPort


class QualitySampler:
    """Runs beside the calls, on the asyncio thread."""

    def __init__(
        self,
        timelines: Timelines,
        ports: Callable[[], Iterable[LivePort]],
        stats: Callable[[MediaPort], PortStats],
        clock: Clock,
    ) -> None:
        """ports: those of all live calls. stats: raises GatewayError for a port that has closed."""
        self._timelines = timelines
        self._ports = ports
        self._stats = stats
        self._clock = clock

    async def run(self) -> None:
        """Samples until it is cancelled, on a schedule that does not drift."""
        loop = asyncio.get_running_loop()
        due = loop.time() + EVERY
        while True:
            await asyncio.sleep(due - loop.time())
            try:
                await self.sample()
            except Exception:  # task boundary: the next sample may do better
                _log.exception("quality.failed")
            due = max(due + EVERY, loop.time())

    async def sample(self) -> None:
        """One sample of every leg."""
        for number, live in enumerate(list(self._ports()), start=1):
            with suppress(GatewayError):  # the leg has ended since
                stats = self._stats(live.port)
                self._timelines.sample(live.call, live.leg, self._clock.now().monotonic, stats)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._timelines.tick()

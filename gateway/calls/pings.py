"""Owns asking the trunks of a node by OPTIONS: the tasks that do it, and the log of what they find.

Belongs to the asyncio thread. What answers mean is `gateway.calls.pinging`'s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

import structlog

from gateway.calls import pinging
from gateway.calls.pinging import Pinging, Reach
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.ports import SipOptions

_log = structlog.get_logger(__name__)


class TrunkPings:
    """Asks each trunk, each in its own rhythm."""

    def __init__(
        self,
        intervals: Mapping[str, float],
        sip: SipOptions,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """intervals: seconds, by trunk; one of 0 is never asked. chance: 0 to 1, for jitter."""
        self._intervals = {name: seconds for name, seconds in intervals.items() if seconds > 0}
        self._sip = sip
        self._clock = clock
        self._chance = chance
        self._pings: dict[str, Pinging] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to ask."""
        now = self._clock.now().monotonic
        for name, interval in self._intervals.items():
            self._pings[name] = pinging.begin(interval, now, self._chance())
        self._task = asyncio.create_task(self._run(), name="trunk pings")

    async def stop(self) -> None:
        """Asks no more, and waits for no answer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def of(self, trunk: str) -> Pinging | None:
        """What is known of `trunk`; None: it is not asked."""
        return self._pings.get(trunk)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in self._pings:
                tasks.create_task(self._watch(name, tasks))

    async def _watch(self, name: str, tasks: asyncio.TaskGroup) -> None:
        while True:
            now = self._clock.now()
            pings, sends = pinging.tick(self._pings[name], now, self._chance())
            self._take(name, pings)
            if sends:
                tasks.create_task(self._ask(name, pings.number))
            await asyncio.sleep(max(pings.due - now.monotonic, 0.0))

    async def _ask(self, name: str, number: int) -> None:
        try:
            reply = await self._sip.options(name)
        except GatewayError as error:
            _log.debug("trunk.not_asked", trunk=name, reason=str(error))
        except Exception:  # the boundary of a ping's task: a bug in it costs no other ping
            _log.exception("trunk.not_asked", trunk=name)
        else:
            self._take(name, pinging.replied(self._pings[name], number, reply, self._clock.now()))
            return
        self._take(name, pinging.given_up(self._pings[name], number))

    def _take(self, name: str, pings: Pinging) -> None:
        before, self._pings[name] = self._pings[name], pings
        if pings.reach is before.reach or pings.last is None:
            return
        told = {"trunk": name, "status": pings.last.status, "reason": pings.last.reason}
        if pings.reach is Reach.UP and pings.rtt is not None:
            _log.info("trunk.up", **told, rtt_ms=round(pings.rtt * 1000, 1))
        else:
            _log.warning("trunk.down", **told, misses=pings.misses)

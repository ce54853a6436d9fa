"""Owns carrying the minutes of today over to the next start, and to the nodes beside this one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from datetime import date, datetime

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.identity.ledger import Ledger
from gateway.storage.day_use import DayUse

_log = structlog.get_logger(__name__)

EVERY = 2.0
"""Seconds between two exchanges with the database: as much of each call a crash gives back."""


class DayMinutes:
    """Writes what a ledger counts, and tells it what it did not. Belongs to the asyncio thread.

    A day's own rows are read before the first is written: what an earlier process of this node
    has counted is added to, never written over.
    """

    def __init__(self, ledger: Ledger, store: DayUse, clock: Clock) -> None:
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._day = date.min
        self._read_at: datetime | None = None
        self._before: dict[str, float] = {}  # seconds that earlier processes of this node counted
        self._written: dict[str, float] = {}
        self._others: defaultdict[str, dict[str, float]] = defaultdict(dict)  # by account and node
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads what today's calls have used, and begins. Raises GatewayError(DATABASE_FAILED)."""
        await self.exchange()
        self._task = asyncio.create_task(self._keep_on(), name="minutes of the day")

    async def stop(self) -> None:
        """Writes what was counted until now; call it when no call is live any more."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def exchange(self) -> None:
        """Writes what is new, and reads what is. Raises GatewayError(DATABASE_FAILED)."""
        now = self._clock.now()
        day, counted = self._ledger.counted(now)
        if day != self._day:
            await self._begin(day, now.wall)
        totals = {name: self._before.get(name, 0.0) + used for name, used in counted.items()}
        news = {name: used for name, used in totals.items() if used != self._written.get(name)}
        await self._store.write(day, news, now.wall)
        self._written.update(news)
        await self._read(day, now.wall)

    async def _keep_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._stopping.wait()
            await self._try()
            if self._stopping.is_set():
                return

    async def _try(self) -> None:
        try:
            await self.exchange()
        except GatewayError as error:
            _log.warning("minutes.not_kept", reason=str(error))

    async def _begin(self, day: date, now: datetime) -> None:
        """A day of which nothing is known yet."""
        await self._store.forget(day)
        found = await self._store.read(day)
        self._before = {use.account: use.seconds for use in found if use.node == self._store.node}
        self._written = dict(self._before)
        self._others.clear()
        self._day, self._read_at = day, None
        self._ledger.carry(day, self._before)

    async def _read(self, day: date, now: datetime) -> None:
        """What other nodes have written since the last time."""
        found = await self._store.read(day, self._read_at)
        self._read_at = now
        changed: dict[str, float] = {}
        for use in found:
            if use.node == self._store.node:
                continue
            others = self._others[use.account]
            others[use.node] = use.seconds
            changed[use.account] = self._before.get(use.account, 0.0) + sum(others.values())
        self._ledger.carry(day, changed)

"""Owns the delivery of a node's events to webhooks: a lane for each, and the outbox kept small."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.storage.deliveries import PURGE_BATCH, Deliveries
from gateway.storage.outbox import Enqueued
from gateway.terms import DeliveryState
from gateway.webhooks.lane import Lane, Means, Sender
from gateway.webhooks.notebook import Notebook
from gateway.webhooks.schedule import BackOff

_log = structlog.get_logger(__name__)

SWEEP = 30.0
"""Seconds between two looks at the whole outbox: for what other nodes have enabled or replayed."""
KEPT = timedelta(hours=1)
"""For how long what was delivered can be seen."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries of the node wait, and are dead; as of the last look."""

    pending: int = 0
    dead: int = 0


class Deliverer:
    """Delivers what this node puts into the outbox. Belongs to the asyncio thread."""

    def __init__(
        self,
        store: Deliveries,
        sender: Sender,
        clock: Clock,
        back_off: BackOff = BackOff(),  # noqa: B008  # frozen
        chance: Callable[[], float] = random.random,
    ) -> None:
        """chance: gives 0 to 1, for the jitter."""
        self._store = store
        self._clock = clock
        self._means = Means(store, Notebook(store), sender, clock, back_off, chance)
        self._lanes: dict[str, Lane] = {}
        self._ending: set[Lane] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.backlog = Backlog()

    def start(self) -> None:
        """Begins with what is in the outbox already."""
        self._sweeping = asyncio.create_task(self._sweep_on(), name="webhooks")

    async def close(self) -> None:
        """Ends every attempt. What was not delivered is delivered after the next start."""
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
        await asyncio.gather(*(lane.close() for lane in (*self._lanes.values(), *self._ending)))

    def enqueued(self, items: Sequence[Enqueued]) -> None:
        """These are in the outbox now; none: nobody knows which."""
        if self._sweeping is None:
            return  # the next start finds them
        if not items:
            self.look()
        for item in items:
            self._lane(item.webhook).add(item)

    def begin_anew(self, hook: str) -> None:
        """A webhook was changed, or a delivery is to be replayed: what was known of it is not true
        any more."""
        lane = self._lanes.get(hook)
        if lane is not None:
            lane.end()
        self.look()

    def look(self) -> None:
        """There may be something to deliver that nobody has told of."""
        self._wake.set()

    def _lane(self, hook: str) -> Lane:
        lane = self._lanes.get(hook)
        if lane is None:
            lane = self._lanes[hook] = Lane(hook, self._means, self._ended)
        return lane

    def _ended(self, lane: Lane) -> None:
        if self._lanes.get(lane.hook) is lane:
            del self._lanes[lane.hook]
        self._ending.add(lane)
        lane.task.add_done_callback(lambda _: self._ending.discard(lane))

    async def _sweep_on(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._sweep()
            except GatewayError as error:
                _log.warning("webhooks.outbox_unreadable", reason=str(error))
            try:
                async with asyncio.timeout(SWEEP):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        for hook in await self._store.waiting():
            self._lane(hook).look()
        before = self._clock.now().wall - KEPT
        while await self._store.purge(before) == PURGE_BATCH:
            continue
        self.backlog = Backlog(
            await self._store.count(DeliveryState.PENDING),
            await self._store.count(DeliveryState.DEAD),
        )

"""Owns what a node has to deliver to webhooks, as its deliverer reads and notes it.

How it got into the outbox is outbox.py's. All methods raise GatewayError(DATABASE_FAILED).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from gateway.storage.database import Database
from gateway.storage.tables import deliveries, events, webhooks
from gateway.terms import DeliveryState

MAX_ERROR = 500
"""Characters."""
PURGE_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """All that an attempt needs. text: the event's JSON."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    enabled: bool
    attempts: int
    created_at: datetime
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Head:
    """The delivery of a call that is next. parcel: if it was read with it."""

    id: str
    call: str
    sequence: int
    next_at: datetime
    parcel: Parcel | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one. status: of the answer; error None: the receiver has it; next_at: when it
    is tried again, None: never."""

    delivery: str
    at: datetime
    status: int | None
    error: str | None = None
    next_at: datetime | None = None


class Deliveries:
    """The outbox of one node."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def waiting(self) -> list[str]:
        """Enabled webhooks for which this node has something to deliver."""
        # By webhook and state, which an index has: however much was delivered, it is not looked at.
        theirs = deliveries.c.webhook == webhooks.c.id
        query = select(webhooks.c.id).where(
            webhooks.c.enabled.is_(True), exists().where(theirs, self._pending())
        )
        return await self._database.read(lambda connection: list(connection.scalars(query)))

    async def heads(self, hook: str, limit: int) -> list[Head]:
        """Of the first `limit` calls that have something to deliver, what is next."""
        first = (
            select(deliveries.c.call, func.min(deliveries.c.sequence).label("sequence"))
            .where(self._pending(), deliveries.c.webhook == hook)
            .group_by(deliveries.c.call)
            .order_by(func.min(deliveries.c.sequence))
            .limit(limit)
            .subquery()
        )
        this = and_(deliveries.c.call == first.c.call, deliveries.c.sequence == first.c.sequence)
        query = (
            select(*_HEAD)
            .join(first, this)
            .where(self._pending(), deliveries.c.webhook == hook)
            .order_by(deliveries.c.sequence)
        )
        return await self._database.read(
            lambda connection: [Head(*row) for row in connection.execute(query)]
        )

    async def next_of_call(self, hook: str, call: str) -> Head | None:
        """What is next of one call."""
        query = (
            select(*_HEAD, *_PARCEL)
            .join(webhooks, webhooks.c.id == deliveries.c.webhook)
            .join(events, event_of_delivery())
            .where(self._pending(), deliveries.c.webhook == hook, deliveries.c.call == call)
            .order_by(deliveries.c.sequence)
            .limit(1)
        )
        row = await self._database.row(query)
        return (
            None
            if row is None
            else Head(row.id, row.call, row.sequence, row.next_at, Parcel(*list(row)[len(_HEAD) :]))
        )

    async def parcel(self, delivery: str) -> Parcel | None:
        """What to send; None: it is not to be sent any more."""
        query = (
            select(*_PARCEL)
            .join(webhooks, webhooks.c.id == deliveries.c.webhook)
            .join(events, event_of_delivery())
            .where(deliveries.c.id == delivery, self._pending())
        )
        row = await self._database.row(query)
        return None if row is None else Parcel(*list(row))

    async def note(self, attempts: Sequence[Attempt]) -> None:
        """What became of attempts, in one transaction."""

        def write(connection: Connection) -> None:
            for attempt in attempts:
                connection.execute(
                    update(deliveries)
                    .where(deliveries.c.id == attempt.delivery)
                    .values(attempts=deliveries.c.attempts + 1, **_values(attempt))
                )

        await self._database.write(write)

    async def give_up_on(self, hook: str, reason: str) -> None:
        """Disables a webhook whose receiver wants nothing any more."""
        change = update(webhooks).where(webhooks.c.id == hook)
        gone = change.values(enabled=False, reason=reason)
        await self._database.change(gone)

    async def count(self, state: DeliveryState) -> int:
        """How many deliveries of this node are in a state."""
        one = (
            select(func.count())
            .where(
                deliveries.c.webhook == webhooks.c.id,
                deliveries.c.state == state.value,
                deliveries.c.node == self._node,
            )
            .scalar_subquery()
        )
        query = select(func.sum(one)).select_from(webhooks)
        return int(await self._database.read(lambda connection: connection.scalar(query)) or 0)

    async def purge(self, before: datetime) -> int:
        """Forgets what was delivered before a moment; returns how many, at most PURGE_BATCH."""
        due = (
            select(deliveries.c.id)
            .where(
                deliveries.c.state == DeliveryState.DELIVERED.value, deliveries.c.done_at < before
            )
            .limit(PURGE_BATCH)
        )
        delivered = deliveries.delete().where(deliveries.c.id.in_(due))
        return await self._database.change(delivered)

    def _pending(self) -> ColumnElement[bool]:
        return and_(
            deliveries.c.node == self._node,
            deliveries.c.state == DeliveryState.PENDING.value,
        )


_HEAD = (deliveries.c.id, deliveries.c.call, deliveries.c.sequence, deliveries.c.next_at)
_PARCEL = (
    webhooks.c.url,
    webhooks.c.secret,
    webhooks.c.enabled,
    deliveries.c.attempts,
    deliveries.c.created_at,
    events.c.data,
)


def _values(attempt: Attempt) -> dict[str, Any]:
    values: dict[str, Any] = {"status": attempt.status, "error": None}
    if attempt.error is None:
        return values | {"state": DeliveryState.DELIVERED.value, "done_at": attempt.at}
    values["error"] = attempt.error[:MAX_ERROR]
    if attempt.next_at is None:
        return values | {"state": DeliveryState.DEAD.value, "done_at": attempt.at}
    return values | {"next_at": attempt.next_at}


def event_of_delivery() -> ColumnElement[bool]:
    """Which event a delivery is about."""
    return and_(events.c.node == deliveries.c.node, events.c.sequence == deliveries.c.sequence)

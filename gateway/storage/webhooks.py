"""Owns webhooks and their deliveries in the database.

All methods raise GatewayError(DATABASE_FAILED). Those for users find nothing of another project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Row,
    Select,
    Update,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from gateway.errors import NOT_FOUND, Blame, GatewayError, Verdict
from gateway.storage.database import Database
from gateway.storage.pages import read_cursor, written_cursor
from gateway.storage.tables import deliveries, events, webhooks
from gateway.terms import DeliveryState

MOST = 50
"""Webhooks of one project."""
TOO_MANY_WEBHOOKS = Verdict(
    "too_many_webhooks", 503, 409, 42, Blame.CALLER, f"A project has {MOST} webhooks at most"
)
MAX_ERROR = 500
"""Characters."""
PURGE_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """A webhook. types: as Wanted has them; empty: all. reason: why it is not enabled."""

    id: str
    project: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    types: tuple[str, ...]
    enabled: bool
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """An event on its way to a webhook. status, error: of the last attempt."""

    id: str
    call: str
    sequence: int
    type: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_at: datetime | None
    done_at: datetime | None
    status: int | None
    error: str | None


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


class Webhooks:
    """The webhooks of a database, and what a node has to deliver to them."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    # ---- for users --------------------------------------------------------------------------

    async def add(self, hook: WebhookRecord) -> None:
        """Keeps a new one. Raises GatewayError(TOO_MANY_WEBHOOKS)."""
        row = asdict(hook) | {"types": " ".join(hook.types)}
        count = select(func.count()).where(webhooks.c.project == hook.project)

        def write(connection: Connection) -> None:
            if (connection.scalar(count) or 0) >= MOST:
                raise GatewayError(TOO_MANY_WEBHOOKS)
            connection.execute(insert(webhooks), [row])

        await self._database.write(write)

    async def all(self, project: str) -> Sequence[WebhookRecord]:
        """Those of a project, the oldest first."""
        wanted = select(webhooks).where(webhooks.c.project == project)
        wanted = wanted.order_by(webhooks.c.created_at, webhooks.c.id)
        return await self._database.read(
            lambda connection: [_webhook(row) for row in connection.execute(wanted)]
        )

    async def get(self, project: str, hook: str) -> WebhookRecord:
        """One of them. Raises GatewayError(NOT_FOUND)."""
        wanted = select(webhooks).where(*_this(project, hook))
        row = await self._row(wanted)
        if row is None:
            raise GatewayError(NOT_FOUND, "No such webhook")
        return _webhook(row)

    async def change(
        self,
        project: str,
        hook: str,
        url: str | None = None,
        types: tuple[str, ...] | None = None,
    ) -> None:
        """What is not None is changed. Raises GatewayError(NOT_FOUND)."""
        values: dict[str, Any] = {}
        if url is not None:
            values["url"] = url
        if types is not None:
            values["types"] = " ".join(types)
        if values:
            await self._update(project, hook, values)

    async def enable(self, project: str, hook: str, now: datetime) -> None:
        """It gets events from now on, and at once those that waited when it was disabled. Raises
        GatewayError(NOT_FOUND)."""
        await self._update(project, hook, {"enabled": True, "reason": None})
        waiting = (
            deliveries.c.webhook == hook,
            deliveries.c.state == DeliveryState.PENDING.value,
        )
        await self._change(
            update(deliveries).where(*waiting).values(attempts=0, created_at=now, next_at=now)
        )

    async def disable(self, project: str, hook: str, reason: str) -> None:
        """It gets nothing any more; what waits, waits. Raises GatewayError(NOT_FOUND)."""
        await self._update(project, hook, {"enabled": False, "reason": reason[:MAX_ERROR]})

    async def delete(self, project: str, hook: str) -> None:
        """With all its deliveries. Raises GatewayError(NOT_FOUND)."""
        if not await self._change(webhooks.delete().where(*_this(project, hook))):
            raise GatewayError(NOT_FOUND, "No such webhook")

    async def _update(self, project: str, hook: str, values: dict[str, Any]) -> None:
        if not await self._change(update(webhooks).where(*_this(project, hook)).values(**values)):
            raise GatewayError(NOT_FOUND, "No such webhook")

    async def _row(self, query: Select[Any]) -> Row[Any] | None:
        return await self._database.read(lambda connection: connection.execute(query).one_or_none())

    async def _change(self, statement: Update | Delete) -> int:
        """How many rows it changed."""
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def deliveries(
        self,
        hook: str,
        state: DeliveryState | None = None,
        failed: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[DeliveryRecord], str | None]:
        """Deliveries to a webhook, newest first, and the cursor of the next page. failed: only
        those of which an attempt failed. Raises GatewayError(BAD_REQUEST): not a cursor."""
        found: list[ColumnElement[bool]] = [deliveries.c.webhook == hook]
        if state is not None:
            found.append(deliveries.c.state == state.value)
        if failed:
            found.append(deliveries.c.error.is_not(None))
        if cursor is not None:
            moment, name = read_cursor(cursor)
            same = and_(deliveries.c.created_at == moment, deliveries.c.id < name)
            found.append(or_(deliveries.c.created_at < moment, same))
        query = (
            select(deliveries, events.c.type)
            .join(events, _event())
            .where(*found)
            .order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc())
            .limit(limit + 1)
        )
        rows = await self._database.read(
            lambda connection: [_delivery(row) for row in connection.execute(query)]
        )
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], written_cursor(rows[limit - 1].created_at, rows[limit - 1].id)

    async def replay(self, hook: str, delivery: str, now: datetime) -> None:
        """Delivers it again, from the beginning; one that is still to come, at once. Raises
        GatewayError(NOT_FOUND)."""
        change = (
            update(deliveries)
            .where(deliveries.c.id == delivery, deliveries.c.webhook == hook)
            .values(
                state=DeliveryState.PENDING.value,
                attempts=0,
                created_at=now,
                next_at=now,
                done_at=None,
            )
        )
        if not await self._change(change):
            raise GatewayError(NOT_FOUND, "No such delivery")

    # ---- for the deliverer ------------------------------------------------------------------

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
            .join(events, _event())
            .where(self._pending(), deliveries.c.webhook == hook, deliveries.c.call == call)
            .order_by(deliveries.c.sequence)
            .limit(1)
        )
        row = await self._row(query)
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
            .join(events, _event())
            .where(deliveries.c.id == delivery, self._pending())
        )
        row = await self._row(query)
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
        await self._change(change.values(enabled=False, reason=reason))

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
        return await self._change(deliveries.delete().where(deliveries.c.id.in_(due)))

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


def _event() -> ColumnElement[bool]:
    return and_(events.c.node == deliveries.c.node, events.c.sequence == deliveries.c.sequence)


def _this(project: str, hook: str) -> tuple[ColumnElement[bool], ...]:
    return webhooks.c.id == hook, webhooks.c.project == project


def _webhook(row: Row[Any]) -> WebhookRecord:
    return WebhookRecord(
        id=row.id,
        project=row.project,
        url=row.url,
        secret=row.secret,
        types=tuple(row.types.split()),
        enabled=row.enabled,
        reason=row.reason,
        created_at=row.created_at,
    )


def _delivery(row: Row[Any]) -> DeliveryRecord:
    state = DeliveryState(row.state)
    return DeliveryRecord(
        id=row.id,
        call=row.call,
        sequence=row.sequence,
        type=row.type,
        state=state,
        attempts=row.attempts,
        created_at=row.created_at,
        next_at=row.next_at if state is DeliveryState.PENDING else None,
        done_at=row.done_at,
        status=row.status,
        error=row.error,
    )

"""Owns webhooks and their deliveries as users have them, in the database.

All methods raise GatewayError(DATABASE_FAILED), and find nothing of another project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from gateway.errors import NOT_FOUND, Blame, GatewayError, Verdict
from gateway.storage.database import Database
from gateway.storage.deliveries import event_of_delivery
from gateway.storage.pages import read_cursor, written_cursor
from gateway.storage.tables import deliveries, events, webhooks
from gateway.terms import DeliveryState

MOST = 50
"""Webhooks of one project."""
TOO_MANY_WEBHOOKS = Verdict(
    "too_many_webhooks", 503, 409, 42, Blame.CALLER, f"A project has {MOST} webhooks at most"
)
MAX_REASON = 500
"""Characters."""


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


class Webhooks:
    """The webhooks of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        row = await self._database.row(wanted)
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
        await self._database.change(
            update(deliveries).where(*waiting).values(attempts=0, created_at=now, next_at=now)
        )

    async def disable(self, project: str, hook: str, reason: str) -> None:
        """It gets nothing any more; what waits, waits. Raises GatewayError(NOT_FOUND)."""
        await self._update(project, hook, {"enabled": False, "reason": reason[:MAX_REASON]})

    async def delete(self, project: str, hook: str) -> None:
        """With all its deliveries. Raises GatewayError(NOT_FOUND)."""
        if not await self._database.change(webhooks.delete().where(*_this(project, hook))):
            raise GatewayError(NOT_FOUND, "No such webhook")

    async def _update(self, project: str, hook: str, values: dict[str, Any]) -> None:
        if not await self._database.change(
            update(webhooks).where(*_this(project, hook)).values(**values)
        ):
            raise GatewayError(NOT_FOUND, "No such webhook")

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
            .join(events, event_of_delivery())
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
        if not await self._database.change(change):
            raise GatewayError(NOT_FOUND, "No such delivery")


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

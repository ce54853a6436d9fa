"""Owns the outbox: what webhooks are to be told, written in the transaction of the events."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from gateway.events import wants_type
from gateway.storage.published import Published
from gateway.storage.tables import deliveries, webhooks
from gateway.terms import DeliveryState

_HOOKS = select(webhooks.c.id, webhooks.c.project, webhooks.c.types).where(
    webhooks.c.enabled.is_(True), webhooks.c.project.in_(bindparam("projects", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A delivery that has just come to be."""

    id: str
    webhook: str
    call: str
    sequence: int


def enqueue(
    connection: Connection, batch: Sequence[Published], node: str, now: datetime
) -> list[Enqueued]:
    """Puts what the webhooks want of `batch` into the outbox."""
    projects = {event.project for event in batch}
    found = connection.execute(_HOOKS, {"projects": list(projects)})
    hooks = [(row.id, row.project, tuple(row.types.split())) for row in found]
    enqueued = [
        Enqueued(f"msg_{secrets.token_hex(12)}", hook, event.call, event.sequence)
        for event in batch
        for hook, project, types in hooks
        if project == event.project and wants_type(types, event.type)
    ]
    if enqueued:
        rows = [
            {
                "id": item.id,
                "webhook": item.webhook,
                "node": node,
                "sequence": item.sequence,
                "call": item.call,
                "state": DeliveryState.PENDING.value,
                "attempts": 0,
                "created_at": now,
                "next_at": now,
            }
            for item in enqueued
        ]
        connection.execute(insert(deliveries), rows)
    return enqueued

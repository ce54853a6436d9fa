"""Owns how much of a day each identity has called, in the database: one row for each node.

Whose a row is, only a hash tells, and it is deleted when its day is long over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from gateway.storage.database import Database
from gateway.storage.tables import day_use
from gateway.storage.upserts import upsert

CLOCKS_DIFFER = timedelta(minutes=1)
"""Most that the clocks of two nodes may be apart for one to see at once what the other wrote."""
KEPT = timedelta(days=1)
"""How long rows are kept after their day: by then no node's clock has it any more."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one account has used of a day on one node, in seconds."""

    node: str
    account: str
    seconds: float


class DayUse:
    """What all nodes of the database have counted. All methods raise
    GatewayError(DATABASE_FAILED)."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self.node = node

    async def write(self, day: date, seconds: Mapping[str, float], now: datetime) -> None:
        """These accounts have used so many seconds of `day` on this node."""
        about = {"day": day, "node": self.node, "changed_at": now}
        rows: list[dict[str, object]] = [
            {**about, "account": account, "seconds": used} for account, used in seconds.items()
        ]
        if rows:
            await self._database.write(
                lambda connection: upsert(connection, day_use, rows), lasting=False
            )

    async def read(self, day: date, since: datetime | None = None) -> list[Used]:
        """What was used of `day` on every node; since: only what has changed then or later, and
        some of what has changed before."""
        query = select(day_use.c.node, day_use.c.account, day_use.c.seconds)
        query = query.where(day_use.c.day == day)
        if since is not None:
            query = query.where(day_use.c.changed_at >= since - CLOCKS_DIFFER)
        return await self._database.read(
            lambda connection: [Used(*row) for row in connection.execute(query)]
        )

    async def forget(self, day: date) -> None:
        """Deletes what is of no use on `day`."""
        old = day_use.delete().where(day_use.c.day < day - KEPT)
        await self._database.change(old, lasting=False)

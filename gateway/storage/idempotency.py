"""Owns the memory of requests that were made under an idempotency key, in the database.

What is kept of an answer is sealed by the caller: the database never sees what it says.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from gateway.storage.database import Database
from gateway.storage.tables import idempotency_keys as _table
from gateway.storage.upserts import insert_new


class RequestState(enum.StrEnum):
    """How far a request has come."""

    RUNNING = "running"
    DONE = "done"
    LOST = "lost"  # its node stopped in the middle of it


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """A request that was made before. `fingerprint`: of what was asked; `answer`: sealed."""

    state: RequestState
    fingerprint: str
    answer: str | None = field(default=None, repr=False)


_FORGET = _table.delete().where(_table.c.created_at < bindparam("oldest"))
_FIND = select(_table.c.state, _table.c.fingerprint, _table.c.answer).where(
    _table.c.id == bindparam("key")
)
_FINISH = (
    _table.update()
    .where(_table.c.id == bindparam("key"))
    .values(state=RequestState.DONE.value, answer=bindparam("sealed"))
)


class IdempotencyKeys:
    """The keys of all nodes. All methods raise GatewayError(DATABASE_FAILED)."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def begin(
        self, key: str, fingerprint: str, now: datetime, oldest: datetime
    ) -> KnownRequest | None:
        """Takes `key` for a new request, and forgets what is older than `oldest`. What was known
        of it; None: nothing, the request is to be performed."""
        row = {
            "id": key,
            "node": self._node,
            "state": RequestState.RUNNING.value,
            "fingerprint": fingerprint,
            "created_at": now,
        }

        def write(connection: Connection) -> KnownRequest | None:
            connection.execute(_FORGET, {"oldest": oldest})
            if insert_new(connection, _table, row):
                return None
            found = connection.execute(_FIND, {"key": key}).one_or_none()
            if found is None:  # released a moment ago
                return KnownRequest(RequestState.RUNNING, "")
            return KnownRequest(RequestState(found.state), found.fingerprint, found.answer)

        return await self._database.write(write, lasting=False)

    async def finish(self, key: str, answer: str) -> None:
        """The request was performed."""
        await self._database.change(_FINISH, {"key": key, "sealed": answer}, lasting=False)

    async def release(self, key: str) -> None:
        """The request was not performed, and may be made again."""
        gone = _table.delete().where(_table.c.id == key)
        await self._database.change(gone, lasting=False)

    async def recover(self) -> None:
        """At the node's start: what was running when it died is lost."""
        running = (_table.c.node == self._node, _table.c.state == RequestState.RUNNING.value)
        lost = _table.update().where(*running).values(state=RequestState.LOST.value)
        await self._database.change(lost)

"""Owns API keys in the database. Their secrets are not there, only hashes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, insert, select, update

from gateway.storage.database import Database
from gateway.storage.tables import api_keys


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as it is stored. `caps` is JSON; times are UTC."""

    id: str
    project: str
    name: str
    hash: str = field(repr=False)
    scopes: tuple[str, ...]
    caps: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it may be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyStore(Protocol):
    """Where API keys are kept. Failures are GatewayError(DATABASE_FAILED)."""

    async def add(self, key: KeyRecord) -> None:
        """Keeps a new key."""
        ...

    async def get(self, key: str) -> KeyRecord | None:
        """The key with this id, also if it is revoked."""
        ...

    async def all(self, project: str | None = None) -> Sequence[KeyRecord]:
        """The keys of a project, or of all; the oldest first."""
        ...

    async def revoke(self, key: str, at: datetime) -> bool:
        """Nobody may use the key from `at` on. False: there is no such key that was good."""
        ...


class ApiKeys:
    """The KeyStore of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: KeyRecord) -> None:
        """See KeyStore."""
        row = {
            "id": key.id,
            "project": key.project,
            "name": key.name,
            "hash": key.hash,
            "scopes": " ".join(key.scopes),
            "caps": key.caps,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }
        await self._database.change(insert(api_keys).values(row))

    async def get(self, key: str) -> KeyRecord | None:
        """See KeyStore."""
        wanted = select(api_keys).where(api_keys.c.id == key)
        row = await self._database.row(wanted)
        return None if row is None else _record(row)

    async def all(self, project: str | None = None) -> Sequence[KeyRecord]:
        """See KeyStore."""
        wanted = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        if project is not None:
            wanted = wanted.where(api_keys.c.project == project)
        return await self._database.read(
            lambda connection: [_record(row) for row in connection.execute(wanted)]
        )

    async def revoke(self, key: str, at: datetime) -> bool:
        """See KeyStore."""
        change = (
            update(api_keys)
            .where(api_keys.c.id == key, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        return await self._database.change(change) == 1


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        project=row.project,
        name=row.name,
        hash=row.hash,
        scopes=tuple(row.scopes.split()),
        caps=row.caps,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )

"""API keys in both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.storage.api_keys import ApiKeys, KeyRecord
from gateway.storage.database import Database

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
KEY = KeyRecord("k1", "default", "crm", "$argon2id$x", ("calls:read", "admin"), "{}", NOON)


async def test_keys_come_back_as_they_were_and_are_revoked_once(database: Database) -> None:
    keys = ApiKeys(database)
    later = replace(
        KEY, id="k0", project="sales", created_at=NOON + timedelta(days=1),
        expires_at=NOON + timedelta(days=2), scopes=(),
    )  # fmt: skip
    for key in (later, KEY):
        await keys.add(key)
    assert await keys.get("k1") == KEY
    assert await keys.get("none") is None
    assert list(await keys.all()) == [KEY, later]
    assert list(await keys.all("sales")) == [later]
    assert await keys.revoke("k1", NOON)
    assert not await keys.revoke("k1", NOON)
    assert not await keys.revoke("none", NOON)
    revoked = await keys.get("k1")
    assert revoked is not None
    assert revoked.revoked_at == NOON
    assert not revoked.good(NOON)
    assert later.good(NOON)
    assert not later.good(NOON + timedelta(days=2))

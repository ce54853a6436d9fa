"""API keys: what is stored, who is let in, and for how long a decision is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.config.identity import Caps, Scope
from gateway.errors import GatewayError
from gateway.identity.hashing import MAX_WAITING, Hashing
from gateway.identity.keys import KeyRing, new_key
from gateway.storage.api_keys import ApiKeys, KeyRecord
from gateway.storage.database import IN_MEMORY, Database
from tests.identity.makers import START, Clock


@dataclass
class Counting:
    """A Hashing that says how often it was asked."""

    inner: Hashing
    asked: int = 0

    async def check(self, secret: str, hash_: str) -> bool:
        self.asked += 1
        return await self.inner.check(secret, hash_)


@dataclass
class Ring:
    store: ApiKeys
    clock: Clock
    hashing: Counting
    keys: KeyRing

    async def key(self, name: str = "crm", **more: Any) -> tuple[str, KeyRecord]:
        text, record = new_key(name, [Scope.CALLS_WRITE], Caps(max_calls=3), START, **more)
        await self.store.add(record)
        return text, record

    async def refused(self, text: str) -> str:
        with pytest.raises(GatewayError) as error:
            await self.keys.identify(text)
        return error.value.verdict.code


@pytest.fixture
async def ring() -> AsyncIterator[Ring]:
    database = Database(IN_MEMORY)
    await database.start()
    clock, hashing = Clock(), Counting(Hashing())
    store = ApiKeys(database)
    yield Ring(store, clock, hashing, KeyRing(store, clock, hashing))  # type: ignore[arg-type]
    hashing.inner.close()
    await database.close()


async def test_a_key_gives_its_identity_and_its_secret_is_stored_nowhere(ring: Ring) -> None:
    text, record = await ring.key(project="sales")
    secret = text.split("_", 2)[2]
    assert record.hash.startswith("$argon2id$")
    assert secret not in repr(await ring.store.get(record.id)) + record.hash
    identity = await ring.keys.identify(text)
    assert (identity.key, identity.project, identity.user) == ("crm", "sales", "")
    assert identity.scopes == {Scope.CALLS_WRITE}
    assert [grant.caps.max_calls for grant in identity.grants] == [3]


async def test_a_right_secret_is_hashed_once_in_a_while(ring: Ring) -> None:
    text, _ = await ring.key()
    for _ in range(20):
        await ring.keys.identify(text)
    assert ring.hashing.asked == 1
    ring.clock.advance(301)
    await ring.keys.identify(text)
    assert ring.hashing.asked == 2


async def test_wrong_keys(ring: Ring) -> None:
    text, record = await ring.key()
    other, _ = await ring.key("other")
    foreign = f"gw_{record.id}_{other.split('_', 2)[2]}"
    for wrong in (foreign, text[:-1], text + "A", text.replace(record.id, "0" * 12), "gw_", "gw__"):
        assert await ring.refused(wrong) == "unauthorized"
    assert ring.hashing.asked == 1  # what cannot be a key, or is nobody's, is not hashed
    assert (await ring.keys.identify(text)).key == "crm"


async def test_guessing_is_slowed_down_and_locks_out_nobody_who_is_known(ring: Ring) -> None:
    text, record = await ring.key()
    await ring.keys.identify(text)
    codes = [await ring.refused(f"gw_{record.id}_{number:043}") for number in range(15)]
    assert codes[0] == "unauthorized"
    assert codes[-1] == "too_many_tries"
    assert ring.hashing.asked == 10
    assert (await ring.keys.identify(text)).key == "crm"
    ring.clock.advance(1)
    assert await ring.refused(f"gw_{record.id}_{99:043}") == "unauthorized"


async def test_a_revoked_key_works_for_seconds_at_most(ring: Ring) -> None:
    text, record = await ring.key()
    await ring.keys.identify(text)
    assert await ring.keys.good(record.id)
    assert await ring.store.revoke(record.id, START)
    assert not await ring.store.revoke(record.id, START)
    ring.clock.advance(5)
    assert await ring.refused(text) == "unauthorized"
    assert not await ring.keys.good(record.id)
    assert not await ring.keys.good("0" * 12)


async def test_a_key_that_has_expired(ring: Ring) -> None:
    text, _ = await ring.key(expires=START + timedelta(seconds=3))
    await ring.keys.identify(text)
    ring.clock.advance(3)
    assert await ring.refused(text) == "unauthorized"


async def test_checks_do_not_pile_up() -> None:
    hashing = Hashing()
    text, record = new_key("crm", [], Caps(), START)
    secret = text.split("_", 2)[2]
    checks = [hashing.check(secret, record.hash) for _ in range(MAX_WAITING + 5)]
    done = await asyncio.gather(*checks, return_exceptions=True)
    hashing.close()
    refused = [one for one in done if isinstance(one, GatewayError)]
    assert len(refused) == 5
    assert {one.verdict.http_status for one in refused} == {503}
    assert done.count(True) == MAX_WAITING


async def test_a_damaged_record_lets_nobody_in(ring: Ring) -> None:
    text, record = await ring.key()
    await ring.store.add(replace(record, id="a" * 12, scopes=("everything",)))
    assert await ring.refused(text.replace(record.id, "a" * 12)) == "internal"
    await ring.store.add(replace(record, id="b" * 12, hash="md5"))
    assert await ring.refused(text.replace(record.id, "b" * 12)) == "unauthorized"

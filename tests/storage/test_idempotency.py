"""The memory of requests under an idempotency key, in both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from gateway.storage.database import Database
from gateway.storage.idempotency import IdempotencyKeys, KnownRequest, RequestState

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RUNNING, DONE, LOST = RequestState.RUNNING, RequestState.DONE, RequestState.LOST


async def begun(
    keys: IdempotencyKeys, key: str = "a", asked: str = "print", now: datetime = NOON
) -> KnownRequest | None:
    return await keys.begin(key, asked, now, now - DAY)


async def test_a_request_is_new_once(database: Database) -> None:
    keys = IdempotencyKeys(database, "here")
    assert await begun(keys) is None
    assert await begun(keys, asked="another") == KnownRequest(RUNNING, "print")
    await keys.finish("a", "sealed")
    assert await begun(keys) == KnownRequest(DONE, "print", "sealed")
    assert await begun(keys, "b") is None


async def test_of_many_at_once_one_is_new(database: Database) -> None:
    nodes = [IdempotencyKeys(database, name) for name in ("one", "two")]
    answers = await asyncio.gather(*(begun(nodes[number % 2]) for number in range(20)))
    assert answers.count(None) == 1
    assert answers.count(KnownRequest(RUNNING, "print")) == 19


async def test_what_was_not_performed_may_be_made_again(database: Database) -> None:
    keys = IdempotencyKeys(database, "here")
    await begun(keys)
    await keys.release("a")
    assert await begun(keys) is None


async def test_after_a_day_a_key_is_new(database: Database) -> None:
    keys = IdempotencyKeys(database, "here")
    await begun(keys)
    await keys.finish("a", "sealed")
    almost = NOON + DAY
    assert await begun(keys, now=almost) == KnownRequest(DONE, "print", "sealed")
    assert await begun(keys, now=almost + timedelta(seconds=1)) is None


async def test_what_ran_when_its_node_died_is_lost(database: Database) -> None:
    here, there = IdempotencyKeys(database, "here"), IdempotencyKeys(database, "there")
    assert await begun(here, "a") is None
    assert await begun(there, "b") is None
    await IdempotencyKeys(database, "here").recover()
    assert await begun(here, "a") == KnownRequest(LOST, "print")
    assert await begun(here, "b") == KnownRequest(RUNNING, "print")

"""A POST that is made twice under one key is performed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from gateway.config.identity import Scope
from gateway.storage.database import Database
from gateway.storage.idempotency import IdempotencyKeys
from tests.api.conftest import StartApi
from tests.api.known import Stand, known

CALL = {"to": {"trunk": "carrier", "number": "+12125550100"}, "callee": "echo"}


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


async def ask(
    stand: Stand, headers: dict[str, str], key: str, body: dict[str, Any] = CALL, path: str = ""
) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with stand.api.client.post(
        path or "/v1/calls", json=body, headers=headers | {"Idempotency-Key": key}
    ) as response:
        return response.status, await response.json(content_type=None), dict(response.headers)


async def test_a_repeated_call_is_made_once(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE)
    first = await ask(stand, headers, "order-17")
    again = await ask(stand, headers, "order-17")
    quoted = await ask(stand, headers, '"order-17"')
    assert first[0] == again[0] == quoted[0] == 201
    assert first[1] == again[1] == quoted[1]
    assert again[2]["Location"] == first[2]["Location"]
    assert "Idempotency-Replayed" not in first[2]
    assert again[2]["Idempotency-Replayed"] == "true"
    assert len(stand.invited) == 1


async def test_who_asks_does_not_wait_until_the_answer_is_written(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, finish = asyncio.Event(), IdempotencyKeys.finish

    async def late(keys: IdempotencyKeys, key: str, answer: str) -> None:
        await written.wait()
        await finish(keys, key, answer)

    monkeypatch.setattr(IdempotencyKeys, "finish", late)
    headers = await stand.key(Scope.CALLS_WRITE)
    first = await ask(stand, headers, "1")
    again = asyncio.create_task(ask(stand, headers, "1"))
    other = await ask(stand, headers, "2")
    assert not again.done()
    written.set()
    assert (await again)[:2] == first[:2]
    assert other[0] == 201
    assert len(stand.invited) == 2


async def test_what_was_answered_last_is_written_when_the_node_stops(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    async def late(keys: IdempotencyKeys, key: str, answer: str) -> None:
        await asyncio.sleep(0.05)
        written.append(key)

    monkeypatch.setattr(IdempotencyKeys, "finish", late)
    async with known(start_api) as stand:
        await ask(stand, await stand.key(Scope.CALLS_WRITE), "1")
        assert not written
        await stand.api.client.close()
        assert len(written) == 1


async def test_keys_belong_to_who_uses_them(stand: Stand) -> None:
    one = await stand.key(Scope.CALLS_WRITE)
    other = await stand.key(Scope.CALLS_WRITE)
    await ask(stand, one, "1")
    await ask(stand, other, "1")
    await ask(stand, other, "2")
    assert len(stand.invited) == 3


async def test_a_key_for_something_else_is_refused(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE)
    await ask(stand, headers, "1")
    status, told, _ = await ask(stand, headers, "1", CALL | {"callee": "other"})
    assert (status, told["code"]) == (422, "idempotency_key_reused")
    assert len(stand.invited) == 1


async def test_what_was_refused_is_refused_again(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE)
    wrong = {"to": {"user": "nobody"}, "callee": "echo"}
    first, again = [await ask(stand, headers, "1", wrong) for _ in range(2)]
    assert first[:2][0] == again[0] == 404
    assert first[1]["code"] == again[1]["code"] == "unavailable"
    assert again[2]["Content-Type"].startswith("application/problem+json")


async def test_two_at_once_are_performed_once(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE)
    answers = await asyncio.gather(*(ask(stand, headers, "1") for _ in range(8)))
    assert len(stand.invited) == 1
    assert {status for status, _, _ in answers} <= {201, 409}
    assert sum(status == 201 for status, _, _ in answers) >= 1
    for status, told, sent in answers:
        if status == 409:
            assert (told["code"], sent["Retry-After"]) == ("idempotency_key_in_use", "1")


async def test_after_a_day_a_key_is_new(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE)
    await ask(stand, headers, "1")
    stand.clock.advance(24 * 3600 - 1)
    await ask(stand, headers, "1")
    assert len(stand.invited) == 1
    stand.clock.advance(2)
    await ask(stand, headers, "1")
    assert len(stand.invited) == 2


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "söme"])
async def test_what_is_no_key_is_refused(stand: Stand, key: str) -> None:
    headers = await stand.key(Scope.CALLS_WRITE)
    status, told, _ = await ask(stand, headers, key)
    assert (status, told["code"]) == (400, "bad_request")
    assert "Idempotency-Key" in told["detail"]
    assert not stand.invited


async def test_tokens_are_repeated_but_not_stored_in_the_open(stand: Stand) -> None:
    headers = await stand.key(Scope.TOKENS_MINT)
    minted = [await ask(stand, headers, "1", {"user": "alice"}, "/v1/tokens") for _ in range(2)]
    token = minted[0][1]["token"]
    assert minted[1][1]["token"] == token
    assert token not in await stored(stand)
    assert "alice" not in await stored(stand)


async def stored(stand: Stand) -> str:
    database: Database = stand.api.database
    query = text("SELECT * FROM idempotency_keys")
    return repr(await database.read(lambda connection: connection.execute(query).all()))


async def test_what_ran_when_its_node_died_is_not_performed_again(stand: Stand) -> None:
    headers, database = await stand.key(Scope.CALLS_WRITE), stand.api.database
    await ask(stand, headers, "1")
    running = text("UPDATE idempotency_keys SET state = 'running', answer = NULL")
    await database.write(lambda connection: connection.execute(running))
    assert (await ask(stand, headers, "1"))[1]["code"] == "idempotency_key_in_use"
    await IdempotencyKeys(database, "node").recover()
    status, told, _ = await ask(stand, headers, "1")
    assert (status, told["code"]) == (500, "request_interrupted")
    assert len(stand.invited) == 1

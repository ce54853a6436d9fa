"""Signed-in users over HTTP, and the end of sessions: signed out, expired, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from gateway.api.directory import NOT_TRUSTED, Farewell
from gateway.api.identity import DemoAuthenticator
from gateway.api.watch import CHECK_EVERY, IDENTITY_WATCH, IdentityWatch
from gateway.config.identity import Scope
from gateway.errors import DATABASE_FAILED, GatewayError
from gateway.events import CallEnded
from gateway.identity.values import Identity
from gateway.testing import LoopClock, virtual_time
from tests.api.conftest import Browser, StartApi
from tests.api.doubles import OFFER
from tests.api.known import Stand, bearer, known
from tests.api.steps import until
from tests.identity.makers import START


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


@pytest.fixture
async def key(stand: Stand) -> dict[str, str]:
    return await stand.key(Scope.USERS_READ, Scope.USERS_WRITE)


async def calling(stand: Stand, text: str) -> tuple[Browser, str]:
    """A browser that is in a call."""
    browser = await stand.browser(text)
    answer = await browser.request("call", "answer", to="echo", sdp=OFFER)
    return browser, answer["call"]


def watch_of(stand: Stand) -> IdentityWatch:
    assert stand.api.server.app is not None
    return stand.api.server.app[IDENTITY_WATCH]


async def test_a_project_sees_its_own_users(stand: Stand, key: dict[str, str]) -> None:
    assert await stand.ask("GET", "/v1/users", key) == (200, {"users": []})
    _, call = await calling(stand, stand.token("bob"))
    stand.clock.advance(60)
    await stand.browser(stand.token("bob"))
    await stand.browser(stand.token("alice"))
    await stand.browser(stand.token("alice", project="sales"))
    _, told = await stand.ask("GET", "/v1/users", key)
    assert [each["user"] for each in told["users"]] == ["alice", "bob"]
    status, bob = await stand.ask("GET", "/v1/users/bob", key)
    assert (status, bob) == (200, told["users"][1])
    first, second = bob["sessions"]
    assert (first["since"], first["calls"]) == ("2030-01-01T12:00:00Z", [call])
    assert (second["since"], second["calls"]) == ("2030-01-01T12:01:00Z", [])
    sales = await stand.key(Scope.USERS_READ, Scope.USERS_WRITE, project="sales")
    assert (await stand.ask("GET", "/v1/users/bob", sales))[0] == 404
    _, theirs = await stand.ask("GET", "/v1/users", sales)
    assert [each["user"] for each in theirs["users"]] == ["alice"]


async def test_signing_out_ends_one_session_and_its_calls(
    stand: Stand, key: dict[str, str]
) -> None:
    browser, call_id = await calling(stand, stand.token("bob"))
    other = await stand.browser(stand.token("bob"))
    [call] = stand.node.registry.calls.values()
    _, told = await stand.ask("GET", "/v1/users/bob", key)
    session = next(each["id"] for each in told["sessions"] if each["calls"] == [call_id])
    sales = await stand.key(Scope.USERS_WRITE, project="sales")
    path = f"/v1/users/bob/sessions/{session}"
    assert (await stand.ask("DELETE", path, sales))[0] == 404
    assert (await stand.ask("DELETE", path, await stand.key(Scope.USERS_READ)))[0] == 403
    assert (await stand.ask("DELETE", path.replace("bob", "alice"), key))[0] == 404
    assert (await stand.ask("DELETE", "/v1/users/bob/sessions/s-none", key))[0] == 404
    assert (await stand.ask("DELETE", path, key))[0] == 204
    assert await browser.closed() == 4001
    await until(lambda: call.ended)
    ended = next(
        item.event for item in stand.node.log.replay(0) if isinstance(item.event, CallEnded)
    )
    assert (ended.verdict.code, ended.hung_up_by) == ("signed_out", None)
    assert await other.request("hello", "hello")  # the other tab stays
    _, told = await stand.ask("GET", "/v1/users/bob", key)
    assert [each["calls"] for each in told["sessions"]] == [[]]


async def test_a_revoked_key_ends_what_its_tokens_opened(stand: Stand) -> None:
    mint = await stand.key(Scope.TOKENS_MINT)
    _, told = await stand.ask("POST", "/v1/tokens", mint, json={"user": "bob"})
    browser, _ = await calling(stand, told["token"])
    status, _ = await stand.whip(bearer(told["token"]), "echo")
    assert (status, len(stand.node.registry.calls)) == (201, 2)
    own = await stand.browser(stand.token("carol"))  # made by no key
    [key] = await stand.keys.all()
    await stand.keys.revoke(key.id, START)
    stand.clock.advance(5)
    await watch_of(stand).look()
    assert await browser.closed() == 4003
    await until(lambda: not stand.node.registry.calls)
    assert await own.request("hello", "hello")


async def test_an_expired_token_ends_its_session_and_no_call(stand: Stand) -> None:
    browser, call = await calling(stand, stand.token("bob"))
    assert (await browser.receive("state"))["state"] == "answered"
    idle = await stand.browser(stand.token("carol"))
    stand.clock.advance(3600)
    looking = watch_of(stand)
    await looking.look()
    assert await idle.closed() == 4003
    assert stand.node.registry.calls
    refused = await browser.request("call", "error", to="echo", sdp=OFFER)
    assert refused["code"] == "unauthorized"
    await browser.send("hangup", call=call)
    await until(lambda: not stand.node.registry.calls)
    await looking.look()
    assert await browser.closed() == 4003


async def test_a_newer_token_lets_a_session_go_on(stand: Stand) -> None:
    browser = await stand.browser(stand.token("bob"))
    hello = await browser.request("hello", "hello")
    assert hello["expires"] == "2030-01-01T13:00:00Z"
    stand.clock.advance(3599)
    newer = await browser.request("token", "token", token=stand.token("bob"))
    assert newer["expires"] == "2030-01-01T13:59:59Z"
    stand.clock.advance(3599)
    await watch_of(stand).look()
    assert (await browser.request("call", "answer", to="echo", sdp=OFFER))["call"]


@pytest.mark.parametrize(
    ("token", "code"),
    [("carol's", "forbidden"), ("of another project", "forbidden"), ("none", "unauthorized")],
)
async def test_a_session_goes_on_with_a_token_of_its_own_user_only(
    stand: Stand, token: str, code: str
) -> None:
    tokens = {
        "carol's": stand.token("carol"),
        "of another project": stand.token("bob", project="sales"),
        "none": "a.b.c",
    }
    browser = await stand.browser(stand.token("bob"))
    refused = await browser.request("token", "error", token=tokens[token])
    assert refused["code"] == code
    stand.clock.advance(3600)
    await watch_of(stand).look()
    assert await browser.closed() == 4003


class Trusting(DemoAuthenticator):
    """Trusts everybody but `distrusted`; `broken`: does not know."""

    def __init__(self) -> None:
        self.distrusted: set[str] = set()
        self.broken = False

    async def trusts(self, identity: Identity) -> bool:
        if self.broken:
            raise GatewayError(DATABASE_FAILED)
        return identity.key_id not in self.distrusted


@dataclass
class Someone:
    """Somebody who stays connected, and whose name is `identity.user`."""

    identity: Identity
    ended: list[str]
    busy: bool = False

    def leave(self, farewell: Farewell) -> None:
        assert farewell is NOT_TRUSTED
        self.ended.append(self.identity.user)


@virtual_time
async def test_everybody_is_looked_after_as_long_as_they_are_there() -> None:
    clock, trusting = LoopClock(), Trusting()
    looking = IdentityWatch(trusting, clock)
    running = asyncio.create_task(looking.run())
    ended: list[str] = []
    limited = Identity(user="a", expires=clock.now().wall + timedelta(seconds=60))
    looking.follow(Someone(limited, ended))
    looking.follow(Someone(Identity(user="b", key_id="k1"), ended, busy=True))
    leave = looking.follow(Someone(replace(limited, user="c"), ended))
    leave()
    talking = Someone(replace(limited, user="d"), ended, busy=True)
    looking.follow(talking)
    await asyncio.sleep(59)
    assert ended == []
    await asyncio.sleep(1 + CHECK_EVERY)
    assert ended == ["a"]
    talking.busy = False
    await asyncio.sleep(CHECK_EVERY)
    assert ended == ["a", "d"]
    trusting.broken = True
    trusting.distrusted.add("k1")
    await asyncio.sleep(10 * CHECK_EVERY)
    assert ended == ["a", "d"]  # the database is down: nobody is cut off because of it
    trusting.broken = False
    await asyncio.sleep(CHECK_EVERY)
    assert ended == ["a", "d", "b"]
    await asyncio.sleep(600)
    assert ended == ["a", "d", "b"]  # once
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

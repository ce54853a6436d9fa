"""Who gets in: keys and tokens at every door, and the tokens that keys mint."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from pydantic import SecretStr

from gateway.api.identity import TokenAuthenticator, authenticator_for
from gateway.api.services import ice_servers
from gateway.config.identity import Caps, Scope, TurnConfig
from gateway.config.model import NodeConfig
from gateway.events import CallCreated
from gateway.identity.tokens import BrowserTokens
from tests.api.conftest import StartApi
from tests.api.doubles import OFFER
from tests.api.known import MANY, PUBLIC, SDP, SECRET, Stand, bearer, known
from tests.identity.makers import AUDIENCE, START, Clock, octets, token


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    """A node that knows keys, its own tokens and one issuer."""
    async with known(start_api) as made:
        yield made


# ---- nobody gets in without -----------------------------------------------------------------


def _routes(stand: Stand) -> list[tuple[str, str]]:
    assert stand.api.server.app is not None
    found = []
    for route in stand.api.server.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if path in PUBLIC or path.startswith("/static/") or route.method in ("HEAD", "OPTIONS"):
            continue
        found.append((route.method, re.sub(r"{\w+}", "c-some", path)))
    return found


async def test_every_route_refuses_who_brings_nothing_or_something_wrong(stand: Stand) -> None:
    routes = _routes(stand)
    assert len(routes) >= 8
    past = stand.token()
    other = BrowserTokens("x" * 40, stand.clock).mint("alice", Caps()).text
    stand.clock.advance(3601)
    wrong = [{}, bearer("gw_" + "0" * 12 + "_" + "x" * 43), bearer(past), bearer(other)]
    wrong += [{"Authorization": f"Basic {stand.token()}"}, bearer("no token"), bearer("a.b.c")]
    wrong += [{"Authorization": "Bearer"}, bearer(""), {"Cookie": f"token={stand.token()}"}]
    wrong += [bearer(token(octets(), "HS256")), bearer(token(octets(SECRET), "HS256", iss="e"))]
    for method, path in routes:
        for headers in wrong:
            status, told = await stand.ask(method, f"{path}?token={stand.token()}", headers)
            assert (status, told["code"]) == (401, "unauthorized"), (method, path, headers)
    assert not stand.invited


async def test_what_needs_no_token_tells_nothing(stand: Stand) -> None:
    for path in PUBLIC:
        async with stand.api.client.get(path) as response:
            assert response.status == 200


async def test_a_browsers_token_opens_no_command(stand: Stand) -> None:
    opened = []
    for method, path in _routes(stand):
        if path.startswith(("/v1/signal", "/v1/webrtc")):
            continue
        status, _ = await stand.ask(method, path, bearer(stand.token()), json={})
        opened.append(status)
    assert set(opened) == {403}


async def test_a_scope_opens_its_own_routes_only(stand: Stand) -> None:
    read = await stand.key(Scope.CALLS_READ)
    mint = await stand.key(Scope.TOKENS_MINT)
    write = await stand.key(Scope.CALLS_WRITE)
    plans = await stand.key(Scope.DIALPLAN_WRITE)
    admin = await stand.key(Scope.ADMIN)
    call, new = ("POST", "/v1/calls"), {"to": {"user": "bob"}, "program": "echo"}
    for path, body, allowed, done in [
        (call[1], new, [write, admin], 404),  # bob is not signed in
        ("/v1/tokens", {"user": "bob"}, [mint, admin], 201),
        ("/v1/dialplan/reload", {}, [plans, admin], 200),
    ]:
        for headers in (read, mint, write, plans, admin):
            status, _ = await stand.ask("POST", path, headers, json=body)
            assert status == (done if headers in allowed else 403), path
    assert (await stand.whip(read, "echo"))[0] == 403
    assert (await stand.whip(write, "echo"))[0] == 201


async def test_two_credentials_are_none(stand: Stand) -> None:
    text = stand.token()
    twice = bearer(text) | {"Sec-WebSocket-Protocol": f"gateway, token.{text}"}
    assert (await stand.ask("GET", "/v1/signal", twice))[0] == 401


# ---- the WebSocket --------------------------------------------------------------------------


async def test_a_websocket_takes_a_token_beside_its_protocol(stand: Stand) -> None:
    browser = await stand.api.connect(protocols=("gateway", f"token.{stand.token()}"))
    assert browser.socket.protocol == "gateway"
    hello = await browser.request("hello", "hello")
    assert hello["user"] == "alice"
    assert stand.node.directory.is_signed_in("alice")
    error = await browser.request("hello", "error", user="bob")
    assert error["code"] == "forbidden"
    assert stand.node.directory.is_signed_in("alice")
    assert not stand.node.directory.is_signed_in("bob")


@pytest.mark.parametrize("protocols", [(), ("gateway",), ("gateway", "token."), ("token.x.y.z",)])
async def test_a_websocket_without_a_token_is_not_opened(
    stand: Stand, protocols: tuple[str, ...]
) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await stand.api.connect(protocols=protocols)
    assert refused.value.status == 401


async def test_origins_are_still_checked(stand: Stand) -> None:
    protocols = ("gateway", f"token.{stand.token()}")
    with pytest.raises(WSServerHandshakeError) as refused:
        await stand.api.connect(protocols=protocols, origin="https://evil.example")
    assert refused.value.status == 403
    await stand.api.connect(protocols=protocols, origin="https://app.example")
    headers = bearer(stand.token()) | SDP | {"Origin": "https://evil.example"}
    assert (await stand.whip(headers, "echo"))[0] == 403


async def test_turn_credentials_are_the_users_own() -> None:
    clock = Clock()
    turn = TurnConfig(urls=["turn:turn.example"], secret=SecretStr("shared"), ttl=600)
    servers = ice_servers(NodeConfig(dialplan="x.yaml", turn=turn), clock)
    tokens = BrowserTokens(SECRET, clock)
    [server] = servers(tokens.identify(tokens.mint("alice", Caps(), project="sales").text))
    expires = int((START + timedelta(seconds=600)).timestamp())
    assert server.username == f"{expires}:sales/alice"
    # openssl dgst -sha1 -hmac shared -binary | base64
    assert server.credential == "tMe35Qi8Mc/+bDZkyQWD24gYYG8="


async def test_a_session_whose_token_has_expired_makes_and_takes_no_calls(stand: Stand) -> None:
    browser = await stand.browser(stand.token())
    stand.clock.advance(3600)
    error = await browser.request("call", "error", to="echo", sdp=OFFER)
    assert error["code"] == "unauthorized"
    assert not stand.node.directory.ring("alice", "+1", "c-1")


# ---- tokens for browsers --------------------------------------------------------------------


async def test_a_key_mints_a_token_that_can_do_no_more_than_the_key(stand: Stand) -> None:
    headers = await stand.key(
        Scope.TOKENS_MINT, project="sales", destinations=["_+1212."], max_calls=2
    )
    wish = {"user": "bob", "seconds": 60, "destinations": ["2125550100", "echo"], "max_calls": 9}
    status, told = await stand.ask("POST", "/v1/tokens", headers, json=wish)
    assert status == 201
    assert (told["user"], told["expires"]) == ("bob", "2030-01-01T12:01:00Z")
    assert told["ice_servers"][0]["username"].endswith(":sales/bob")
    minted = bearer(told["token"])
    assert (await stand.whip(minted, "echo"))[0] == 403  # the key may not
    done = [await stand.whip(minted, "2125550100") for _ in range(3)]
    assert [status for status, _ in done] == [201, 201, 429]
    _, other = await stand.ask("POST", "/v1/tokens", headers, json={"user": "carol"})
    assert (await stand.whip(bearer(other["token"]), "2125550100"))[0] == 429  # the key's calls
    stand.clock.advance(60)
    assert (await stand.whip(minted, "2125550100"))[0] == 401


async def test_a_revoked_keys_tokens_are_refused(stand: Stand) -> None:
    headers = await stand.key(Scope.TOKENS_MINT)
    _, told = await stand.ask("POST", "/v1/tokens", headers, json={"user": "bob"})
    assert (await stand.whip(bearer(told["token"]), "echo"))[0] == 201
    [key] = await stand.keys.all()
    await stand.keys.revoke(key.id, START)
    stand.clock.advance(5)
    assert (await stand.whip(bearer(told["token"]), "echo"))[0] == 401


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"user": ""},
        {"user": "a/b"},
        {"user": "bob", "seconds": 86_401},
        {"user": "bob", "destinations": ["_["]},
        {"user": "bob", "countries": ["ZZ"]},
        {"user": "bob", "max_call": 1},
        {"user": "bob", "destinations": MANY, "caller_ids": MANY},
    ],
)
async def test_tokens_that_cannot_be(stand: Stand, wish: dict[str, Any]) -> None:
    headers = await stand.key(Scope.TOKENS_MINT)
    assert (await stand.ask("POST", "/v1/tokens", headers, json=wish))[0] in (400, 422)


async def test_a_server_with_a_token_of_its_issuer_commands_calls(stand: Stand) -> None:
    text = token(octets(SECRET), "HS256", scope="calls:write")
    body = {"to": {"trunk": "carrier", "number": "2125550100"}, "program": "echo"}
    assert (await stand.ask("POST", "/v1/calls", bearer(text), json=body))[0] == 201
    # The issuer's secret is here the node's own: its tokens are still not the node's.
    own = token(octets(SECRET), "HS256", iss="gateway", aud=AUDIENCE, project="default", caps={})
    assert (await stand.ask("POST", "/v1/calls", bearer(own), json=body))[0] == 401


def test_without_trust_nobody_gets_in() -> None:
    assert isinstance(authenticator_for(NodeConfig(dialplan="x.yaml")), TokenAuthenticator)


async def test_a_calls_events_tell_whose_it_is(stand: Stand) -> None:
    await stand.whip(bearer(stand.token("alice", project="sales")), "echo")
    [call] = stand.node.registry.calls.values()
    async with call.events() as events:
        created = (await anext(events)).event  # type: ignore[union-attr]
    assert isinstance(created, CallCreated)
    assert (created.project, created.caller) == ("sales", "alice")


async def test_a_key_that_may_only_read_makes_no_call_by_websocket(stand: Stand) -> None:
    for scope, reply in ((Scope.CALLS_READ, "error"), (Scope.CALLS_WRITE, "answer")):
        text = (await stand.key(scope))["Authorization"].removeprefix("Bearer ")
        browser = await stand.browser(text)
        told = await browser.request("call", reply, to="echo", sdp=OFFER)
        assert told.get("code") == ("forbidden" if reply == "error" else None)

"""Who gets in, and who may call whom: keys and tokens at every door, caps before any INVITE."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from pydantic import SecretStr

from gateway.api.calls import BrowserCalls
from gateway.api.commands import CallCommands
from gateway.api.gate import CallGate
from gateway.api.identity import Authenticator, TokenAuthenticator, Trust, authenticator_for
from gateway.api.plans import PlanEndpoint
from gateway.api.services import ice_servers
from gateway.api.tokens import TokenEndpoint
from gateway.config.identity import Caps, Issuer, Scope, TurnConfig
from gateway.config.model import NodeConfig
from gateway.errors import NORMAL
from gateway.events import CallCreated
from gateway.identity.hashing import Hashing
from gateway.identity.issuers import issuers_from
from gateway.identity.keys import KeyRing, new_key
from gateway.identity.tokens import BrowserTokens
from gateway.ports import IncomingSip, LegKind
from gateway.storage.api_keys import ApiKeys
from gateway.storage.database import IN_MEMORY, Database
from gateway.testing import FakeLeg
from tests.api.conftest import Api, Browser, StartApi
from tests.api.doubles import OFFER
from tests.api.registry import FakeBrowserLeg, Node
from tests.api.steps import until
from tests.api.test_commands import Reloads
from tests.api.test_node import NodeWebRtc
from tests.identity.makers import AUDIENCE, ISSUER, START, Clock, octets, token

SECRET = "the node's own secret, thirty-two bytes"
SDP = {"Content-Type": "application/sdp"}
PUBLIC = {"/", "/healthz", "/readyz"}

MANY = [f"{number:064}" for number in range(64)]

PLAN = """
emergency: {numbers: [911], trunk: carrier}
entry: {keys: {sales/crm: sales}}
contexts:
  browser:
    numbers: {country: US}
    rules:
      - {match: echo, echo: }
      - {match: support, dial: {trunk: carrier, number: "+12125550199"}}
      - {match: alice, dial: {user: alice}}
      - match: _+.
        dial: {trunk: carrier, number: "${callee}"}
  crm:
    numbers: {country: US}
    rules:
      - {match: echo, echo: }
      - {match: _+., dial: {trunk: carrier, number: "${callee}"}}
  sales:
    numbers: {country: US}
    rules:
      - {match: echo, echo: }
  carrier:
    - {match: wait, steps: [answer: , pause: 3600]}
"""


@dataclass
class Stand:
    """A node that knows keys, its own tokens and one issuer."""

    api: Api
    node: Node
    clock: Clock
    keys: ApiKeys
    tokens: BrowserTokens

    def token(self, user: str = "alice", project: str = "default", **caps: Any) -> str:
        return self.tokens.mint(user, Caps.model_validate(caps), project=project).text

    async def key(
        self, *scopes: Scope, name: str = "crm", project: str = "default", **caps: Any
    ) -> dict[str, str]:
        """A new key, as the header that brings it."""
        made = new_key(name, scopes, Caps.model_validate(caps), START, project=project)
        await self.keys.add(made[1])
        return bearer(made[0])

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        async with self.api.client.request(method, path, headers=headers, **more) as response:
            return response.status, await response.json(content_type=None)

    async def browser(self, text: str) -> Browser:
        browser = await self.api.connect(protocols=("gateway", f"token.{text}"))
        await browser.request("hello", "hello")
        return browser

    async def whip(self, headers: dict[str, str], to: str) -> tuple[int, str]:
        path = f"/v1/webrtc/calls?to={to.replace('+', '%2B')}"
        async with self.api.client.post(path, data=OFFER, headers=SDP | headers) as response:
            told = await response.text()
            return response.status, "" if response.status == 201 else json.loads(told)["code"]

    @property
    def invited(self) -> list[str]:
        """The numbers that trunks were asked for."""
        return [target.number for target in self.node.sip.targets]


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    node, clock = Node(PLAN), Clock()
    node.gate = CallGate(node.registry, clock)
    node.calls = BrowserCalls(node.registry, node.gate)
    webrtc = NodeWebRtc(node)
    database, hashing = Database(IN_MEMORY), Hashing()
    await database.start()
    keys, tokens = ApiKeys(database), BrowserTokens(SECRET, clock)
    issuer = Issuer.model_validate(
        {
            "name": "crm", "issuer": ISSUER, "audience": AUDIENCE, "algorithm": "HS256",
            "secret": SECRET, "scopes": ["calls:write"],
        }
    )  # fmt: skip
    issuers = issuers_from([issuer], None, None, clock)  # type: ignore[arg-type]
    authenticator: Authenticator = TokenAuthenticator(
        Trust(KeyRing(keys, clock, hashing), tokens, issuers)
    )
    turn = TurnConfig(urls=["turn:turn.example"], secret=SecretStr("shared"), ttl=600)
    config = NodeConfig(dialplan="unused.yaml", turn=turn)

    async def reload(_: str) -> Reloads:
        return Reloads()

    routes = (
        *CallCommands(node.registry, authenticator, node.gate).routes(),
        *PlanEndpoint(reload, authenticator).routes(),
        *TokenEndpoint(tokens, authenticator, ice_servers(config, clock)).routes(),
    )
    api = await start_api(
        demo=False, calls=node.calls, webrtc=webrtc, directory=node.directory, clock=clock,
        authenticator=authenticator, commands=routes, origins=["https://app.example"],
    )  # fmt: skip
    yield Stand(api, node, clock, keys, tokens)
    await node.close()
    hashing.close()
    await database.close()


# ---- nobody gets in without -----------------------------------------------------------------


def _routes(stand: Stand) -> list[tuple[str, str]]:
    assert stand.api.server.app is not None
    found = []
    for route in stand.api.server.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if path in PUBLIC or path.startswith("/static/") or route.method in ("HEAD", "OPTIONS"):
            continue
        found.append((route.method, path.replace("{call}", "c-some")))
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


# ---- destinations ---------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", ["2125550100", "+12125550100", "_+1212555010X"])
async def test_a_token_for_one_number_calls_no_other(stand: Stand, allowed: str) -> None:
    text = stand.token(destinations=[allowed])
    browser = await stand.browser(text)
    others = ["2125550200", "+12125550200", "12125550199", "support", "echo", "alice", "911"]
    others += ["+442079460000", "2125550100;x=y", "+1 212 555 0100", "2125550100@evil.example"]
    for to in others:
        error = await browser.request("call", "error", to=to, sdp=OFFER)
        assert error["code"] == "forbidden", to
        assert await stand.whip(bearer(text), to) == (403, "forbidden")
    assert not stand.invited
    assert not stand.node.media.subscribed  # no leg was made for them
    await browser.request("call", "answer", to="2125550100", sdp=OFFER)
    assert stand.invited == ["+12125550100"]


async def test_a_name_that_is_allowed_may_lead_to_a_number(stand: Stand) -> None:
    text = stand.token(destinations=["support"])
    assert (await stand.whip(bearer(text), "support"))[0] == 201
    assert (await stand.whip(bearer(text), "2125550199"))[0] == 403
    assert stand.invited == ["+12125550199"]


async def test_countries_are_those_of_the_number_that_leaves(stand: Stand) -> None:
    text = stand.token(countries=["GB"])
    for to in ("2125550100", "support", "+33142685300"):
        assert await stand.whip(bearer(text), to) == (403, "forbidden")
    assert not stand.invited
    assert (await stand.whip(bearer(text), "+442079460000"))[0] == 201
    assert stand.invited == ["+442079460000"]


async def test_a_caller_shows_only_its_own_numbers(stand: Stand) -> None:
    await stand.whip(bearer(stand.token(caller_ids=["+14155550100"])), "2125550100")
    await stand.whip(bearer(stand.token()), "2125550100")
    assert [target.caller for target in stand.node.sip.targets] == ["+14155550100", "alice"]


async def test_a_key_with_limited_destinations(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, destinations=["+12125550100", "echo"])
    good = {"trunk": "carrier", "number": "2125550100"}
    bad = {"trunk": "carrier", "number": "2125550200"}
    for to, more in [
        (bad, {"program": "echo"}),
        (good, {"callee": "2125550200"}),
        ({"user": "alice"}, {"callee": "2125550100"}),
    ]:
        status, _ = await stand.ask("POST", "/v1/calls", headers, json={"to": to, **more})
        assert status == 403
    assert not stand.invited
    body = {"to": good, "callee": "echo"}
    status, told = await stand.ask("POST", "/v1/calls", headers, json=body)
    assert status == 201
    [phone] = stand.node.sip.legs
    phone.answers()
    call = stand.node.registry.get(told["id"])
    await until(lambda: call.state == "program")
    path = f"/v1/calls/{told['id']}/verbs"
    for verb in ({"dial": bad}, {"goto": {"context": "crm", "callee": "2125550200"}}):
        status, _ = await stand.ask("POST", path, headers, json=verb)
        assert status in (200, 403)  # a goto is done; what it leads to is refused
    assert stand.invited == ["+12125550100"]


async def test_a_limited_key_makes_no_foreign_call_dial(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, destinations=["echo"])
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    call = stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", "wait"))
    assert call is not None
    await until(lambda: leg.port)
    path = f"/v1/calls/{call.id}/verbs"
    for verb in (
        {"dial": {"user": "x"}},
        {"goto": {"context": "browser"}},
        {"http": "https://a.example"},
    ):
        assert (await stand.ask("POST", path, headers, json=verb))[0] == 403
    status, _ = await stand.ask("POST", path, headers, json={"send_dtmf": {"digits": "5"}})
    assert status == 200


# ---- projects -------------------------------------------------------------------------------


async def test_a_key_sees_no_other_projects_calls_or_users(stand: Stand) -> None:
    sales = await stand.key(Scope.ADMIN, project="sales")
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    call = stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", "wait"))
    assert call is not None
    await until(lambda: leg.port)
    path = f"/v1/calls/{call.id}/verbs"
    assert (await stand.ask("POST", path, sales, json={"hangup": {}}))[0] == 404
    assert (await stand.ask("POST", path, await stand.key(Scope.ADMIN), json={"pause": 0.01}))[
        0
    ] == 200

    await stand.browser(stand.token("alice"))
    for user, status in (("alice", 404), ("default/alice", 403), ("sales/alice", 403)):
        body = {"to": {"user": user}, "callee": "echo"}
        assert (await stand.ask("POST", "/v1/calls", sales, json=body))[0] == status
    theirs = await stand.browser(stand.token("alice", project="sales"))
    status, told = await stand.ask(
        "POST", "/v1/calls", sales, json={"to": {"user": "alice"}, "callee": "echo"}
    )
    assert status == 201
    assert (await theirs.receive("call"))["call"] == told["id"]
    own = stand.node.registry.get(told["id"])
    assert (own.project, own.context) == ("sales", "sales")


async def test_calls_of_different_projects_are_not_joined(stand: Stand) -> None:
    sales = await stand.key(Scope.ADMIN, project="sales")
    tab = FakeBrowserLeg(stand.node.media)
    stand.node.directory.ring = lambda user, caller, call_id: [tab]  # type: ignore[method-assign]
    body = {"to": {"user": "alice"}, "callee": "echo"}
    _, told = await stand.ask("POST", "/v1/calls", sales, json=body)
    tab.media(early=True)
    tab.answers()
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    other = stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", "555", "wait"))
    assert other is not None
    await until(lambda: leg.port)
    await until(lambda: stand.node.registry.get(told["id"]).state == "program")
    path = f"/v1/calls/{told['id']}/verbs"
    status, problem = await stand.ask("POST", path, sales, json={"bridge": {"call": other.id}})
    assert (status, problem["code"]) == (404, "not_found")


async def test_who_made_a_call_by_http_ends_it(stand: Stand) -> None:
    path = "/v1/webrtc/calls?to=echo"
    headers = SDP | bearer(stand.token("alice"))
    async with stand.api.client.post(path, data=OFFER, headers=headers) as response:
        where = response.headers["Location"]
    for text in (stand.token("bob"), stand.token("alice", project="sales")):
        assert (await stand.ask("DELETE", where, bearer(text)))[0] == 404
    async with stand.api.client.delete(where, headers=bearer(stand.token("alice"))) as response:
        assert response.status == 200


# ---- caps -----------------------------------------------------------------------------------


async def test_calls_at_the_same_time_do_not_slip_through(stand: Stand) -> None:
    text = stand.token(max_calls=2)
    done = await asyncio.gather(*(stand.whip(bearer(text), "2125550100") for _ in range(12)))
    assert sorted(status for status, _ in done) == [201, 201] + [429] * 10
    assert {code for status, code in done if status == 429} == {"caller_busy"}
    assert len(stand.invited) == 2
    browser = await stand.browser(stand.token(max_calls=2))  # another token of the same user
    assert (await browser.request("call", "error", to="echo", sdp=OFFER))["code"] == "caller_busy"
    stand.node.sip.legs[0].ends(NORMAL)
    await until(lambda: len(stand.node.registry.calls) == 1)
    await browser.request("call", "answer", to="echo", sdp=OFFER)


async def test_keys_have_caps_too_and_what_is_refused_gives_its_place_back(stand: Stand) -> None:
    headers = await stand.key(Scope.CALLS_WRITE, max_calls=1)
    refused = {"to": {"user": "nobody"}, "program": "echo"}
    for _ in range(3):
        assert (await stand.ask("POST", "/v1/calls", headers, json=refused))[0] == 404
    body = {"to": {"trunk": "carrier", "number": "2125550100"}, "program": "echo"}
    asked = (stand.ask("POST", "/v1/calls", headers, json=body) for _ in range(5))
    done = await asyncio.gather(*asked)
    assert sorted(status for status, _ in done) == [201, 429, 429, 429, 429]
    assert len(stand.invited) == 1
    assert await stand.whip(bearer(stand.token()), "nowhere") == (404, "not_found")


async def test_calls_per_second(stand: Stand) -> None:
    headers = bearer(stand.token(calls_per_second=2))
    codes = [(await stand.whip(headers, "echo"))[1] for _ in range(4)]
    assert codes == ["", "", "calling_too_fast", "calling_too_fast"]


async def test_help_is_called_whatever_the_caps_say(stand: Stand) -> None:
    headers = bearer(stand.token(max_calls=0, minutes_per_day=0, countries=["GB"]))
    assert (await stand.whip(headers, "2125550100"))[0] == 429
    assert (await stand.whip(headers, "911"))[0] == 201
    assert stand.invited == ["911"]


# ---- tokens for browsers --------------------------------------------------------------------


async def test_a_key_mints_a_token_that_can_do_no_more_than_the_key(stand: Stand) -> None:
    headers = await stand.key(
        Scope.TOKENS_MINT, project="sales", destinations=["_+1212."], max_calls=2
    )
    wish = {"user": "bob", "seconds": 60, "destinations": ["2125550100", "echo"], "max_calls": 9}
    status, told = await stand.ask("POST", "/v1/tokens", headers, json=wish)
    assert status == 201
    assert (told["user"], told["expires"]) == ("bob", "2030-01-01T12:01:00+00:00")
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
    assert (await stand.ask("POST", "/v1/tokens", headers, json=wish))[0] == 400


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

"""Other issuers: which identity their tokens give, and keys that are published at a URL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.identity import Issuer, Scope
from gateway.errors import FETCH_FAILED, GatewayError
from gateway.identity.issuers import TrustedIssuer, issuers_from
from gateway.web.values import Fetched, Validators
from tests.identity.makers import (
    AUDIENCE,
    ISSUER,
    SECRET,
    START,
    Clock,
    ec,
    octets,
    public_set,
    rsa,
    token,
)

URL = "https://login.example/keys"


class Server:
    """Publishes keys."""

    def __init__(self, *keys: Any) -> None:
        self.keys = keys
        self.fresh = 0.0
        self.asked = 0
        self.down = False
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, url: str, *, max_bytes: int, accept: str) -> Fetched:
        assert url == URL
        self.asked += 1
        self.reached.set()
        await self.gate.wait()
        if self.down:
            raise GatewayError(FETCH_FAILED)
        body = json.dumps(public_set(*self.keys)).encode()
        return Fetched(
            body, "application/json", Validators(url, None, None), fresh_seconds=self.fresh
        )


def made(
    server: Server | None = None, clock: Clock | None = None, folder: Path = Path(), **changed: Any
) -> TrustedIssuer:
    """An issuer as a configuration has it."""
    settings = {
        "name": "login", "issuer": ISSUER, "audience": AUDIENCE, "algorithm": "HS256",
        "secret": SECRET, "scopes": ["calls:write"],
    }  # fmt: skip
    settings = {name: value for name, value in (settings | changed).items() if value is not None}
    config = Issuer.model_validate(settings)
    found = issuers_from([config], folder, server or Server(), clock or Clock())
    return found[ISSUER]


async def refused(issuer: TrustedIssuer, text: str) -> str:
    with pytest.raises(GatewayError) as error:
        await issuer.identify(text)
    assert error.value.verdict.http_status == 401
    return error.value.verdict.text


async def test_a_token_says_who_and_how_much() -> None:
    caps = {"destinations": ["_+1212."], "max_calls": 2}
    text = token(octets(), "HS256", scope="calls:write admin openid", gateway=caps)
    identity = await made(project="sales", caps={"max_calls": 1}).identify(text)
    assert (identity.user, identity.key, identity.project) == ("alice", "login", "sales")
    assert identity.address == "sales/alice"
    assert identity.scopes == {Scope.CALLS_WRITE}  # more than the configuration gives nobody gets
    assert [grant.caps.max_calls for grant in identity.grants] == [2, 1]
    assert identity.restricted
    assert identity.expires is not None
    assert (identity.expires - START).total_seconds() == 600


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
        {"gateway": {"max_call": 1}},
        {"gateway": {"destinations": ["_["]}},
        {"gateway": {"countries": ["XX"]}},
        {"gateway": "all"},
        {"exp": 10**300},
    ],
)
async def test_what_means_nothing_is_refused_rather_than_left_out(changed: dict[str, Any]) -> None:
    await refused(made(), token(octets(), "HS256", **changed))


async def test_a_subject_that_cannot_be_a_name_is_nobody_to_call() -> None:
    identity = await made().identify(token(octets(), "HS256", sub="auth0|12", scope=["admin"]))
    assert (identity.user, identity.scopes) == ("", frozenset())
    named = token(octets(), "HS256", sub="auth0|12", nickname="bob")
    assert (await made(user_claim="nickname").identify(named)).user == "bob"


async def test_keys_in_files(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(rsa().as_pem(private=False))
    (tmp_path / "keys.json").write_text(json.dumps(public_set(ec(), ec("two"))))
    one = made(folder=tmp_path, algorithm="RS256", secret=None, keys="key.pem")
    assert (await one.identify(token(rsa(), "RS256"))).user == "alice"
    two = made(folder=tmp_path, algorithm="ES256", secret=None, keys="keys.json")
    assert (await two.identify(token(ec("two"), "ES256", {"kid": "two"}))).user == "alice"
    await refused(two, token(ec("three"), "ES256", {"kid": "three"}))
    for name in ("none.pem", "keys.json"):
        with pytest.raises(GatewayError, match=r"identity\.issuers: login"):
            made(folder=tmp_path, algorithm="RS256", secret=None, keys=name)


async def test_published_keys_are_fetched_once_for_all_who_ask() -> None:
    server = Server(rsa())
    issuer = made(server, algorithm="RS256", secret=None, jwks=URL)
    server.gate.clear()
    text = token(rsa(), "RS256", {"kid": "one"})
    waiting = [asyncio.create_task(issuer.identify(text)) for _ in range(5)]
    await server.reached.wait()
    server.gate.set()
    assert {identity.user for identity in await asyncio.gather(*waiting)} == {"alice"}
    assert server.asked == 1


async def test_a_new_key_is_learnt_at_most_once_a_minute() -> None:
    server, clock = Server(rsa()), Clock()
    issuer = made(server, clock, algorithm="RS256", secret=None, jwks=URL)
    await issuer.identify(token(rsa(), "RS256", {"kid": "one"}))
    server.keys = (rsa(), rsa("two"))
    rotated = token(rsa("two"), "RS256", {"kid": "two"})
    await refused(issuer, rotated)  # asked less than a minute ago
    clock.advance(61)
    assert (await issuer.identify(rotated)).user == "alice"
    assert server.asked == 2
    for number in range(50):  # anybody can name keys that nobody has
        await refused(issuer, token(rsa("evil"), "RS256", {"kid": f"k{number}"}))
    assert server.asked == 2
    clock.advance(61)
    await refused(issuer, token(rsa("evil"), "RS256", {"kid": "k"}))
    assert server.asked == 3


async def test_a_key_that_is_withdrawn_is_forgotten_when_it_is_no_longer_fresh() -> None:
    server, clock = Server(rsa(), rsa("two")), Clock()
    server.fresh = 400.0
    issuer = made(server, clock, algorithm="RS256", secret=None, jwks=URL)
    first = {"exp": int(START.timestamp()) + 9000}
    text = token(rsa(), "RS256", {"kid": "one"}, **first)
    await issuer.identify(text)
    server.keys = (rsa("two"),)
    clock.advance(399)
    await issuer.identify(text)
    clock.advance(2)
    await refused(issuer, text)


async def test_a_server_that_is_down_locks_nobody_out() -> None:
    server, clock = Server(rsa()), Clock()
    server.down = True
    issuer = made(server, clock, algorithm="RS256", secret=None, jwks=URL)
    text = token(rsa(), "RS256", {"kid": "one"}, exp=int(START.timestamp()) + 9000)
    for _ in range(3):
        with pytest.raises(GatewayError) as error:
            await issuer.identify(text)
        assert error.value.verdict.code == "fetch_failed"
    assert server.asked == 1
    clock.advance(61)
    server.down = False
    await issuer.identify(text)
    clock.advance(1000)
    server.down = True
    assert (await issuer.identify(text)).user == "alice"
    assert server.asked == 3


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"secret": "short"}, "openssl"),
        ({"secret": None}, "HS256 needs one source"),
        ({"jwks": URL}, "HS256 needs one source"),
        ({"algorithm": "RS256"}, "RS256 needs one source"),
        ({"algorithm": "none"}, "algorithm"),
        ({"algorithm": "RS256", "secret": None, "jwks": "http://login.example"}, "pattern"),
        ({"issuer": "gateway"}, "own issuer"),
    ],
)
def test_issuers_that_a_configuration_cannot_have(changed: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        made(**changed)

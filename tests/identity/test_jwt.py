"""Tokens: what is believed, and every way of forging one that we know of."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk
from joserfc import jwt as jose

from gateway.errors import BAD_REQUEST, GatewayError
from gateway.identity.jwt import (
    MAX_TOKEN,
    Expected,
    UnknownKeyError,
    keys_from,
    secret_key,
    unverified_issuer,
    verified,
)
from tests.identity.makers import (
    AUDIENCE,
    ISSUER,
    SECRET,
    START,
    claims,
    ec,
    octets,
    part,
    public_set,
    rsa,
    token,
)

EXPECTED = Expected(ISSUER, AUDIENCE, leeway=30)
HS = secret_key(SECRET)
PEM = rsa().as_pem(private=False).decode()
RS = keys_from(PEM, "RS256")
ES = keys_from(json.dumps(public_set(ec())), "ES256")


def refused(text: str, keys: Any = HS, expected: Expected = EXPECTED) -> None:
    with pytest.raises(GatewayError) as error:
        verified(text, keys, expected, START)
    assert error.value.verdict.http_status == 401


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (HS, token(octets(), "HS256")),
        (RS, token(rsa(), "RS256")),
        (RS, token(rsa(), "RS256", {"kid": "whatever"})),  # a single PEM key has no name
        (ES, token(ec(), "ES256", {"kid": "one"})),
    ],
)
def test_good_tokens_are_believed(keys: Any, text: str) -> None:
    assert verified(text, keys, EXPECTED, START)["sub"] == "alice"
    assert unverified_issuer(text) == ISSUER


def _hmac_with(secret: bytes, header: dict[str, Any]) -> str:
    """Made by hand: no library would sign with such a key."""
    signed = f"{part(header)}.{part(claims())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("keys", [RS, ES, HS])
def test_the_public_key_is_no_secret(keys: Any) -> None:
    """RS256 taken for HS256 (RFC 8725 2.1): the public key, which everybody has, as the secret."""
    der = rsa().as_der(private=False)
    forms = [PEM.encode(), PEM.strip().encode(), der, base64.b64encode(der)]
    forms.append(json.dumps(rsa().as_dict(private=False)).encode())
    for secret in forms:
        for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": "one"}, {"alg": "RS256"}):
            refused(_hmac_with(secret, header), keys)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS384", "PS256", None])
def test_the_algorithm_is_not_the_tokens_choice(algorithm: str | None) -> None:
    header = {"alg": algorithm} if algorithm is not None else {"typ": "JWT"}
    for keys in (HS, RS, ES):
        refused(f"{part(header)}.{part(claims())}.", keys)
        refused(_hmac_with(SECRET.encode(), header), keys)


@pytest.mark.parametrize(
    ("key", "algorithm", "keys"),
    [(octets(), "HS512", HS), (rsa(), "PS256", RS), (rsa(), "RS512", RS)],
)
def test_another_algorithm_with_the_right_key_is_refused(
    key: Any, algorithm: str, keys: Any
) -> None:
    refused(jose.encode({"alg": algorithm}, claims(), key, algorithms=[algorithm]), keys)


def test_a_key_in_the_token_is_not_used() -> None:
    own = jwk.RSAKey.generate_key(2048)
    for header in (
        {"jwk": own.as_dict(private=False)},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"crit": ["exp"], "exp": 1},
    ):
        text = f"{part({'alg': 'RS256', **header})}.{part(claims())}"
        refused(f"{text}.{part(b'x' * 256)}", RS)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(START.timestamp()) - 31},
        {"exp": None},
        {"exp": "2099-01-01"},
        {"exp": True},
        {"nbf": int(START.timestamp()) + 31},
        {"nbf": "later"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"aud": [["phones"]]},
    ],
)
def test_what_a_token_must_say(changed: dict[str, Any]) -> None:
    refused(token(octets(), "HS256", **changed))


def test_leeway_is_for_clocks_that_differ() -> None:
    now = int(START.timestamp())
    for changed in ({"exp": now - 29}, {"nbf": now + 29}, {"aud": ["other", AUDIENCE]}):
        assert verified(token(octets(), "HS256", **changed), HS, EXPECTED, START)
    text = token(octets(), "HS256", exp=now + 5)
    strict = Expected(ISSUER, AUDIENCE)
    assert verified(text, HS, strict, START)
    with pytest.raises(GatewayError):
        verified(text, HS, strict, START + timedelta(seconds=5))


def test_infinite_and_huge_times_end_no_token_late() -> None:
    for text in ("Infinity", "NaN", "1e999"):
        body = json.dumps(claims()).encode().replace(str(claims()["exp"]).encode(), text.encode())
        signed = f"{part({'alg': 'HS256'})}.{part(body)}"
        refused(f"{signed}.{part(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}")


def test_another_key_does_not_sign() -> None:
    refused(token(octets("x" * 40), "HS256"))
    refused(token(rsa("other"), "RS256"), RS)
    with pytest.raises(UnknownKeyError):
        verified(token(ec("other"), "ES256", {"kid": "other"}), ES, EXPECTED, START)
    refused(token(ec("other"), "ES256", {"kid": "one"}), ES)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nothing_of_a_token_can_be_changed(data: st.DataObject) -> None:
    key: Any
    key, keys, algorithm = data.draw(
        st.sampled_from([(octets(), HS, "HS256"), (rsa(), RS, "RS256"), (ec(), ES, "ES256")])
    )
    header = {"kid": "one"} if algorithm == "ES256" else {}
    good = token(key, algorithm, header)
    at = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.="))
    bad = data.draw(
        st.sampled_from([good[:at] + letter + good[at + 1 :], good[:at], good + letter])
    )
    try:
        found = verified(bad, keys, EXPECTED, START)
    except (GatewayError, UnknownKeyError):
        return
    # Only bits that base64 does not use may differ.
    assert [_decoded(one) for one in bad.split(".")] == [_decoded(one) for one in good.split(".")]
    assert found == claims()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip", "enc", "cty"]), _JSON
)


@settings(max_examples=100, deadline=None)
@given(_HEADERS, _JSON | st.binary(max_size=40), st.binary(max_size=64), st.integers(0, 4))
def test_garbage_is_refused_in_one_way(
    header: dict[str, Any], body: Any, signature: bytes, parts: int
) -> None:
    for keys in (HS, RS, ES):
        for head in (header, header | {"alg": keys.algorithm}):
            text = ".".join([part(head), part(body), part(signature), ""][:parts])
            with pytest.raises((GatewayError, UnknownKeyError)):
                verified(text, keys, EXPECTED, START)
    if not (isinstance(body, dict) and isinstance(body.get("iss"), str)):
        with pytest.raises(GatewayError):
            unverified_issuer(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    refused(text)
    with pytest.raises(GatewayError):
        unverified_issuer(text)


def test_deep_and_endless_tokens_are_refused() -> None:
    deep = part(b"[" * 4000)
    for text in (f"{part({'alg': 'HS256'})}.{deep}.AA", f"{deep}.{deep[:900]}.AA"):
        refused(text)
        with pytest.raises(GatewayError):
            unverified_issuer(text)
    refused("a" * (MAX_TOKEN + 1))


def _short_rsa() -> str:
    key = generate_private_key(65537, 1024).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("", "RS256"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "RS256"),
        (PEM, "ES256"),
        (ec(curve="P-384").as_pem(private=False).decode(), "ES256"),
        (_short_rsa(), "RS256"),
        ("{}", "RS256"),
        ('{"keys": 1}', "RS256"),
        ('{"keys": []}', "RS256"),
        (json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}, 7, {"kty": "RSA"}]}), "RS256"),
        (json.dumps(public_set(ec())), "RS256"),
        (json.dumps({"keys": [{**rsa().as_dict(private=False), "use": "enc"}]}), "RS256"),
        (json.dumps({"keys": [{**rsa().as_dict(private=False), "alg": "RS512"}]}), "RS256"),
    ],
)
def test_what_is_no_key_for_the_algorithm(text: str, algorithm: Any) -> None:
    with pytest.raises(GatewayError) as error:
        keys_from(text, algorithm)
    assert error.value.verdict.code == BAD_REQUEST.code

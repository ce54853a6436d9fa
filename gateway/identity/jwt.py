"""Owns JSON Web Tokens (RFC 7519) as joserfc reads and writes them. The algorithm is never the
token's choice: whoever checks one names the algorithm and a key of its kind (RFC 8725 3.1)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from joserfc import jwk, jws
from joserfc import jwt as jose
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning

from gateway.errors import BAD_REQUEST, GatewayError
from gateway.identity.values import UNAUTHORIZED

Algorithm = Literal["HS256", "RS256", "ES256"]
MAX_TOKEN = 7 * 1024
"""Bytes: a token is one header field, and those end at 8 KiB."""
MAX_KEYS = 64
MIN_RSA_BITS = 2048  # RFC 7518 3.3

_KINDS: Mapping[Algorithm, str] = {"HS256": "oct", "RS256": "RSA", "ES256": "EC"}
_BROKEN = (JoseError, ValueError, TypeError, RecursionError, SecurityWarning)
"""What joserfc and its parsers say of text that is no token."""


class UnknownKeyError(Exception):
    """The token names a key that is not among those known."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one issuer, all of one kind. A single one without a name signs everything."""

    algorithm: Algorithm
    key: jwk.Key | jwk.KeySet


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. `leeway` in seconds."""

    issuer: str
    audience: str
    leeway: int = 0


def secret_key(secret: str) -> Keys:
    """The key of HS256."""
    return Keys("HS256", jwk.OctKey.import_key(secret.encode()))


def keys_from(text: str, algorithm: Algorithm) -> Keys:
    """Public keys in PEM (one), or a JWK set (RFC 7517 5), of which other kinds are left out.

    Raises GatewayError(BAD_REQUEST): there is none for this algorithm.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # a weak key is none
            if text.lstrip().startswith("{"):
                return _key_set(json.loads(text), algorithm)
            kind = jwk.RSAKey if algorithm == "RS256" else jwk.ECKey
            key = kind.import_key(text)
    except _BROKEN as error:
        raise GatewayError(BAD_REQUEST, f"no public key for {algorithm}") from error
    if not _fits(key, algorithm):
        raise GatewayError(BAD_REQUEST, f"no public key for {algorithm}")
    return Keys(algorithm, key)


def unverified_issuer(token: str) -> str:
    """Who a token says that it is from. Nothing else of it may be believed yet.

    Raises GatewayError(UNAUTHORIZED).
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        raise GatewayError(UNAUTHORIZED)
    try:
        payload = json.loads(jws.extract_compact(token.encode()).payload or b"")
    except _BROKEN:
        raise GatewayError(UNAUTHORIZED) from None
    issuer = payload.get("iss") if isinstance(payload, dict) else None
    if not isinstance(issuer, str):
        raise GatewayError(UNAUTHORIZED)
    return issuer


def verified(token: str, keys: Keys, expected: Expected, now: datetime) -> Mapping[str, Any]:
    """The claims of a token whose signature, issuer, audience and times are right.

    Raises GatewayError(UNAUTHORIZED); UnknownKeyError for a `kid` that `keys` do not have.
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        raise GatewayError(UNAUTHORIZED)
    checks = jose.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=expected.leeway,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.audience},
        exp={"essential": True},
    )
    try:
        found = jose.decode(token, keys.key, algorithms=[keys.algorithm])
        checks.validate(found.claims)
    except InvalidKeyIdError:
        raise UnknownKeyError from None
    except _BROKEN:
        raise GatewayError(UNAUTHORIZED) from None
    return found.claims


def signed(claims: Mapping[str, Any], keys: Keys) -> str:
    """A token with these claims."""
    return jose.encode({"alg": keys.algorithm}, dict(claims), keys.key)


def _key_set(document: object, algorithm: Algorithm) -> Keys:
    found = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise ValueError("no JWK set")
    fitting = list(_fitting(found[:MAX_KEYS], algorithm))
    if not fitting:
        raise ValueError("no key of this kind")
    return Keys(algorithm, jwk.KeySet(fitting))


def _fitting(found: Iterable[object], algorithm: Algorithm) -> Iterable[jwk.Key]:
    """The keys that may check signatures of this algorithm (RFC 7517 4.2, 4.4)."""
    for item in found:
        if not isinstance(item, dict) or item.get("kty") != _KINDS[algorithm]:
            continue
        if item.get("use", "sig") != "sig" or item.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwk.import_key(item)
        except _BROKEN:
            continue
        if _fits(key, algorithm):
            yield key


def _fits(key: jwk.Key, algorithm: Algorithm) -> bool:
    if isinstance(key, jwk.RSAKey):
        return algorithm == "RS256" and key.public_key.key_size >= MIN_RSA_BITS
    return isinstance(key, jwk.ECKey) and algorithm == "ES256" and key.curve_name == "P-256"

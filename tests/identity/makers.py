"""Tokens and keys for tests, made with the library directly, good and bad."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from joserfc import jwk
from joserfc import jwt as jose

from gateway.clock import Instant

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECRET = "an issuer's secret of thirty-two bytes or more"
ISSUER, AUDIENCE = "https://login.example", "phones"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Instant:
        """The present moment."""
        return Instant(1000.0 + self.seconds, START + timedelta(seconds=self.seconds))

    def advance(self, seconds: float) -> None:
        """Moves on."""
        self.seconds += seconds


@cache
def rsa(name: str = "one") -> jwk.RSAKey:
    """A key pair, the same for the same name."""
    return jwk.RSAKey.generate_key(2048, {"kid": name})


@cache
def ec(name: str = "one", curve: str = "P-256") -> jwk.ECKey:
    """A key pair, the same for the same name."""
    return jwk.ECKey.generate_key(curve, {"kid": name})


def octets(secret: str = SECRET) -> jwk.OctKey:
    """The key of a secret."""
    return jwk.OctKey.import_key(secret.encode())


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a good token; None leaves one out."""
    now = int(START.timestamp())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
    return {name: value for name, value in (good | changed).items() if value is not None}


def token(
    key: jwk.Key, algorithm: str, header: dict[str, Any] | None = None, **changed: Any
) -> str:
    """A token signed with `key`."""
    return jose.encode({"alg": algorithm, **(header or {})}, claims(**changed), key)


def part(value: object) -> str:
    """One part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def public_set(*keys: jwk.Key) -> dict[str, Any]:
    """The JWK set that an issuer publishes."""
    return {"keys": [key.as_dict(private=False) for key in keys]}

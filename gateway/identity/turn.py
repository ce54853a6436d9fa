"""Owns TURN credentials in coturn's shared-secret scheme (draft-uberti-behave-turn-rest-00 2.2)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.config.identity import TurnConfig


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """What a browser gives to the TURN server. `username` says until when it is good."""

    urls: Sequence[str]
    username: str
    credential: str = field(repr=False)


def turn_credentials(config: TurnConfig, user: str, now: datetime) -> TurnCredentials:
    """Credentials for `user` ("": nobody in particular)."""
    username = f"{int(now.timestamp()) + config.ttl}:{user or 'anonymous'}"
    # SHA-1 is the scheme's; as a MAC it is not broken (RFC 6151 is about MD5, RFC 8489 keeps it).
    digest = hmac.digest(config.secret.get_secret_value().encode(), username.encode(), "sha1")
    return TurnCredentials(tuple(config.urls), username, base64.b64encode(digest).decode())

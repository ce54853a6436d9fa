"""Owns browser tokens: short-lived, signed by the node itself, bound to a user and its caps."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from gateway.clock import Clock
from gateway.config.identity import (
    MAX_TOKEN_SECONDS,
    OWN_ISSUER,
    TOKEN_SECONDS,
    Caps,
    IdentityConfig,
)
from gateway.errors import BAD_REQUEST, GatewayError
from gateway.identity.issuers import USER, expiry
from gateway.identity.jwt import (
    MAX_TOKEN,
    Expected,
    UnknownKeyError,
    secret_key,
    signed,
    verified,
)
from gateway.identity.values import UNAUTHORIZED, Grant, Identity
from gateway.ids import DEFAULT_PROJECT

AUDIENCE = "gateway browser"
NO_SECRET = (
    "identity.secret is missing, which signs browser tokens: write `secret: ${ENV:NAME}` below "
    "`identity:`, and put what `openssl rand -base64 48` prints into that variable"
)
_EXPECTED = Expected(OWN_ISSUER, AUDIENCE)


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A new token."""

    text: str = field(repr=False)
    user: str
    expires: datetime


class BrowserTokens:
    """Mints and reads tokens."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._keys = secret_key(secret)
        self._clock = clock

    @classmethod
    def from_config(cls, config: IdentityConfig, clock: Clock) -> BrowserTokens | None:
        """None: the configuration has no secret."""
        if config.secret is None:
            return None
        return cls(config.secret.get_secret_value(), clock)

    def mint(
        self,
        user: str,
        caps: Caps,
        *,
        seconds: int = TOKEN_SECONDS,
        project: str = DEFAULT_PROJECT,
        minter: Identity | None = None,
    ) -> MintedToken:
        """A token for `user`. What its `minter` may not do, it may not either.

        Raises GatewayError(BAD_REQUEST).
        """
        if not USER.fullmatch(user):
            raise GatewayError(BAD_REQUEST, "a user is 1 to 64 letters, digits, . _ + and -")
        if not 1 <= seconds <= MAX_TOKEN_SECONDS:
            raise GatewayError(BAD_REQUEST, f"a token is good for 1 to {MAX_TOKEN_SECONDS} seconds")
        Grant.of("", caps)
        now = self._clock.now().wall
        expires = now + timedelta(seconds=seconds)
        if minter is not None and minter.expires is not None:
            expires = min(expires, minter.expires)
        claims = {
            "iss": OWN_ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "project": project,
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": secrets.token_urlsafe(9),
            "caps": _written(caps),
        }
        if minter is not None:
            claims["minter"] = {
                "key": minter.key_id,
                "grants": [[grant.account, _written(grant.caps)] for grant in minter.grants],
            }
        text = signed(claims, self._keys)
        if len(text) > MAX_TOKEN:
            raise GatewayError(BAD_REQUEST, "too many destinations for one token")
        return MintedToken(text, user, expires)

    def identify(self, token: str) -> Identity:
        """The identity of who has this token. Raises GatewayError(UNAUTHORIZED).

        `key_id` is the key that minted it: whether that is still good is for the caller to ask.
        """
        try:
            claims = verified(token, self._keys, _EXPECTED, self._clock.now().wall)
            user, project = str(claims["sub"]), str(claims["project"])
            minter = claims.get("minter", {"key": "", "grants": []})
            account = f"user:{project}/{user}"
            grants = [_grant(account, claims["caps"])]
            grants += [_grant(name, caps) for name, caps in minter["grants"]]
        except UnknownKeyError:
            raise GatewayError(UNAUTHORIZED) from None
        except (KeyError, ValueError, TypeError, ValidationError):
            # Signed by us, but by another version.
            raise GatewayError(UNAUTHORIZED, "The token is of another version") from None
        return Identity(
            user=user,
            project=project,
            grants=tuple(grants),
            expires=expiry(claims),
            key_id=str(minter["key"]),
        )


def _written(caps: Caps) -> Mapping[str, Any]:
    return caps.model_dump(mode="json", exclude_none=True)


def _grant(account: str, caps: Any) -> Grant:
    return Grant.of(account, Caps.model_validate(caps))

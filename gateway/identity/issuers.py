"""Owns the tokens of other issuers: whose keys check them, and which identity they give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from gateway.clock import Clock
from gateway.config.identity import Caps, Issuer, Scope
from gateway.errors import BAD_REQUEST, GatewayError
from gateway.identity.jwks import Fetches, PublishedKeys
from gateway.identity.jwt import Expected, Keys, UnknownKeyError, keys_from, secret_key, verified
from gateway.identity.values import UNAUTHORIZED, Grant, Identity

CLAIM = "gateway"
"""The claim in which a token says its caps (gateway.config.identity.Caps)."""
MAX_SUBJECT = 256
USER = re.compile(r"[A-Za-z0-9._+-]{1,64}")
"""Names that a user may have (see gateway.api.messages.UserName)."""


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    async def get(self, now: float, than: Keys | None = None) -> Keys:
        """See PublishedKeys.get."""
        ...


class FixedKeys:
    """Keys that are known from the start."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def get(self, now: float, than: Keys | None = None) -> Keys:
        """See KeySource."""
        return self._keys


class TrustedIssuer:
    """One issuer. Belongs to the asyncio thread."""

    def __init__(self, config: Issuer, keys: KeySource, clock: Clock) -> None:
        """Raises GatewayError(BAD_REQUEST): its caps mean nothing."""
        self.config = config
        self._keys = keys
        self._clock = clock
        self._expected = Expected(config.issuer, config.audience, config.leeway)
        Grant.of("", config.caps)

    async def identify(self, token: str) -> Identity:
        """The identity of who has this token of the issuer.

        Raises GatewayError: UNAUTHORIZED; FETCH_FAILED (its keys cannot be had).
        """
        now = self._clock.now()
        keys = await self._keys.get(now.monotonic)
        try:
            claims = verified(token, keys, self._expected, now.wall)
        except UnknownKeyError:
            newer = await self._keys.get(now.monotonic, than=keys)
            try:
                claims = verified(token, newer, self._expected, now.wall)
            except UnknownKeyError:
                raise GatewayError(UNAUTHORIZED) from None
        return self._identity(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        issuer = self.config
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise GatewayError(UNAUTHORIZED, "The token has no subject (sub)")
        name = claims.get(issuer.user_claim)
        user = name if isinstance(name, str) and USER.fullmatch(name) else ""
        try:
            caps = Caps.model_validate(claims.get(CLAIM, {}))
        except ValidationError:
            raise GatewayError(UNAUTHORIZED, f"The token's claim {CLAIM!r} is malformed") from None
        account = f"subject:{issuer.name}:{subject}"
        return Identity(
            user=user,
            key=issuer.name,
            project=issuer.project,
            scopes=frozenset(_scopes(claims)) & frozenset(issuer.scopes),
            grants=(_grant(account, caps), Grant.of(f"{account}:issuer", issuer.caps)),
            expires=expiry(claims),
        )


def issuers_from(
    configs: Iterable[Issuer], folder: Path, fetcher: Fetches, clock: Clock
) -> dict[str, TrustedIssuer]:
    """The issuers by `iss`. Reads their files, relative to `folder`. Raises GatewayError."""
    return {
        config.issuer: TrustedIssuer(config, _source(config, folder, fetcher), clock)
        for config in configs
    }


def expiry(claims: Mapping[str, Any]) -> datetime:
    """When a verified token ends. Raises GatewayError(UNAUTHORIZED) for a time beyond all years."""
    try:
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (OverflowError, ValueError, OSError):
        raise GatewayError(UNAUTHORIZED) from None


def _source(config: Issuer, folder: Path, fetcher: Fetches) -> KeySource:
    if config.secret is not None:
        return FixedKeys(secret_key(config.secret.get_secret_value()))
    if config.keys is not None:
        path = folder / config.keys
        try:
            return FixedKeys(keys_from(path.read_text("utf-8"), config.algorithm))
        except (OSError, UnicodeDecodeError, GatewayError) as error:
            text = f"identity.issuers: {config.name}: {path}: {error}"
            raise GatewayError(BAD_REQUEST, text) from error
    assert config.jwks is not None
    return PublishedKeys(config.jwks, config.algorithm, fetcher)


def _grant(account: str, caps: Caps) -> Grant:
    try:
        return Grant.of(account, caps)
    except GatewayError as error:
        raise GatewayError(UNAUTHORIZED, f"The token: {error}") from None


def _scopes(claims: Mapping[str, Any]) -> Iterable[Scope]:
    """`scope`: words separated by spaces (RFC 8693 4.2). Those of others are left out."""
    text = claims.get("scope", "")
    known = {scope.value: scope for scope in Scope}
    return [known[word] for word in text.split() if word in known] if isinstance(text, str) else []

"""Owns who is asking: requests become identities, and what they want is held against scopes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from aiohttp import hdrs, web

from gateway.config.identity import OWN_ISSUER, Scope
from gateway.config.model import NodeConfig
from gateway.errors import FORBIDDEN, GatewayError
from gateway.identity.issuers import TrustedIssuer
from gateway.identity.jwt import unverified_issuer
from gateway.identity.keys import PREFIX, KeyRing
from gateway.identity.tokens import BrowserTokens
from gateway.identity.values import UNAUTHORIZED, Identity

SUBPROTOCOL = "gateway"
"""What `/v1/signal` speaks. Browsers can give a WebSocket no header but this one, so a token may
come beside it: `Sec-WebSocket-Protocol: gateway, token.TOKEN`."""
_TOKEN_PROTOCOL = "token."
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)  # RFC 6750 2.1

DEMO_KEY = "demo"
"""Under which name demo mode starts calls: the dialplan may have a context for it."""


class Authenticator(Protocol):
    """Turns requests into identities."""

    async def authenticate(self, request: web.Request) -> Identity:
        """Who sent `request`. Raises GatewayError(UNAUTHORIZED)."""
        ...

    async def identify(self, credential: str) -> Identity:
        """Whose key or token it is. Raises GatewayError(UNAUTHORIZED)."""
        ...

    def sign_in(self, identity: Identity, user: str) -> Identity:
        """The identity of a client that wants the name `user`; empty: the one that it has.

        Raises GatewayError(FORBIDDEN).
        """
        ...

    def caller(self, identity: Identity) -> Identity:
        """The identity of who brings the audio of a call. Raises GatewayError(FORBIDDEN)."""
        ...

    def command(self, identity: Identity, scope: Scope = Scope.CALLS_WRITE) -> Identity:
        """The identity of who needs `scope`, as for starting or commanding calls.

        Raises GatewayError(FORBIDDEN).
        """
        ...

    async def trusts(self, identity: Identity) -> bool:
        """Whether who was let in as `identity` still would be, its own time aside.

        Raises GatewayError(DATABASE_FAILED).
        """
        ...


class DemoAuthenticator:
    """Believes every client, and the name that it gives itself. For loopback only."""

    async def authenticate(self, request: web.Request) -> Identity:
        """Anybody."""
        return Identity()

    async def identify(self, credential: str) -> Identity:
        """Anybody's."""
        return Identity()

    def sign_in(self, identity: Identity, user: str) -> Identity:
        """Whatever name the client chose."""
        return replace(identity, user=user)

    def caller(self, identity: Identity) -> Identity:
        """Anybody may."""
        return identity

    def command(self, identity: Identity, scope: Scope = Scope.CALLS_WRITE) -> Identity:
        """Anybody may."""
        return replace(identity, key=DEMO_KEY)

    async def trusts(self, identity: Identity) -> bool:
        """Everybody is."""
        return True


@dataclass(frozen=True, slots=True)
class Trust:
    """What identities are made of. keys None: there are no API keys. tokens None: no browser
    tokens. issuers: by `iss`."""

    keys: KeyRing | None = None
    tokens: BrowserTokens | None = None
    issuers: Mapping[str, TrustedIssuer] | None = None


class TokenAuthenticator:
    """Believes API keys and signed tokens, and nothing else."""

    def __init__(self, trust: Trust) -> None:
        self._keys = trust.keys
        self._tokens = trust.tokens
        self._issuers = trust.issuers or {}

    async def authenticate(self, request: web.Request) -> Identity:
        """Who sent `request`. Raises as `identify`."""
        return await self.identify(_credential(request))

    async def identify(self, credential: str) -> Identity:
        """Whose it is. Raises GatewayError: UNAUTHORIZED, and where somebody has to be asked about
        the token, that this failed."""
        if credential.startswith(PREFIX):
            if self._keys is None:
                raise GatewayError(UNAUTHORIZED)
            return await self._keys.identify(credential)
        named = unverified_issuer(credential)
        if named == OWN_ISSUER:
            return await self._browser(credential)
        issuer = self._issuers.get(named)
        if issuer is None:
            raise GatewayError(UNAUTHORIZED)
        return await issuer.identify(credential)

    def sign_in(self, identity: Identity, user: str) -> Identity:
        """A token's user is who it is. Who may mint tokens for anybody may be anybody."""
        if user in ("", identity.user):
            return identity
        if identity.user or not identity.may(Scope.TOKENS_MINT):
            raise GatewayError(FORBIDDEN, "Your token is not for this user")
        return replace(identity, user=user)

    def caller(self, identity: Identity) -> Identity:
        """Users call, and who may start calls."""
        if not identity.user and not identity.may(Scope.CALLS_WRITE):
            raise GatewayError(FORBIDDEN, "You may not call: the scope calls:write is missing")
        return identity

    def command(self, identity: Identity, scope: Scope = Scope.CALLS_WRITE) -> Identity:
        """Who has the scope."""
        if not identity.key or not identity.may(scope):
            raise GatewayError(FORBIDDEN, f"The scope {scope} is missing")
        return identity

    async def trusts(self, identity: Identity) -> bool:
        """Nobody whose key was revoked, nor whom a token that such a key made let in."""
        if not identity.key_id:
            return True
        return self._keys is not None and await self._keys.good(identity.key_id)

    async def _browser(self, token: str) -> Identity:
        if self._tokens is None:
            raise GatewayError(UNAUTHORIZED)
        identity = self._tokens.identify(token)
        if not await self.trusts(identity):
            raise GatewayError(UNAUTHORIZED, "The key that made this token is revoked")
        return identity


def authenticator_for(config: NodeConfig, trust: Trust | None = None) -> Authenticator:
    """Demo mode believes everybody; otherwise `trust` says whom to believe (None: nobody)."""
    return DemoAuthenticator() if config.demo else TokenAuthenticator(trust or Trust())


def _credential(request: web.Request) -> str:
    """The key or token. Raises GatewayError(UNAUTHORIZED): there is none, or more than one."""
    found = []
    for value in request.headers.getall(hdrs.AUTHORIZATION, []):
        bearer = _BEARER.fullmatch(value.strip())
        if bearer is None:
            raise GatewayError(UNAUTHORIZED, "Authorization: Bearer and a key or token")
        found.append(bearer[1])
    for value in request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, []):
        protocols = (protocol.strip() for protocol in value.split(","))
        found += [
            protocol.removeprefix(_TOKEN_PROTOCOL)
            for protocol in protocols
            if protocol.startswith(_TOKEN_PROTOCOL)
        ]
    if len(found) != 1:
        raise GatewayError(UNAUTHORIZED)
    return found[0]

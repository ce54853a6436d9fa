"""Who is asking: the seam where requests become identities.

Tokens will be another `Authenticator`; until then only demo mode lets anybody in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from aiohttp import web

from gateway.config.model import NodeConfig
from gateway.errors import FORBIDDEN, Blame, GatewayError, Verdict

UNAUTHORIZED = Verdict("unauthorized", 401, 401, 21, Blame.CALLER, "Authentication is required")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is, and what it may call."""

    user: str = ""  # name under which it is called and calls; empty: none
    destinations: frozenset[str] | None = None  # None: all that the dialplan routes
    key: str = ""  # name under which it starts and commands calls; empty: it may not

    def check_destination(self, to: str) -> None:
        """Raises GatewayError(FORBIDDEN) for a destination that this identity may not call."""
        if self.destinations is not None and to not in self.destinations:
            raise GatewayError(FORBIDDEN, "This destination is not allowed for you")


class Authenticator(Protocol):
    """Turns requests into identities."""

    async def authenticate(self, request: web.Request) -> Identity:
        """Who sent `request`. Raises GatewayError(UNAUTHORIZED)."""
        ...

    def sign_in(self, identity: Identity, user: str) -> Identity:
        """The identity of a client that wants the name `user`. Raises GatewayError(FORBIDDEN)."""
        ...

    def command(self, identity: Identity) -> Identity:
        """The identity of who starts or commands calls. Raises GatewayError(FORBIDDEN)."""
        ...


DEMO_KEY = "demo"
"""Under which name demo mode starts calls: the dialplan may have a context for it."""


class DemoAuthenticator:
    """Believes every client, and the name that it gives itself. For loopback only."""

    async def authenticate(self, request: web.Request) -> Identity:
        """Anybody."""
        return Identity()

    def sign_in(self, identity: Identity, user: str) -> Identity:
        """Whatever name the client chose."""
        return replace(identity, user=user)

    def command(self, identity: Identity) -> Identity:
        """Anybody may."""
        return replace(identity, key=DEMO_KEY)


class DenyAll:
    """Lets nobody in."""

    async def authenticate(self, request: web.Request) -> Identity:
        """Always raises GatewayError(UNAUTHORIZED)."""
        raise GatewayError(UNAUTHORIZED)

    def sign_in(self, identity: Identity, user: str) -> Identity:
        """Always raises GatewayError(UNAUTHORIZED)."""
        raise GatewayError(UNAUTHORIZED)

    def command(self, identity: Identity) -> Identity:
        """Always raises GatewayError(UNAUTHORIZED)."""
        raise GatewayError(UNAUTHORIZED)


def authenticator_for(config: NodeConfig) -> Authenticator:
    """Demo mode believes everybody; otherwise nobody gets in until tokens exist."""
    return DemoAuthenticator() if config.demo else DenyAll()

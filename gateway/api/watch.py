"""Owns looking after those who stay connected: whose token has expired, or whose key was revoked,
is cut off."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import structlog
from aiohttp import web

from gateway.api.identity import Authenticator
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.identity.values import Identity

CHECK_EVERY = 5.0
"""Seconds between two looks; a key's record is believed as long again."""
_log = structlog.get_logger(__name__)


class IdentityWatch:
    """Everybody who is connected. Belongs to the asyncio thread."""

    def __init__(self, authenticator: Authenticator, clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._numbers = itertools.count()
        self._followed: dict[int, tuple[Identity, Callable[[], None]]] = {}

    def follow(self, identity: Identity, end: Callable[[], None]) -> Callable[[], None]:
        """Calls `end`, once, when `identity` is good no more; until what is returned is called."""
        number = next(self._numbers)
        self._followed[number] = identity, end

        def leave() -> None:
            self._followed.pop(number, None)

        return leave

    async def run(self) -> None:
        """Looks on, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                await self.look()
            except GatewayError as error:  # the database: nobody is cut off because of it
                _log.warning("identities.not_checked", reason=str(error))

    async def look(self) -> None:
        """One look. Raises GatewayError(DATABASE_FAILED)."""
        for number, (identity, end) in tuple(self._followed.items()):
            good = not identity.expired(self._clock.now().wall)
            if good and await self._authenticator.trusts(identity):
                continue
            if self._followed.pop(number, None) is not None:  # it may have left meanwhile
                end()


IDENTITY_WATCH = web.AppKey("identity_watch", IdentityWatch)
"""Where the application has its watch."""

"""Owns looking after those who stay connected: whose key was revoked is cut off at once, whose
token has expired when their calls are over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Protocol

import structlog
from aiohttp import web

from gateway.api.directory import NOT_TRUSTED, Farewell
from gateway.api.identity import Authenticator
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.identity.values import Identity

CHECK_EVERY = 5.0
"""Seconds between two looks; a key's record is believed as long again."""
_log = structlog.get_logger(__name__)


class Connected(Protocol):
    """Somebody who stays connected."""

    @property
    def identity(self) -> Identity:
        """Who it is now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it has calls."""
        ...

    def leave(self, farewell: Farewell) -> None:
        """Ends the connection, and its calls."""
        ...


class IdentityWatch:
    """Everybody who is connected. Belongs to the asyncio thread."""

    def __init__(self, authenticator: Authenticator, clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._numbers = itertools.count()
        self._followed: dict[int, Connected] = {}

    def follow(self, connected: Connected) -> Callable[[], None]:
        """Has `connected` leave, once, when its identity is good no more; until what is returned is
        called. A token that has expired ends no call: new ones are refused where they are made."""
        number = next(self._numbers)
        self._followed[number] = connected

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
        for number, connected in tuple(self._followed.items()):
            over = connected.identity.expired(self._clock.now().wall) and not connected.busy
            if not over and await self._authenticator.trusts(connected.identity):
                continue
            if self._followed.pop(number, None) is not None:  # it may have left meanwhile
                connected.leave(NOT_TRUSTED)


IDENTITY_WATCH = web.AppKey("identity_watch", IdentityWatch)
"""Where the application has its watch."""

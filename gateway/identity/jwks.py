"""Owns the public keys of an issuer that publishes them at a URL: keeping and renewing them."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from gateway.errors import FETCH_FAILED, GatewayError
from gateway.identity.jwt import Algorithm, Keys, keys_from
from gateway.web.values import Fetched

MAX_BYTES = 128 * 1024
AT_LEAST = 300.0
AT_MOST = 86_400.0
"""How long keys are kept, seconds, whatever their server says."""
PATIENCE = 60.0
"""Seconds between two attempts, also for a key that is not known: anybody can name one."""

_log = structlog.get_logger(__name__)


class Fetches(Protocol):
    """gateway.web.fetcher.Fetcher; tests bring their own."""

    async def get(self, url: str, *, max_bytes: int, accept: str) -> Fetched:
        """The file at `url`. Raises GatewayError."""
        ...


class PublishedKeys:
    """The keys at one URL. Time, monotonic seconds, is an argument."""

    def __init__(self, url: str, algorithm: Algorithm, fetcher: Fetches) -> None:
        self._url = url
        self._algorithm = algorithm
        self._fetcher = fetcher
        self._keys: Keys | None = None
        self._fresh_until = 0.0
        self._next_attempt = float("-inf")
        self._fetching = asyncio.Lock()

    async def get(self, now: float, than: Keys | None = None) -> Keys:
        """The keys; `than`: newer ones than these, which do not have the wanted one, if there can
        be any. Raises GatewayError(FETCH_FAILED): there are none, and their server gives none."""
        async with self._fetching:
            stale = self._keys is None or now >= self._fresh_until or self._keys is than
            if stale and now >= self._next_attempt:
                self._next_attempt = now + PATIENCE
                await self._fetch(now)
            if self._keys is None:
                raise GatewayError(FETCH_FAILED, "The keys of the token's issuer are not there")
            return self._keys

    async def _fetch(self, now: float) -> None:
        try:
            found = await self._fetcher.get(
                self._url, max_bytes=MAX_BYTES, accept="application/jwk-set+json, application/json"
            )
            self._keys = keys_from(found.body.decode(), self._algorithm)
        except (GatewayError, UnicodeDecodeError) as error:
            # Those that are known stay good: an issuer that cannot be reached locks nobody out.
            _log.warning("identity.keys_not_fetched", url=self._url, reason=str(error))
            return
        self._fresh_until = now + min(max(found.fresh_seconds, AT_LEAST), AT_MOST)

"""Owns argon2: hashing the secrets of API keys, in threads of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from gateway.errors import OVERLOADED, GatewayError

THREADS = 2
MAX_WAITING = 32
"""Checks that may be under way or wait; more are refused, so that nobody can pile them up."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
"""RFC 9106, as OWASP recommends for servers: 19 MiB and about 30 ms for each check."""


def hashed(secret: str) -> str:
    """The argon2id hash of a secret, with its salt and parameters. Takes about 30 ms."""
    return _HASHER.hash(secret)


class Hashing:
    """Checks secrets beside the loop. Belongs to the asyncio thread; close it at the end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0

    def close(self) -> None:
        """Waits for checks under way."""
        self._threads.shutdown(cancel_futures=True)

    async def check(self, secret: str, hash_: str) -> bool:
        """Whether the hash is of this secret. Raises GatewayError(OVERLOADED)."""
        if self._waiting >= MAX_WAITING:
            raise GatewayError(OVERLOADED, "Too many keys are being checked")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _matches, secret, hash_)
        finally:
            self._waiting -= 1


def _matches(secret: str, hash_: str) -> bool:
    try:
        return _HASHER.verify(hash_, secret)
    except (Argon2Error, InvalidHashError):
        return False

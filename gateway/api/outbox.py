"""The bounded queue between the gateway and one WebSocket client.

Whoever has something to say never waits; a client that does not read is dropped, and nobody else
notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Outbox:
    """Texts on their way to one client, in order."""

    def __init__(self, limit: int, on_overflow: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue(limit)
        self._on_overflow = on_overflow
        self._overflowed = False

    def put(self, text: str) -> None:
        """Queues `text`; when the queue is full, drops the client once and forgets the rest."""
        if self._overflowed:
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._overflowed = True
            self._on_overflow()

    async def run(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Sends until cancelled, or until the connection is gone."""
        try:
            while True:
                await send(await self._queue.get())
        except ConnectionError:
            return  # the reading side sees the same, and ends the session

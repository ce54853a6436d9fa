"""Owns noting what became of attempts: those that end together are one transaction."""

from __future__ import annotations

import asyncio

from gateway.errors import GatewayError
from gateway.storage.deliveries import Attempt, Deliveries


class Notebook:
    """Notes of all lanes. Belongs to the asyncio thread."""

    def __init__(self, store: Deliveries) -> None:
        self._store = store
        self._waiting: list[tuple[Attempt, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def note(self, attempt: Attempt) -> None:
        """Returns when it is in the database. Raises GatewayError(DATABASE_FAILED)."""
        noted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((attempt, noted))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="webhook notes")
        await noted

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._store.note([attempt for attempt, _ in batch])
            except GatewayError as error:
                for _, noted in batch:
                    noted.set_exception(error)
            else:
                for _, noted in batch:
                    noted.set_result(None)
        self._writing = None

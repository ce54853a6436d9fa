"""Owns a node's recordings on disk: where they are, and when they are deleted."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.config.model import RecordingsConfig
from gateway.errors import GatewayError
from gateway.media.archive import RecordingArchive

_log = structlog.get_logger(__name__)

PURGE_EVERY = 3600.0  # seconds


class RecordingKeeper:
    """Deletes recordings whose time is over. Belongs to the asyncio thread."""

    def __init__(
        self,
        config: RecordingsConfig,
        folder: Path,
        clock: Clock,
        worker: Executor | None = None,
    ) -> None:
        """folder: the configuration's. worker: None is the loop's own threads."""
        self.archive = RecordingArchive(folder / config.folder)
        self._keep_days = config.keep_days
        self._clock = clock
        self._worker = worker
        self._purging: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on; nothing is deleted where `keep_days` is 0."""
        if self._keep_days:
            self._purging = asyncio.create_task(self._purge(), name="recordings: purge")

    async def stop(self) -> None:
        """Nothing more is deleted."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)

    async def _purge(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = self._clock.now().wall
            try:
                deleted = await loop.run_in_executor(
                    self._worker, self.archive.purge, self._keep_days, now
                )
            except GatewayError as error:
                _log.warning("recordings.not_purged", reason=str(error))
            else:
                if deleted:
                    _log.info("recordings.purged", files=deleted)
            await asyncio.sleep(PURGE_EVERY)

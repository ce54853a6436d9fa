"""A node's events without its calls: kept, read and looked at by tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app.records import Records
from gateway.clock import SystemClock
from gateway.config.model import RecordsConfig
from gateway.storage import event_writer, records
from gateway.storage.event_log import EventLog
from gateway.storage.published import Published, Wanted

EVERYTHING = Wanted("default")
WHOLE = 43
"""Events of a whole call."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches follow each other at once, as retries do."""
    for module in (event_writer, records):
        monkeypatch.setattr(module, "GATHER", 0.0)
    monkeypatch.setattr(event_writer, "SETTLE", 0.02)
    monkeypatch.setattr(event_writer, "BATCH", 50)
    monkeypatch.setattr(records, "RETRY", (0.02, 0.05))
    monkeypatch.setattr("gateway.storage.database.BUSY_MS", 50)


def settings(url: str, tmp_path: Path, **more: Any) -> RecordsConfig:
    return RecordsConfig(url=url, node="here", journal=str(tmp_path / "journal"), **more)


@asynccontextmanager
async def node(url: str, tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Records, EventLog]]:
    """The records of a node that runs, and its log."""
    log = EventLog(SystemClock())
    kept = Records(settings(url, tmp_path, **more), tmp_path, log, SystemClock())
    await kept.start()
    try:
        yield kept, log
    finally:
        await kept.stop()


async def flush(kept: Records) -> None:
    assert kept.events is not None
    await kept.events.flush()


async def read(kept: Records, after: int = 0, wanted: Wanted = EVERYTHING) -> list[Published]:
    """Everything that is there, portion by portion."""
    found: list[Published] = []
    while True:
        portion = await kept.feed.read(after, wanted, 7)
        assert portion.lost is None
        found += portion.events
        if portion.position == after:
            return found
        after = portion.position


def numbers(found: list[Published]) -> list[int]:
    return [event.sequence for event in found]


def journal_bytes(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.jsonl"))

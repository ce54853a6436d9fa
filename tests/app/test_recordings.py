"""What has been recorded: whose it is, and when it is deleted."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gateway.app.recordings import PURGE_EVERY, RecordingKeeper
from gateway.config.model import RecordingsConfig
from gateway.errors import GatewayError
from gateway.media.archive import RecordingArchive, StoredRecording
from gateway.media.recording_folder import RecordingFolder, Ticket
from gateway.terms import RecordingFormat, RecordingState
from gateway.testing import LoopClock, virtual_time
from gateway.testing.clock import InlineExecutor
from tests.media.test_encoding import mode, names, raw_file, sine

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def recorded(folder: Path, name: str, project: str = "default", started: datetime = START) -> None:
    """A recording that was made and finished as by a node."""
    made = RecordingFolder(folder)
    ticket = Ticket(call="c-1", format=RecordingFormat.WAV, started=started, project=project)
    lock = made.begin(name, ticket)
    made.part(name).write_bytes(raw_file(np.stack([sine(440, 1.0, 8000)] * 2, 1), 8000))
    made.finish(name)
    lock.close()


def found(folder: Path, project: str = "default") -> list[str]:
    return [each.name for each in RecordingArchive(folder).all(project)]


def test_a_recording_belongs_to_its_project_also_after_a_restart(tmp_path: Path) -> None:
    recorded(tmp_path, "a", "sales")
    assert mode(tmp_path / "a.meta") == 0o600
    [stored] = RecordingArchive(tmp_path).all("sales")
    size = (tmp_path / "a.wav").stat().st_size
    assert stored == StoredRecording(
        "a", RecordingState.FINISHED, "sales", "c-1", RecordingFormat.WAV, START, 1.0, 2, size
    )
    assert found(tmp_path) == []


def test_what_a_crash_left_keeps_its_project(tmp_path: Path) -> None:
    ticket = Ticket(call="c-1", format=RecordingFormat.OGG, started=START, project="sales")
    folder = RecordingFolder(tmp_path)
    folder.begin("a", ticket).close()
    folder.part("a").write_bytes(raw_file(np.stack([sine(440, 1.0, 8000)], 1), 8000))
    [live] = RecordingArchive(tmp_path).all("sales")
    assert live.state is RecordingState.RECORDING
    [recovered] = RecordingFolder(tmp_path).recover()
    assert recovered.project == "sales"
    [stored] = RecordingArchive(tmp_path).all("sales")
    assert (stored.state, stored.channels) == (RecordingState.FINISHED, 1)


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    archive = RecordingArchive(tmp_path / "none")
    assert archive.all("default") == []
    assert archive.purge(1, START) == 0


def test_another_gateways_deletions_and_recordings_are_seen(tmp_path: Path) -> None:
    ours, theirs = RecordingArchive(tmp_path), RecordingArchive(tmp_path)
    recorded(tmp_path, "a")
    assert len(ours.all("default")) == 1
    theirs.delete("a", "default")
    assert ours.all("default") == []
    with pytest.raises(GatewayError, match="No such recording"):
        ours.file("a", "default")
    recorded(tmp_path, "b")
    assert [each.name for each in ours.all("default")] == ["b"]


def test_retention_deletes_what_is_older_and_nothing_else(tmp_path: Path) -> None:
    for name, days, project in [("old", 31, "default"), ("theirs", 40, "sales"), ("new", 29, "x")]:
        recorded(tmp_path, name, project, START - days * DAY)
    live = Ticket(call="c-2", format=RecordingFormat.WAV, started=START - 90 * DAY)
    lock = RecordingFolder(tmp_path).begin("live", live)
    (tmp_path / "bad.part.broken").write_bytes(b"half a call")
    (tmp_path / "notes.txt").write_text("an operator's")
    (tmp_path / "legacy.mp3").write_bytes(b"of an older gateway")
    for file in ("bad.part.broken", "notes.txt", "legacy.mp3"):
        past = (START - 31 * DAY).timestamp()
        os.utime(tmp_path / file, (past, past))
    assert RecordingArchive(tmp_path).purge(30, START) == 3
    assert names(tmp_path) == {"new.wav", "live.json", "notes.txt"}
    assert [path.name for path in tmp_path.glob("*.meta")] == ["new.meta"]
    lock.close()


@virtual_time
async def test_a_node_deletes_them_by_itself(tmp_path: Path) -> None:
    clock = LoopClock()
    recorded(tmp_path, "a", started=clock.now().wall - DAY + timedelta(seconds=PURGE_EVERY / 2))
    config = RecordingsConfig(folder=".", keep_days=1)
    keeper = RecordingKeeper(config, tmp_path, clock, InlineExecutor())
    keeper.start()
    await asyncio.sleep(PURGE_EVERY / 4)
    assert found(tmp_path) == ["a"]
    await asyncio.sleep(PURGE_EVERY)
    assert found(tmp_path) == []
    await keeper.stop()


@virtual_time
async def test_without_a_setting_nothing_is_deleted(tmp_path: Path) -> None:
    recorded(tmp_path, "a", started=START - 10_000 * DAY)
    keeper = RecordingKeeper(RecordingsConfig(folder="."), tmp_path, LoopClock())
    keeper.start()
    await asyncio.sleep(10 * PURGE_EVERY)
    assert found(tmp_path) == ["a"]
    await keeper.stop()

"""Owns what has been recorded: found, and deleted, each project its own.

What NAME.meta says is believed; a file that a gateway without it made belongs to the default
project. All of it waits for the disk; any thread may. Gateways may share a folder, so the folder is
read each time, and what is told about a file once.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from pydantic import ValidationError

from gateway.errors import MEDIA_FAILED, NOT_FOUND, Blame, GatewayError, Verdict
from gateway.ids import DEFAULT_PROJECT
from gateway.media.recording_folder import NAME, About, Ticket
from gateway.terms import RecordingFormat, RecordingState

IN_PROGRESS = Verdict(
    "recording_in_progress", 409, 409, 95, Blame.CALLER, "The recording is not finished yet"
)
_NO_SUCH = "No such recording"
_TICKET, _META = "json", "meta"
_LEFTOVERS = frozenset({_META, "tmp", "part.broken", "json.broken"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording. `started` is UTC. None: not known, or not yet."""

    name: str
    state: RecordingState
    project: str
    call: str | None
    format: RecordingFormat
    started: datetime
    seconds: float | None = None
    channels: int | None = None
    bytes: int | None = None


class RecordingArchive:
    """All recordings in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, StoredRecording] = {}  # finished ones
        self._lock = threading.Lock()

    def all(self, project: str) -> list[StoredRecording]:
        """The project's recordings, newest first. Raises GatewayError(MEDIA_FAILED)."""
        found = [each for each in self._everything() if each.project == project]
        return sorted(found, key=lambda each: (each.started, each.name), reverse=True)

    def get(self, name: str, project: str) -> StoredRecording:
        """One recording. Raises GatewayError: NOT_FOUND, MEDIA_FAILED."""
        if NAME.fullmatch(name) is not None:
            endings = (_TICKET, _META, *RecordingFormat)
            there = {ending for ending in endings if self._path(name, ending).exists()}
            found = self._found(name, there)
            if found is not None and found.project == project:
                return found
        raise GatewayError(NOT_FOUND, _NO_SUCH)

    def file(self, name: str, project: str) -> tuple[StoredRecording, Path]:
        """A finished recording and its file. Raises GatewayError: NOT_FOUND, IN_PROGRESS,
        MEDIA_FAILED."""
        found = self.get(name, project)
        if found.state is not RecordingState.FINISHED:
            raise GatewayError(IN_PROGRESS)
        return found, self._path(name, found.format)

    def delete(self, name: str, project: str) -> None:
        """Deletes a finished recording. Raises as `file`."""
        found, _ = self.file(name, project)
        try:
            self._delete(found)
        except OSError as error:
            raise GatewayError(MEDIA_FAILED, f"recordings: {error.strerror}") from error

    def purge(self, keep_days: int, now: datetime) -> int:
        """Deletes what began more than `keep_days` ago, of all projects, and what is left of
        recordings that were never finished; returns how many files of audio. Raises
        GatewayError(MEDIA_FAILED)."""
        oldest = now - timedelta(days=keep_days)
        due = [each for each in self._everything() if each.started < oldest]
        finished = [each for each in due if each.state is RecordingState.FINISHED]
        try:
            for each in finished:
                self._delete(each)
            for name, endings in self._scan().items():
                if endings <= _LEFTOVERS:
                    self._delete_leftovers(name, endings, oldest)
        except OSError as error:
            raise GatewayError(MEDIA_FAILED, f"recordings: {error.strerror}") from error
        return len(finished)

    def _everything(self) -> list[StoredRecording]:
        try:
            scanned = self._scan()
        except OSError as error:
            raise GatewayError(MEDIA_FAILED, f"recordings: {error.strerror}") from error
        with self._lock:
            for gone in self._known.keys() - scanned.keys():
                del self._known[gone]
        found = (self._found(name, endings) for name, endings in scanned.items())
        return [each for each in found if each is not None]

    def _scan(self) -> dict[str, set[str]]:
        """The endings of the files of each name."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        with suppress(FileNotFoundError):  # the folder is made when it is needed
            for path in self._folder.iterdir():
                name, _, ending = path.name.partition(".")
                if NAME.fullmatch(name) is not None:
                    found[name].add(ending)
        return found

    def _found(self, name: str, endings: Iterable[str]) -> StoredRecording | None:
        """The recording that these files are; None: they are none, or not any more."""
        there = set(endings)
        try:
            if _TICKET in there:
                return self._live(name)
            with self._lock:
                known = self._known.get(name)
            if known is None:
                wanted = next((each for each in RecordingFormat if each in there), None)
                if wanted is None:
                    return None
                known = self._finished(name, wanted)
                with self._lock:
                    self._known[name] = known
            return known if known.format in there else None
        except FileNotFoundError:
            return None  # finished or deleted just now
        except (ValidationError, OSError) as error:
            _log.warning("recording_not_readable", recording=name, reason=type(error).__name__)
            return None

    def _live(self, name: str) -> StoredRecording:
        ticket = Ticket.model_validate_json(self._path(name, _TICKET).read_bytes())
        return StoredRecording(
            name, RecordingState.RECORDING, ticket.project, ticket.call, ticket.format,
            ticket.started,
        )  # fmt: skip

    def _finished(self, name: str, wanted: RecordingFormat) -> StoredRecording:
        facts = self._path(name, wanted).stat()
        try:
            about = About.model_validate_json(self._path(name, _META).read_bytes())
        except FileNotFoundError:
            ended = datetime.fromtimestamp(facts.st_mtime, UTC)
            return StoredRecording(
                name, RecordingState.FINISHED, DEFAULT_PROJECT, None, wanted, ended,
                bytes=facts.st_size,
            )  # fmt: skip
        return StoredRecording(
            name, RecordingState.FINISHED, about.project, about.call, wanted, about.started,
            about.seconds, about.channels, facts.st_size,
        )  # fmt: skip

    def _delete(self, recording: StoredRecording) -> None:
        # The audio first: without what is told about it, it would be the default project's.
        self._path(recording.name, recording.format).unlink(missing_ok=True)
        self._path(recording.name, _META).unlink(missing_ok=True)
        with self._lock:
            self._known.pop(recording.name, None)

    def _delete_leftovers(self, name: str, endings: Iterable[str], oldest: datetime) -> None:
        for ending in endings:
            path = self._path(name, ending)
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest.timestamp():
                    path.unlink()

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{name}.{ending}"

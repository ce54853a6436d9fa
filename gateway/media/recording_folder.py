"""Owns the files of call recordings: their names, locks, modes, and how each appears whole.

A recording NAME is NAME.json (what it is to become) and NAME.part (raw, written by the media plane)
until it is NAME.wav, .ogg, .mp3 or .flac, and NAME.meta (what the file does not say). The lock on
NAME.json (flock(2)) lasts from its beginning to its end, and tells another gateway that starts on
the same folder that somebody is at work on it.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import av.error
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import BAD_REQUEST, MEDIA_FAILED, GatewayError
from gateway.ids import DEFAULT_PROJECT
from gateway.media.encoding import BrokenRecordingError, complete_wav, encode, read_raw
from gateway.terms import RecordingFormat

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A finished recording. `started` is UTC."""

    path: Path
    format: RecordingFormat
    seconds: float
    channels: int
    bytes: int
    call: str
    started: datetime
    project: str = DEFAULT_PROJECT


class Ticket(BaseModel):
    """NAME.json: what the raw file does not say itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    call: str
    format: RecordingFormat
    started: datetime
    project: str = DEFAULT_PROJECT


class About(Ticket):
    """NAME.meta: whose the finished file is, and what is in it. `started` is UTC."""

    seconds: float
    channels: int


class RecordingFolder:
    """The folder, made when it is needed. All of it waits for the disk; any thread may."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def part(self, name: str) -> Path:
        """Where the media plane writes."""
        return self._folder / f"{name}.part"

    def begin(self, name: str, ticket: Ticket) -> BinaryIO:
        """Takes `name` for a new recording; to be kept open as long as it lasts.

        Raises GatewayError: BAD_REQUEST for a name that is none or is taken, MEDIA_FAILED.
        """
        if not NAME.fullmatch(name):
            raise GatewayError(BAD_REQUEST, "not a name for a recording")
        try:
            self._make()
            if any(self._path(name, ending).exists() for ending in ("part", *RecordingFormat)):
                raise FileExistsError
            file = _create(self._path(name, "json"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(ticket.model_dump_json().encode())
                file.flush()
            except OSError:
                self.abandon(name, file)
                raise
        except FileExistsError as error:
            raise GatewayError(BAD_REQUEST, f"there is a recording {name} already") from error
        except OSError as error:
            raise GatewayError(MEDIA_FAILED, f"recordings: {error.strerror}") from error
        return file

    def abandon(self, name: str, file: BinaryIO) -> None:
        """Undoes `begin` where no recording came of it."""
        with suppress(OSError):  # what the disk did not take goes with the file
            file.close()
        self._path(name, "json").unlink(missing_ok=True)

    def finish(self, name: str) -> RecordingFile:
        """Makes the finished file of a raw one that nobody writes to any more, and only then
        removes the raw one; may be repeated after a failure at any point.

        Raises OSError, av.error.FFmpegError, BrokenRecordingError, ValidationError.
        """
        part, about = self.part(name), self._path(name, "json")
        ticket = Ticket.model_validate_json(about.read_bytes())
        target, whole = self._path(name, ticket.format), part
        with part.open("r+b") as file:
            raw = read_raw(file)
            if ticket.format is RecordingFormat.WAV:
                complete_wav(file, raw)
                _sync(file)
            else:
                whole = self._path(name, "tmp")
                whole.unlink(missing_ok=True)
                with _create(whole) as encoded:
                    encode(file, raw, encoded, ticket.format)
                    _sync(encoded)
        about_it = About(**ticket.model_dump(), seconds=raw.seconds, channels=raw.channels)
        self._tell(name, about_it)  # first: a file without it would be another project's
        whole.replace(target)
        self._sync()
        part.unlink(missing_ok=True)
        about.unlink()
        return RecordingFile(
            path=target,
            format=ticket.format,
            seconds=raw.seconds,
            channels=raw.channels,
            bytes=target.stat().st_size,
            call=ticket.call,
            started=ticket.started,
            project=ticket.project,
        )

    def _tell(self, name: str, about: About) -> None:
        path = self._path(name, "meta")
        path.unlink(missing_ok=True)
        with _create(path) as file:
            file.write(about.model_dump_json().encode())
            _sync(file)
        self._sync()

    def recover(self) -> list[RecordingFile]:
        """Finishes what ended without being finished. What cannot be read is renamed to
        NAME.*.broken; what cannot be finished now (a full disk) is left for the next time."""
        self._make()
        for part in sorted(self._folder.glob("*.part")):
            # The .json of a recording is there before its .part, and after it.
            if not part.with_suffix(".json").exists() and part.exists():
                self._put_aside(part.stem, "its .json is missing")
        tickets = sorted(self._folder.glob("*.json"))
        return [file for about in tickets if (file := self._recover(about)) is not None]

    def _recover(self, about: Path) -> RecordingFile | None:
        name = about.stem
        try:
            with about.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_empty(name):
                    self.part(name).unlink(missing_ok=True)
                    about.unlink(missing_ok=True)
                    return None
                file = self.finish(name)
        except (BlockingIOError, FileNotFoundError):
            return None  # another process works on it, or has just finished it
        except (BrokenRecordingError, ValidationError) as error:
            self._put_aside(name, str(error))
            return None
        except (OSError, av.error.FFmpegError) as error:
            _log.warning("recording_not_recovered", recording=name, reason=str(error))
            return None
        _log.info("recording_recovered", recording=name, seconds=file.seconds)
        return file

    def _is_empty(self, name: str) -> bool:
        """Whether the process ended before any audio, or when the file was finished."""
        part = self.part(name)
        return not part.exists() or not part.stat().st_size

    def _put_aside(self, name: str, reason: str) -> None:
        _log.warning("recording_broken", recording=name, reason=reason)
        for ending in ("part", "json"):
            path = self._path(name, ending)
            with suppress(FileNotFoundError):
                path.rename(path.with_name(path.name + ".broken"))

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{name}.{ending}"

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _create(path: Path) -> BinaryIO:
    """A new file that nobody else may read."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "w+b")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

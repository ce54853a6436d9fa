"""Owns the journal: events on disk from the moment they happen until the database has them.

One line is one `write` to a file, which outlives the process whatever kills it: the page cache is
the system's. It is not synced, so that no call waits for a disk; what a power failure takes is what
the database did not have either.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import structlog

from gateway.errors import DATABASE_FAILED, GatewayError
from gateway.storage.published import Published, line, read_line

SEGMENT_BYTES = 4 * 1024 * 1024
"""A file that has grown to it is followed by another, and deleted when nothing in it is needed."""
_log = structlog.get_logger(__name__)


class Journal:
    """The journal of one node, in files of its own in a folder. Belongs to one thread at a time."""

    def __init__(self, folder: Path, node: str) -> None:
        self._folder = folder
        self._node = re.sub(r"[^A-Za-z0-9_.-]", "_", node)
        self._lock: int | None = None
        self._file: int | None = None
        self._size = 0
        self._torn = False
        self._closed: list[tuple[Path, int]] = []  # with the number of the last event in it
        self._path = folder
        self._last = 0  # in the open file; 0: it is empty
        self.failed = False

    def __str__(self) -> str:
        return str(self._folder)

    def open(self) -> None:
        """Makes the folder, and the files in it this process's own.

        Raises GatewayError(DATABASE_FAILED): it cannot, or another process has them.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder / f"{self._node}.lock", _FLAGS, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            text = f"another gateway writes events as node {self._node!r} in {self._folder}"
            raise GatewayError(DATABASE_FAILED, f"{text}: set records.node") from None
        except OSError as error:
            self.close()
            text = f"no events can be kept in {self._folder}: {error.strerror or error}"
            raise GatewayError(DATABASE_FAILED, f"{text}; set records.journal") from error

    def close(self) -> None:
        """Lets go of the files. Closing twice does nothing."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    @property
    def empty(self) -> bool:
        """Whether the database has everything that this process has written."""
        return not self._last and not self._closed

    def append(self, event: Published) -> bool:
        """Writes it. False: the disk does not take it, which is logged when that begins."""
        data = line(event)
        try:
            if self._file is None:
                self._begin(event.sequence)
            assert self._file is not None
            # What was written in part must not spoil the line after it.
            whole = b"\n" + data if self._torn else data
            self._torn = True
            if os.write(self._file, whole) != len(whole):
                raise OSError("the disk is full")
        except OSError as error:
            if not self.failed:
                _log.error("journal.failed", folder=str(self._folder), reason=str(error))
            self.failed = True
            return False
        self._torn = False
        if self.failed:
            _log.info("journal.works_again", folder=str(self._folder))
        self.failed = False
        self._last = event.sequence
        self._size += len(whole)
        if self._size >= SEGMENT_BYTES:
            self._end()
        return True

    def read(self, after: int = 0, limit: int | None = None) -> list[Published]:
        """The first `limit` events above the sequence number `after`, in order; what an earlier
        process has left too. Raises GatewayError(DATABASE_FAILED)."""
        found: list[Published] = []
        try:
            for event in self._read(after):
                found.append(event)
                if len(found) == limit:
                    break
        except OSError as error:
            text = f"the events in {self._folder} cannot be read: {error.strerror or error}"
            raise GatewayError(DATABASE_FAILED, text) from error
        return found

    def settle(self, upto: int, *, all_of_it: bool = False) -> None:
        """Forgets files in which no event is above the sequence number `upto`. all_of_it: also
        those of earlier processes."""
        kept = []
        for path, last in self._closed:
            if last <= upto:
                path.unlink(missing_ok=True)
            else:
                kept.append((path, last))
        self._closed = kept
        if self._file is not None and 0 < self._last <= upto:
            os.ftruncate(self._file, 0)  # it is open for appending
            self._size = self._last = 0
        if all_of_it:
            for _, path in self._files():
                path.unlink(missing_ok=True)

    def _begin(self, first: int) -> None:
        self._path = self._folder / f"{self._node}-{first:020d}.jsonl"
        self._file = os.open(self._path, _FLAGS, 0o600)
        self._size = self._last = 0
        self._torn = False

    def _end(self) -> None:
        assert self._file is not None
        os.close(self._file)
        self._file = None
        self._closed.append((self._path, self._last))
        self._last = 0

    def _files(self) -> list[tuple[int, Path]]:
        """All there are, with the number from which on their events may be."""
        name = re.compile(re.escape(self._node) + r"-(\d{20})\.jsonl")
        matches = ((name.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(match[1]), path) for match, path in matches if match)

    def _read(self, after: int) -> Iterator[Published]:
        files = self._files()
        for number, (_, path) in enumerate(files):
            if number + 1 < len(files) and files[number + 1][0] <= after + 1:
                continue
            with path.open("rb") as lines:
                for text in lines:
                    try:
                        event = read_line(text)
                    except ValueError:
                        if text.strip():
                            _log.warning("journal.torn_line", file=path.name, bytes=len(text))
                        continue
                    if event.sequence > after:
                        after = event.sequence
                        yield event


_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC

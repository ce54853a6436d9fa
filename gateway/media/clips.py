"""Owns audio files, of this machine and of the web: decoded whole, once, before they are played."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.errors import BAD_REQUEST, FETCH_FAILED, FORBIDDEN, MEDIA_FAILED, GatewayError
from gateway.media.decoding import MAX_SECONDS, RATE, decode
from gateway.media.pcm import Kept, Pcm
from gateway.web.urls import shown
from gateway.web.values import Fetched, Validators

__all__ = ["MAX_SECONDS", "RATE", "Clips", "Fetches", "is_url"]

MAX_FILE = 256 * 1024 * 1024
"""Bytes of a file of this machine: ten minutes of CD audio fit twice."""
MAX_FETCHED = 32 * 1024 * 1024
"""Bytes of a file of the web, which is held in memory while it is decoded."""
CACHED = 64
CACHED_BYTES = 128 * 1024 * 1024
ACCEPT = "audio/mpeg, audio/ogg, audio/opus, audio/flac, audio/wav, audio/x-wav, */*;q=0.1"


class Fetches(Protocol):
    """How files of the web are fetched (gateway.web.fetcher.Fetcher)."""

    async def get(
        self, url: str, *, max_bytes: int, accept: str, known: Validators | None = None
    ) -> Fetched:
        """See Fetcher.get."""
        ...


@dataclass(frozen=True, slots=True)
class _Remote:
    """A clip of the web. fresh_until: of the event loop's clock."""

    pcm: Pcm
    validators: Validators
    fresh_until: float


def is_url(source: str) -> bool:
    """Whether `source` is an address of the web, not a file's name."""
    return source.lower().startswith(("http://", "https://"))


class Clips:
    """Decodes and keeps audio files. Belongs to the asyncio thread; decoding happens in another."""

    def __init__(self, fetcher: Fetches | None = None) -> None:
        """fetcher: None refuses every URL."""
        self._fetcher = fetcher
        self._files: Kept[Pcm] = Kept(CACHED, CACHED_BYTES, lambda pcm: len(pcm.samples))
        self._remote: Kept[_Remote] = Kept(
            CACHED, CACHED_BYTES, lambda remote: len(remote.pcm.samples)
        )

    async def load(self, source: Path | str) -> Pcm:
        """The audio of a file, or of an http or https URL (text), mono. A file that has changed is
        read again; so is a URL, as its Cache-Control, ETag and Last-Modified have it (RFC 9111).

        Raises GatewayError: MEDIA_FAILED for a file that is not there or no audio (wav, mp3, ogg,
        flac; at most MAX_SECONDS), FETCH_FAILED for such a URL, FORBIDDEN for one that must not be
        fetched, BAD_REQUEST for text that is no URL.
        """
        if isinstance(source, Path):
            return await self._from_file(source)
        if not is_url(source):
            raise GatewayError(BAD_REQUEST, f"{source[:80]!a} is no http or https URL")
        kept = self._remote.find(source)
        if kept is None or kept.fresh_until <= asyncio.get_running_loop().time():
            kept = await self._remote.once(source, lambda: self._from_web(source, kept))
        return kept.pcm

    async def _from_file(self, file: Path) -> Pcm:
        try:
            key = await asyncio.to_thread(_version, file)
            return self._files.find(key) or await self._files.once(
                key, lambda: self._decoded(file, key)
            )
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise GatewayError(MEDIA_FAILED, f"audio file {file.name}: {reason}") from error

    async def _decoded(self, file: Path, key: tuple[Path, int, int]) -> Pcm:
        pcm = await asyncio.to_thread(_decode_file, file)
        self._files.put(key, pcm)
        return pcm

    async def _from_web(self, url: str, stale: _Remote | None) -> _Remote:
        if self._fetcher is None:
            raise GatewayError(FORBIDDEN, "audio files of the web are not fetched here")
        known = None if stale is None else stale.validators
        fetched = await self._fetcher.get(url, max_bytes=MAX_FETCHED, accept=ACCEPT, known=known)
        if fetched.unchanged and stale is not None:
            pcm = stale.pcm
        else:
            try:
                pcm = await asyncio.to_thread(decode, io.BytesIO(fetched.body), shown(url))
            except GatewayError as error:  # what is wrong with it is its server's doing
                raise GatewayError(FETCH_FAILED, error.verdict.text) from error
        now = asyncio.get_running_loop().time()
        remote = _Remote(pcm, fetched.validators, now + fetched.fresh_seconds)
        if fetched.storable:
            self._remote.put(url, remote)
        else:
            self._remote.drop(url)
        return remote


def _version(file: Path) -> tuple[Path, int, int]:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for its other end
        raise OSError(errno.EINVAL, "not a file")
    if found.st_size > MAX_FILE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return file, found.st_mtime_ns, found.st_size


def _decode_file(file: Path) -> Pcm:
    with file.open("rb") as stream:
        return decode(stream, file.name)

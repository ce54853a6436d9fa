"""Owns audio files: decoded whole by PyAV, once, before they are played."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path

import av
import av.error

from gateway.errors import MEDIA_FAILED, GatewayError
from gateway.media.prompts import Pcm

RATE = 16_000  # Hz; the bridge converts
MAX_SECONDS = 600
CACHED = 32

_Key = tuple[Path, int, int]


class Clips:
    """Decodes and keeps audio files. Belongs to the asyncio thread; decoding happens in another."""

    def __init__(self) -> None:
        self._cache: OrderedDict[_Key, Pcm] = OrderedDict()

    async def load(self, file: Path) -> Pcm:
        """The audio of `file`, mono. A file that has changed is read again.

        Raises GatewayError(MEDIA_FAILED): it is not there, no audio, or longer than MAX_SECONDS.
        """
        try:
            key = await asyncio.to_thread(_version, file)
            if key not in self._cache:
                self._cache[key] = await asyncio.to_thread(_decode, file)
        except (OSError, av.error.FFmpegError) as error:
            reason = error.strerror or "cannot be read"
            raise GatewayError(MEDIA_FAILED, f"audio file {file.name}: {reason}") from error
        self._cache.move_to_end(key)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return self._cache[key]


def _version(file: Path) -> _Key:
    stat = file.stat()
    return file, stat.st_mtime_ns, stat.st_size


def _decode(file: Path) -> Pcm:
    samples = bytearray()
    with av.open(str(file)) as container:
        if not container.streams.audio:
            raise GatewayError(MEDIA_FAILED, f"audio file {file.name} has no audio")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                samples += piece.to_ndarray().tobytes()
            if len(samples) > MAX_SECONDS * RATE * 2:
                text = f"audio file {file.name} is longer than {MAX_SECONDS} s"
                raise GatewayError(MEDIA_FAILED, text)
        for piece in resampler.resample(None):
            samples += piece.to_ndarray().tobytes()
    if not samples:
        raise GatewayError(MEDIA_FAILED, f"audio file {file.name} has no audio")
    return Pcm(bytes(samples), RATE)

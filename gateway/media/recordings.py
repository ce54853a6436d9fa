"""Owns the life of call recordings: begun on a call's ports, ended once, finished by a worker."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import av.error
import structlog

from gateway.errors import MEDIA_FAILED, SHUTTING_DOWN, GatewayError
from gateway.ids import DEFAULT_PROJECT
from gateway.media.recording_folder import RecordingFile, RecordingFolder, Ticket
from gateway.ports import Media, MediaEvent, MediaPort, MediaSink, RecordClosed, RecorderPorts
from gateway.terms import RecordingFormat

CLOSE_SECONDS = 30.0  # what a disk may take to swallow the last seconds
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How a call is recorded. Lengths in milliseconds; 0: no limit."""

    call: str = ""
    format: RecordingFormat = RecordingFormat.WAV
    stereo: bool = True
    max_ms: int = 0
    silence_ms: int = 0
    project: str = DEFAULT_PROJECT


class Recording:
    """A recording that goes on; made by `Recordings.start`. For the asyncio thread."""

    def __init__(
        self, owner: Recordings, name: str, ports: RecorderPorts, lock: BinaryIO, sink: MediaSink
    ) -> None:
        self._owner = owner
        self._media = owner.media
        self._lock = lock
        self._sink = sink
        self._closed: asyncio.Future[RecordClosed] = asyncio.get_running_loop().create_future()
        self._ending: asyncio.Task[RecordingFile] | None = None
        self.name = name
        self.near: MediaPort = ports.near
        self.far: MediaPort = ports.far
        self._media.subscribe(self.near, self._heard)

    def pause(self) -> None:
        """Nothing is added until `resume`: the recording becomes shorter."""
        self._media.record_pause(self.near, True)

    def resume(self) -> None:
        """Undoes `pause`."""
        self._media.record_pause(self.near, False)

    def mute(self) -> None:
        """Silence is added until `unmute`: the recording keeps its length."""
        self._media.record_mute(self.near, True)

    def unmute(self) -> None:
        """Undoes `mute`."""
        self._media.record_mute(self.near, False)

    async def stop(self) -> RecordingFile:
        """Ends the recording and makes the finished file; whoever asks again gets the same one. A
        caller that is cancelled meanwhile leaves the work to be done.

        Raises GatewayError(MEDIA_FAILED); what was recorded is then left for `recover`.
        """
        return await asyncio.shield(self.end())

    def end(self) -> asyncio.Task[RecordingFile]:
        """As `stop`, for whoever does not wait for the file; its failure is logged."""
        if self._ending is None:
            self._media.close(self.near)
            self._ending = asyncio.create_task(self._end(), name=f"recording {self.name}")
            self._ending.add_done_callback(self._done)
        return self._ending

    def _heard(self, event: MediaEvent) -> None:
        if isinstance(event, RecordClosed) and not self._closed.done():
            self._closed.set_result(event)
        self._sink(event)

    async def _end(self) -> RecordingFile:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                closed = await self._closed
        except TimeoutError as error:
            text = f"recording {self.name}: the disk does not take it"
            raise GatewayError(MEDIA_FAILED, text) from error
        if closed.lost_ms:
            _log.warning("recording_has_gaps", recording=self.name, lost_ms=closed.lost_ms)
        return await self._owner.finish(self.name)

    def _done(self, task: asyncio.Task[RecordingFile]) -> None:
        self._lock.close()
        self._owner.forget(self)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("recording_not_finished", recording=self.name, reason=str(error))


class Recordings:
    """All recordings of a node. One thread of its own finishes them, one after the other, so that
    the end of many calls at once takes no more than one core from the others.

    worker: what is used in place of that thread (tests in virtual time); owned from now on.
    """

    def __init__(self, folder: Path, media: Media, worker: Executor | None = None) -> None:
        self.media = media
        self._folder = RecordingFolder(folder)
        self._live: set[Recording] = set()
        self._worker = worker or ThreadPoolExecutor(1, thread_name_prefix="recordings")
        self._closing = False

    def start(
        self, name: str, options: RecordingOptions, sink: MediaSink = lambda _: None
    ) -> Recording:
        """Begins to record; what is to be heard is to be connected to its ports. Events of the
        recorder go to `sink`: after RecordStopped the recording still waits for `stop`.

        Creates two small files on the calling thread. Raises GatewayError: BAD_REQUEST for a name
        that is none or is taken, MEDIA_FAILED, SHUTTING_DOWN.
        """
        if self._closing:
            raise GatewayError(SHUTTING_DOWN)
        ticket = Ticket(
            call=options.call,
            format=options.format,
            started=datetime.now(UTC),
            project=options.project,
        )
        lock = self._folder.begin(name, ticket)
        try:
            ports = self.media.record(
                self._folder.part(name),
                stereo=options.stereo,
                max_ms=options.max_ms,
                silence_ms=options.silence_ms,
            )
        except GatewayError:
            self._folder.abandon(name, lock)
            raise
        recording = Recording(self, name, ports, lock, sink)
        self._live.add(recording)
        return recording

    @property
    def live(self) -> int:
        """How many recordings go on, or are being finished."""
        return len(self._live)

    async def recover(self) -> list[RecordingFile]:
        """Finishes what a crashed process left in the folder, cut in mid-frame or not; to be called
        once, at start-up. What is broken or cannot be finished now is logged, and no error. Raises
        GatewayError(MEDIA_FAILED) when the folder cannot be used."""
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._worker, self._folder.recover)
        except OSError as error:
            raise GatewayError(MEDIA_FAILED, f"recordings: {error.strerror}") from error

    async def close(self) -> None:
        """Ends and finishes all recordings, and waits for that. No more can be started."""
        self._closing = True
        ends = [recording.stop() for recording in self._live]
        await asyncio.gather(*ends, return_exceptions=True)
        self._worker.shutdown(wait=False)

    async def finish(self, name: str) -> RecordingFile:
        """Makes the finished file of a closed recording. Raises GatewayError(MEDIA_FAILED)."""
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._worker, self._folder.finish, name)
        except (OSError, av.error.FFmpegError) as error:
            raise GatewayError(MEDIA_FAILED, f"recording {name}: {error.strerror}") from error
        except ValueError as error:
            raise GatewayError(MEDIA_FAILED, f"recording {name} cannot be read") from error

    def forget(self, recording: Recording) -> None:
        """It is over."""
        self._live.discard(recording)

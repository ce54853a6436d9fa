"""Owns the recording of one call: at most one at a time, beside whatever the call does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from gateway.calls import inputs
from gateway.calls.audio import CallAudio, Ear
from gateway.config.model import RecordingsConfig
from gateway.errors import BAD_REQUEST, FORBIDDEN, GatewayError
from gateway.events import RecordingStarted, RecordingStopped
from gateway.ids import CallId
from gateway.media.recordings import Recording, RecordingOptions, Recordings
from gateway.ports import MediaEvent, MediaPort, RecordStopped
from gateway.terms import RecordingFormat
from gateway.verbs import Record


@dataclass(frozen=True, slots=True)
class Whose:
    """Which call is recorded, and to which project it belongs."""

    call: CallId
    project: str


class Recorders:
    """What calls record with: the node's recordings, and what its configuration says of them."""

    def __init__(self, recordings: Recordings, config: RecordingsConfig) -> None:
        self._recordings = recordings
        self._config = config

    def start(
        self, name: str, whose: Whose, verb: Record, told: Callable[[MediaEvent], None]
    ) -> Recording:
        """Begins to record. Raises GatewayError."""
        seconds = min(verb.max_seconds, self._config.max_length)
        wanted = self._config.format if verb.format is None else RecordingFormat(verb.format)
        options = RecordingOptions(
            call=whose.call,
            project=whose.project,
            format=wanted,
            stereo=verb.channels == "stereo",
            max_ms=round(seconds * 1000),
            silence_ms=round(verb.silence_seconds * 1000),
        )
        return self._recordings.start(name, options, told)


class CallRecorder:
    """The recorder of one call."""

    def __init__(
        self,
        whose: Whose,
        audio: CallAudio,
        recorders: Recorders | None,
        post: Callable[[inputs.Input], None],
    ) -> None:
        """recorders: None refuses to record."""
        self._whose = whose
        self._audio = audio
        self._recorders = recorders
        self._post = post
        self._numbers = itertools.count(1)
        self._recording: Recording | None = None
        self._muted = False

    def start(self, verb: Record, port: MediaPort) -> str:
        """Records what `port` says and hears; returns the recording's id. Raises GatewayError."""
        if self._recorders is None:
            raise GatewayError(FORBIDDEN, "This node records nothing: configure recordings")
        if self._recording is not None:
            raise GatewayError(BAD_REQUEST, "The call is being recorded already")
        name = f"{self._whose.call}-{next(self._numbers)}"
        recording = self._recorders.start(name, self._whose, verb, self._heard)
        if self._muted:
            recording.mute()
        self._recording = recording
        self._audio.listen_in(Ear(port, recording.near, recording.far))
        self._post(inputs.Observed(RecordingStarted(name)))
        return name

    async def stop(self) -> str:
        """Ends the recording, and returns its id when its file is there. Raises GatewayError."""
        recording = self._live()
        self._end("stopped")
        await recording.stop()
        return recording.name

    def pause(self, paused: bool) -> str:
        """Leaves out what comes now, or goes on. Raises GatewayError: nothing is recorded."""
        recording = self._live()
        if paused:
            recording.pause()
        else:
            recording.resume()
        return recording.name

    def mute(self, muted: bool) -> None:
        """Silence is recorded meanwhile, also by what starts later."""
        self._muted = muted
        if self._recording is not None:
            if muted:
                self._recording.mute()
            else:
                self._recording.unmute()

    def close(self) -> None:
        """The call is over: the file is finished without it."""
        if self._recording is not None:
            self._end("call_ended")

    def _live(self) -> Recording:
        if self._recording is None:
            raise GatewayError(BAD_REQUEST, "The call is not being recorded")
        return self._recording

    def _end(self, reason: str) -> None:
        recording = self._live()
        self._recording = None
        self._audio.stop_listening_in()
        recording.end()
        self._post(inputs.Observed(RecordingStopped(recording.name, reason)))

    def _heard(self, event: MediaEvent) -> None:
        if isinstance(event, RecordStopped) and self._recording is not None:
            self._end(event.reason)

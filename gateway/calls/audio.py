"""Owns who hears whom in one call, so that a recorder hears what the caller hears."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.ports import Media, MediaPort, MediaSink


@dataclass(frozen=True, slots=True)
class Ear:
    """Where what a port says (`near`) and what it hears (`far`) also goes."""

    port: MediaPort
    near: MediaPort
    far: MediaPort


class CallAudio:
    """The media plane as one call uses it; see gateway.ports.Media for what is passed on."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._heard: defaultdict[MediaPort, set[MediaPort]] = defaultdict(set)  # by who hears
        self._ear: Ear | None = None
        self.play: Callable[..., MediaPort] = media.play
        self.relay_digits = media.relay_digits
        self.send_digit = media.send_digit
        self.unsubscribe = media.unsubscribe

    def subscribe(self, port: MediaPort, sink: MediaSink) -> None:
        """Events of `port` go to `sink`."""
        self._media.subscribe(port, sink)

    def connect(self, source: MediaPort, sink: MediaPort) -> None:
        """Mixes the audio of `source` into `sink`, and into a recording of what `sink` hears."""
        self._media.connect(source, sink)
        self._heard[sink].add(source)
        if self._ear is not None and sink == self._ear.port:
            self._media.connect(source, self._ear.far)

    def disconnect(self, source: MediaPort, sink: MediaPort) -> None:
        """Undoes `connect`; nothing happens if it was not connected."""
        self._heard[sink].discard(source)
        if self._ear is not None and sink == self._ear.port:
            self._media.disconnect(source, self._ear.far)
        self._media.disconnect(source, sink)

    def close(self, port: MediaPort) -> None:
        """Closes a port that was opened for this call."""
        self._heard.pop(port, None)
        for sources in self._heard.values():
            sources.discard(port)
        self._media.close(port)

    def listen_in(self, ear: Ear) -> None:
        """What `ear.port` says and hears is recorded from now on; there is one ear."""
        self.stop_listening_in()
        self._ear = ear
        self._media.connect(ear.port, ear.near)
        for source in self._heard[ear.port]:
            self._media.connect(source, ear.far)

    def stop_listening_in(self) -> None:
        """Nothing is recorded any more."""
        if self._ear is None:
            return
        ear, self._ear = self._ear, None
        self._media.disconnect(ear.port, ear.near)
        for source in self._heard[ear.port]:
            self._media.disconnect(source, ear.far)

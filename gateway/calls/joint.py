"""Owns two calls that one of them joined: who hears whom, and whose digits go where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.calls.audio import CallAudio
from gateway.calls.state import LegState
from gateway.ports import MediaPort


@dataclass(frozen=True, slots=True)
class End:
    """The caller of one of the calls. `leg`: as that call's machine has it now. `free`: whether it
    has left its callee, whom it may have talked to."""

    audio: CallAudio
    port: MediaPort
    leg: Callable[[], LegState]
    free: Callable[[], bool]


class _Way:
    """From one end to the other; each call connects what its own caller hears."""

    def __init__(self, source: End, sink: End) -> None:
        self.source = source
        self._sink = sink
        self._heard = False
        self._relayed = False

    def relay(self, wanted: bool) -> None:
        if wanted != self._relayed:
            self._relayed = wanted
            sink = self._sink.port if wanted else None
            self.source.audio.relay_digits(self.source.port, sink)

    def hear(self, wanted: bool) -> None:
        if wanted != self._heard:
            self._heard = wanted
            audio = self._sink.audio
            (audio.connect if wanted else audio.disconnect)(self.source.port, self._sink.port)


class Joint:
    """Two callers joined. Both calls have it settled whenever their own state has changed, since
    either may mute its caller, put it on hold, or withhold its digits."""

    def __init__(self, one: End, other: End) -> None:
        self._ways = (_Way(one, other), _Way(other, one))
        self._parted = False

    def settle(self) -> None:
        """Makes it what both calls ask for. Raises GatewayError."""
        if self._parted or not all(way.source.free() for way in self._ways):
            return
        legs = [way.source.leg() for way in self._ways]
        parked = any(leg.parked for leg in legs)
        for way, leg in zip(self._ways, legs, strict=True):
            way.relay(not parked and not leg.withheld)
            way.hear(not parked and not leg.muted)

    def far(self, port: MediaPort) -> MediaPort | None:
        """Who hears a port now; None: nobody does."""
        if self._parted or any(way.source.leg().parked for way in self._ways):
            return None
        one, other = (way.source.port for way in self._ways)
        return other if port == one else one

    def part(self) -> None:
        """Takes them apart for good, digits first, so that none leaks to one side."""
        self._parted = True
        for way in self._ways:
            way.relay(False)
        for way in self._ways:
            way.hear(False)

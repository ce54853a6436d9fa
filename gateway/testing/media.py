"""A media plane that only keeps the books: who hears whom, where digits go, what was played."""

from __future__ import annotations

import asyncio
import itertools
import wave
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import MEDIA_FAILED, GatewayError
from gateway.ports import (
    DigitBegan,
    DigitDropped,
    DigitEnded,
    DigitSent,
    MediaEvent,
    MediaPort,
    MediaSink,
    PlayDone,
    PortStats,
    RecordClosed,
    RecorderPorts,
    RtpResumed,
    RtpTimeout,
)


@dataclass(frozen=True, slots=True)
class SentDigit:
    """A tone that was sent towards a port's far end."""

    port: MediaPort
    digit: str
    duration_ms: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class Played:
    """A player that was opened. `at`: when, by the loop's clock."""

    port: MediaPort
    samples: bytes = field(repr=False)
    rate: int
    loop: bool
    at: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / 2 / self.rate


@dataclass(slots=True)
class Recorded:
    """A recorder that was opened, and what was asked of it since."""

    path: Path
    ports: RecorderPorts
    max_ms: int
    silence_ms: int
    since: float  # when it went on last
    seconds: float = 0.0  # until then
    paused: bool = False
    muted: bool = False

    def pause(self, paused: bool, now: float) -> None:
        """Also tells it that time has passed."""
        self.seconds += 0.0 if self.paused else now - self.since
        self.since, self.paused = now, paused

    def write(self, rate: int) -> None:
        """As much silence as it has lasted; the file takes no room for it."""
        channels = 1 if self.ports.near == self.ports.far else 2
        with wave.open(str(self.path), "wb") as file:
            file.setparams((channels, 2, rate, 0, "NONE", ""))
            file.writeframes(b"")
        with self.path.open("r+b") as raw:
            size = raw.seek(0, 2) + round(self.seconds * rate) * 2 * channels
            raw.truncate(size)


class FakeMedia:
    """Implements gateway.ports.Media. Players end by the loop's clock; everything else only when
    the test says so (`press`, `emit`). Names in `broken` ("connect", ...) raise MEDIA_FAILED."""

    def __init__(self, bridge_rate: int = 16000) -> None:
        self._rate = bridge_rate
        self._handles = itertools.count(1)
        self._ids = itertools.count(1)
        self._sinks: dict[MediaPort, MediaSink] = {}
        self._early: defaultdict[MediaPort, list[MediaEvent]] = defaultdict(list)
        self._loops: set[MediaPort] = set()
        self.broken: set[str] = set()
        self.open: set[MediaPort] = set()
        self.connections: set[tuple[MediaPort, MediaPort]] = set()
        self.relays: dict[MediaPort, MediaPort] = {}
        self.sent: list[SentDigit] = []
        self.played: list[Played] = []
        self.recorded: list[Recorded] = []
        self.counters: dict[MediaPort, PortStats] = {}

    # ---- for tests --------------------------------------------------------------------------

    def new_port(self) -> MediaPort:
        """The port of a new leg."""
        port = next(self._handles)
        self.open.add(port)
        return port

    @property
    def subscribed(self) -> frozenset[MediaPort]:
        """Ports that somebody listens to."""
        return frozenset(self._sinks)

    def players(self) -> set[MediaPort]:
        """Players that are open now."""
        return self.open & {played.port for played in self.played}

    def emit(self, event: MediaEvent) -> None:
        """Something happens on a port."""
        sink = self._sinks.get(event.port)
        if sink is None:
            self._early[event.port].append(event)
        else:
            sink(event)

    def press(self, port: MediaPort, digits: str, duration_ms: int = 100) -> None:
        """The far end of `port` presses keys. Relayed ones reach the other port's far end."""
        for digit in digits:
            number = next(self._ids)
            now = self._now()
            self.emit(DigitBegan(port, digit, number, now))
            self.emit(DigitEnded(port, digit, number, duration_ms, now + duration_ms / 1000))
            if port in self.relays:
                self.sent.append(SentDigit(self.relays[port], digit, duration_ms, 0))

    def key_down(self, port: MediaPort, digit: str) -> int:
        """A key is pressed and held; returns the id for `key_up`."""
        number = next(self._ids)
        self.emit(DigitBegan(port, digit, number, self._now()))
        return number

    def key_up(self, port: MediaPort, digit: str, number: int, duration_ms: int) -> None:
        """The key is let go."""
        self.emit(DigitEnded(port, digit, number, duration_ms, self._now()))

    def silence(self, port: MediaPort, silent_ms: int = 30_000) -> None:
        """RTP stopped coming."""
        self.emit(RtpTimeout(port, silent_ms, self._now()))

    def resume(self, port: MediaPort) -> None:
        """RTP is back."""
        self.emit(RtpResumed(port, self._now()))

    def drop_digit(self, port: MediaPort, digit: str, reason: str) -> None:
        """A digit could not be sent."""
        self.emit(DigitDropped(port, digit, reason, self._now()))

    # ---- gateway.ports.Media ----------------------------------------------------------------

    @property
    def bridge_rate(self) -> int:
        """Hz."""
        return self._rate

    def subscribe(self, port: MediaPort, sink: MediaSink) -> None:
        """See gateway.ports.Media."""
        self._check("subscribe", port)
        assert port not in self._sinks, f"port {port} has a listener already"
        self._sinks[port] = sink
        for event in self._early.pop(port, []):
            sink(event)

    def unsubscribe(self, port: MediaPort) -> None:
        """See gateway.ports.Media."""
        self._sinks.pop(port, None)

    def connect(self, source: MediaPort, sink: MediaPort) -> None:
        """See gateway.ports.Media."""
        self._check("connect", source, sink)
        self.connections.add((source, sink))

    def disconnect(self, source: MediaPort, sink: MediaPort) -> None:
        """See gateway.ports.Media."""
        self._check("disconnect")
        self.connections.discard((source, sink))

    def relay_digits(self, source: MediaPort, sink: MediaPort | None) -> None:
        """See gateway.ports.Media."""
        self._check("relay_digits")
        if sink is None:
            self.relays.pop(source, None)
        else:
            self._check("relay_digits", source, sink)
            self.relays[source] = sink

    def send_digit(
        self, port: MediaPort, digit: str, duration_ms: int = 100, gap_ms: int = 70
    ) -> int:
        """See gateway.ports.Media."""
        self._check("send_digit", port)
        number = next(self._ids)
        self.sent.append(SentDigit(port, digit, duration_ms, gap_ms))
        asyncio.get_running_loop().call_later(
            duration_ms / 1000,
            lambda: self.emit(DigitSent(port, digit, number, duration_ms, self._now())),
        )
        return number

    def play(self, samples: bytes, rate: int, *, loop: bool = False) -> MediaPort:
        """See gateway.ports.Media."""
        self._check("play")
        port = self.new_port()
        played = Played(port, samples, rate, loop, self._now())
        self.played.append(played)
        if not loop:
            asyncio.get_running_loop().call_later(played.seconds, self._play_done, port)
        return port

    def tone(self, frequency: int, second: int = 0, volume: int = 8000) -> MediaPort:
        """See gateway.ports.Media."""
        self._check("tone")
        return self.new_port()

    def record(
        self, path: Path, *, stereo: bool = False, max_ms: int = 0, silence_ms: int = 0
    ) -> RecorderPorts:
        """See gateway.ports.Media; ends only when it is closed, and then writes silence."""
        self._check("record")
        near = self.new_port()
        ports = RecorderPorts(near, self.new_port() if stereo else near)
        self.recorded.append(Recorded(path, ports, max_ms, silence_ms, self._now()))
        return ports

    def record_pause(self, port: MediaPort, paused: bool) -> None:
        """See gateway.ports.Media."""
        self._recorder("record_pause", port).pause(paused, self._now())

    def record_mute(self, port: MediaPort, muted: bool) -> None:
        """See gateway.ports.Media."""
        self._recorder("record_mute", port).muted = muted

    def close(self, port: MediaPort) -> None:
        """See gateway.ports.Media."""
        self._check("close")
        for recorded in self.recorded:
            ports = recorded.ports
            if port in self.open and port in (ports.near, ports.far):
                self._close(ports.near)
                self._close(ports.far)
                recorded.pause(recorded.paused, self._now())
                recorded.write(self._rate)
                lasted = round(recorded.seconds * 1000)
                self.emit(RecordClosed(ports.near, lasted, 0, self._now()))
                self._sinks.pop(ports.near, None)
                return
        self._close(port)

    def _close(self, port: MediaPort) -> None:
        self.open.discard(port)
        self.connections = {pair for pair in self.connections if port not in pair}
        self.relays = {
            source: sink for source, sink in self.relays.items() if port not in (source, sink)
        }
        self._early.pop(port, None)

    def stats(self, port: MediaPort) -> PortStats:
        """See gateway.ports.Media; all zero, unless `counters` says otherwise."""
        self._check("stats", port)
        return self.counters.get(port, PortStats(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0))

    def _check(self, operation: str, *ports: MediaPort) -> None:
        if operation in self.broken:
            raise GatewayError(MEDIA_FAILED, f"{operation} is broken")
        for port in ports:
            if port not in self.open:
                raise GatewayError(MEDIA_FAILED, f"{operation}: no port {port}")

    def _recorder(self, operation: str, port: MediaPort) -> Recorded:
        self._check(operation, port)
        for recorded in self.recorded:
            if port in (recorded.ports.near, recorded.ports.far):
                return recorded
        raise GatewayError(MEDIA_FAILED, f"{operation}: port {port} is no recorder")

    def _play_done(self, port: MediaPort) -> None:
        if port in self.open:
            self.emit(PlayDone(port, self._now()))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

"""Owns captures of calls: which call's packets go into which file, and how long files stay.

Digits are left out unless whoever asks wants them; while digits are gathered in secret, nothing of
a call's RTP but its headers is captured.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gateway.clock import Clock, Instant
from gateway.config.timeline import CapturesConfig
from gateway.errors import BAD_REQUEST, MEDIA_FAILED, NOT_FOUND, Blame, GatewayError, Verdict
from gateway.ids import CallId
from gateway.media.values import Captured, PacketCapture, Privacy
from gateway.observability.timeline import LivePort, SipMessage, SipSeen, Timelines

if TYPE_CHECKING:  # the API loads no media plane, and its client neither
    from gateway.media.packets import PacketCaptures

_log = structlog.get_logger(__name__)

CAPTURING = Verdict("capturing", 409, 409, 95, Blame.CALLER, "A capture of this call is running")
EVERY = 0.25  # seconds: how soon a new leg is seen
PATIENCE = 5.0  # seconds, for files to be complete when the node stops
LINGER = 1.0  # seconds after a call's end: for the answer to the last BYE
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """What to capture. digits: also which digits were pressed."""

    seconds: float
    sip: bool = True
    rtp: bool = True
    digits: bool = False


@dataclass(slots=True)
class Capture:
    """A capture of one call, running or complete (`done`)."""

    call: CallId
    project: str
    wish: Wish
    path: Path
    begun: Instant
    handle: PacketCapture = 0
    done: Captured | None = None
    done_at: float = 0.0
    gone_at: float | None = None  # when its call was not there any more
    closing: bool = False

    @property
    def ends_at(self) -> datetime:
        """When it ends at the latest."""
        return self.begun.wall + timedelta(seconds=self.wish.seconds)


class CallCaptures:
    """The captures of one node; one of each call at a time. Belongs to the asyncio thread."""

    def __init__(
        self,
        packets: PacketCaptures,
        timelines: Timelines,
        ports: Callable[[], Iterable[LivePort]],
        clock: Clock,
        config: CapturesConfig,
        folder: Path,
    ) -> None:
        """ports: those of all live calls. folder: where files go; made when it is needed."""
        self._packets = packets
        self._timelines = timelines
        self._ports = ports
        self._clock = clock
        self._config = config
        self._folder = folder
        self._captures: dict[CallId, Capture] = {}
        self._secret: set[CallId] = set()
        self._numbers = itertools.count(1)
        self._running: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        timelines.on_message = self._on_message

    # ---- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Deletes what a crash has left, and begins."""
        for left in self._folder.glob("*.pcap"):
            _unlink(left)
        self._running = asyncio.create_task(self._run(), name="captures")

    async def close(self) -> None:
        """Ends all captures and deletes their files."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        for capture in self._captures.values():
            self._end(capture)
        with suppress(TimeoutError):  # a disk that hangs must not keep the node up
            async with asyncio.timeout(PATIENCE):
                while any(capture.done is None for capture in self._captures.values()):
                    self._settled.clear()
                    await self._settled.wait()
        for call in list(self._captures):
            self._delete(call)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                self.tick()
            except Exception:  # task boundary: captures of other calls go on
                _log.exception("captures.failed")

    # ---- what is asked ----------------------------------------------------------------------

    def begin(self, call: CallId, project: str, wish: Wish) -> Capture:
        """Captures a live call from now on, with what is known of its SIP already; an earlier
        capture of it is deleted.

        Raises GatewayError: NOT_FOUND, CAPTURING, BAD_REQUEST (too long), OVERLOADED, MEDIA_FAILED.
        """
        timeline = self._timelines.of(call, project)
        if timeline.ended:
            raise GatewayError(NOT_FOUND, "The call is over")
        if wish.seconds > self._config.max_seconds:
            raise GatewayError(BAD_REQUEST, f"seconds: at most {self._config.max_seconds}")
        earlier = self._captures.get(call)
        if earlier is not None and earlier.done is None:
            raise GatewayError(CAPTURING)
        if earlier is not None:
            self._delete(call)
        path = self._folder / f"{call}-{next(self._numbers)}.pcap"
        capture = Capture(call, project, wish, path, self._clock.now())
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(MEDIA_FAILED, f"captures: {error.strerror}") from error

        def done(how: Captured) -> None:
            capture.done, capture.done_at = how, self._clock.now().monotonic
            self._settled.set()
            _log.info("capture.done", call=call, reason=how.reason, packets=how.packets)

        capture.handle = self._packets.open(
            path, wish.seconds, self._config.max_mb * _MB, self._privacy(capture), done
        )
        self._captures[call] = capture
        for entry in timeline.entries:
            if isinstance(entry, SipSeen):
                self._on_message(call, entry.message)
        self.tick()
        _log.info("capture.begun", call=call, seconds=wish.seconds, digits=wish.digits)
        return capture

    def of(self, call: CallId, project: str) -> Capture:
        """A call's capture. Raises GatewayError(NOT_FOUND)."""
        capture = self._captures.get(call)
        if capture is None or capture.project != project:
            raise GatewayError(NOT_FOUND, "No capture of this call, or it is deleted already")
        return capture

    def file(self, call: CallId, project: str) -> Path:
        """Its file, which is complete. Raises GatewayError: NOT_FOUND, CAPTURING."""
        capture = self.of(call, project)
        if capture.done is None:
            raise GatewayError(CAPTURING, "It ends at " + capture.ends_at.isoformat("T", "seconds"))
        return capture.path

    def end(self, call: CallId, project: str) -> None:
        """Ends a call's capture now. Raises GatewayError(NOT_FOUND)."""
        self._end(self.of(call, project))

    # ---- what calls tell --------------------------------------------------------------------

    def keep_secret(self, call: CallId, secret: bool) -> None:
        """From now on what is pressed and said in a call is in no capture, or may be again."""
        (self._secret.add if secret else self._secret.discard)(call)
        capture = self._captures.get(call)
        if capture is not None and capture.done is None:
            self._packets.set_privacy(capture.handle, self._privacy(capture))

    def _privacy(self, capture: Capture) -> Privacy:
        if capture.call in self._secret:
            return Privacy.AUDIO
        return Privacy.NOTHING if capture.wish.digits else Privacy.DIGITS

    def _on_message(self, call: CallId, message: SipMessage) -> None:
        capture = self._captures.get(call)
        if capture is None or capture.done is not None or not capture.wish.sip:
            return
        ends = message.local, message.peer
        sender, receiver = ends if message.sent else ends[::-1]
        self._packets.add_message(
            capture.handle, message.at, sender, receiver, message.text.encode("utf-8", "replace"),
            stream=message.transport != "UDP", whole=message.length,
        )  # fmt: skip

    # ---- time -------------------------------------------------------------------------------

    def tick(self) -> None:
        """New legs join in, captures of calls that are over end, old files are deleted."""
        now = self._clock.now().monotonic
        running = {call: each for call, each in self._captures.items() if each.done is None}
        if running:
            for live in self._ports():
                if live.call in running and running[live.call].wish.rtp:
                    self._packets.add(running[live.call].handle, live.port)
            self._end_those_over(running, now)
        # A secret that the end of its call cut short lasts as long as anything is captured.
        self._secret = {c for c in self._secret if c in running or self._timelines.is_live(c)}
        keep = self._config.keep_minutes * 60
        for call, capture in list(self._captures.items()):
            if capture.done is not None and now - capture.done_at >= keep:
                self._delete(call)

    def _end_those_over(self, running: dict[CallId, Capture], now: float) -> None:
        for capture in running.values():
            if not self._timelines.is_live(capture.call):
                capture.gone_at = now if capture.gone_at is None else capture.gone_at
                if now - capture.gone_at >= LINGER:
                    self._end(capture)

    def _end(self, capture: Capture) -> None:
        if capture.done is None and not capture.closing:
            capture.closing = True
            self._packets.close(capture.handle)

    def _delete(self, call: CallId) -> None:
        _unlink(self._captures.pop(call).path)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("capture.not_deleted", file=path.name, reason=error.strerror)

"""Owns captures of packets as Python sees them: the typed face of capture.c."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.errors import MEDIA_FAILED, OVERLOADED, GatewayError
from gateway.media import _native
from gateway.media.values import Captured, PacketCapture, Privacy
from gateway.ports import MediaPort
from gateway.terms import CaptureEnd

_ffi: Any = _native.ffi
_lib: Any = _native.lib

MAX_MESSAGE = int(_lib.GWM_SIP_MESSAGE_MAX)
_ENDS = {
    _lib.GWM_CAPTURE_ASKED: CaptureEnd.ASKED,
    _lib.GWM_CAPTURE_TIME: CaptureEnd.TIME,
    _lib.GWM_CAPTURE_FULL: CaptureEnd.FULL,
    _lib.GWM_CAPTURE_DISK: CaptureEnd.DISK,
}


class PacketCaptures:
    """The captures of this process; some at a time. Belongs to the asyncio thread."""

    def __init__(self) -> None:
        self._sinks: dict[PacketCapture, Callable[[Captured], None]] = {}

    def open(
        self,
        path: Path,
        seconds: float,
        max_bytes: int,
        privacy: Privacy,
        done: Callable[[Captured], None],
    ) -> PacketCapture:
        """Writes into a new pcap file, of mode 0600, until `seconds` or `max_bytes` are over;
        `done` is told. Raises GatewayError: OVERLOADED, MEDIA_FAILED."""
        limits = round(seconds * 1000), max_bytes, privacy.value
        code = int(_lib.gwm_capture_open(str(path).encode(), *limits))
        if code < 0:
            verdict = OVERLOADED if code == _lib.GWM_EFULL else MEDIA_FAILED
            raise GatewayError(verdict, _ffi.string(_lib.gwm_last_message()).decode())
        self._sinks[code] = done
        return code

    def add(self, capture: PacketCapture, port: MediaPort) -> None:
        """Packets of a leg's port go into it; nothing happens when one of them is over."""
        _lib.gwm_capture_add(capture, port)

    def set_privacy(self, capture: PacketCapture, privacy: Privacy) -> None:
        """For all packets from now on."""
        _lib.gwm_capture_privacy(capture, privacy.value)

    def add_message(
        self,
        capture: PacketCapture,
        monotonic: float,
        sender: tuple[str, int],
        receiver: tuple[str, int],
        data: bytes,
        *,
        stream: bool = False,
        whole: int = 0,
    ) -> None:
        """A SIP message, cut to MAX_MESSAGE; left out where an address is none.

        stream: it came over TCP or TLS, and becomes a TCP segment, else a UDP datagram. whole: of
        how many bytes `data` is the beginning; 0: it is all.
        """
        whole = max(whole, len(data))
        data = data[:MAX_MESSAGE]
        _lib.gwm_capture_message(
            capture, round(monotonic * 1e6), stream, sender[0].encode(), sender[1],
            receiver[0].encode(), receiver[1], data, len(data), whole,
        )  # fmt: skip

    def close(self, capture: PacketCapture) -> None:
        """Ends it; its `done` is told when the file is complete."""
        _lib.gwm_capture_close(capture)

    def closed(self, native: Any) -> None:
        """The media plane says that a file is complete."""
        done = self._sinks.pop(native.port, None)
        if done is not None:
            done(Captured(_ENDS[native.value], native.id, native.duration_ms))

"""Owns taking SIP messages out of the media plane's trace (sip_trace.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.media import _native
from gateway.observability.timeline.entries import SipPacket

_ffi: Any = _native.ffi
_lib: Any = _native.lib


class SipTrace:
    """Every SIP message of this process, in order. Belongs to the asyncio thread."""

    def __init__(self, sink: Callable[[SipPacket], None]) -> None:
        self._sink = sink
        self._message = _ffi.new("gwm_sip_message *")
        self._text = _ffi.new("char[]", _lib.GWM_SIP_MESSAGE_MAX)

    def drain(self) -> None:
        """Hands over what is there."""
        message, text = self._message, self._text
        while _lib.gwm_sip_trace_next(message, text, _lib.GWM_SIP_MESSAGE_MAX) == 1:
            self._sink(
                SipPacket(
                    monotonic=message.monotonic_us / 1e6,
                    sent=bool(message.sent),
                    transport=_ascii(message.transport),
                    local=(_ascii(message.local), message.local_port),
                    peer=(_ascii(message.peer), message.peer_port),
                    data=bytes(_ffi.buffer(text, message.stored)),
                    length=message.length,
                )
            )


def sip_messages_lost() -> int:
    """Messages of this process that came faster than they were taken."""
    return int(_lib.gwm_sip_trace_lost())


def _ascii(text: Any) -> str:
    return str(_ffi.string(text).decode("ascii", "replace"))

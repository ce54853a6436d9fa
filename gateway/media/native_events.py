"""Owns what the media plane's events mean: values that calls know."""

from __future__ import annotations

from typing import Any

from gateway.media import _native
from gateway.ports import (
    DTMF_DIGITS,
    DigitBegan,
    DigitDropped,
    DigitEnded,
    DigitSent,
    MediaEvent,
    PlayDone,
    RecordClosed,
    RecordEnd,
    RecordOverrun,
    RecordStopped,
    RtpResumed,
    RtpStarted,
    RtpTimeout,
)

_lib: Any = _native.lib

_RECORD_ENDS = {
    _lib.GWM_STOPPED_LENGTH: RecordEnd.LENGTH,
    _lib.GWM_STOPPED_SILENCE: RecordEnd.SILENCE,
    _lib.GWM_STOPPED_DISK: RecordEnd.DISK,
}


def to_event(native: Any) -> MediaEvent:
    """A native event of a port as the value that calls know."""
    port, at = native.port, native.monotonic_us / 1e6
    digit = DTMF_DIGITS[native.digit] if 0 <= native.digit < 16 else "flash"
    match native.type:
        case _lib.GWM_DTMF_BEGIN:
            return DigitBegan(port, digit, native.id, at)
        case _lib.GWM_DTMF_END:
            return DigitEnded(port, digit, native.id, native.duration_ms, at)
        case _lib.GWM_DTMF_SENT:
            return DigitSent(port, digit, native.id, native.duration_ms, at)
        case _lib.GWM_DTMF_DROPPED:
            full = native.value == _lib.GWM_EFULL
            reason = "too many digits wait" if full else "the far end does not take it"
            return DigitDropped(port, digit, reason, at)
        case _lib.GWM_PLAY_DONE:
            return PlayDone(port, at)
        case _lib.GWM_RTP_STARTED:
            return RtpStarted(port, at)
        case _lib.GWM_RTP_TIMEOUT:
            return RtpTimeout(port, native.value, at)
        case _lib.GWM_RTP_RESUMED:
            return RtpResumed(port, at)
        case _lib.GWM_RECORD_STOPPED:
            return RecordStopped(port, _RECORD_ENDS[native.value], at)
        case _lib.GWM_RECORD_OVERRUN:
            return RecordOverrun(port, at)
        case _lib.GWM_RECORD_CLOSED:
            return RecordClosed(port, native.duration_ms, native.value, at)
    raise AssertionError(f"unknown native event {native.type}")

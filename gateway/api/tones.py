"""Tones that a browser asks for by signalling: one sequence per call, in real time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.api.ports import Tones
from gateway.errors import BAD_REQUEST, GatewayError

log = structlog.get_logger(__name__)

COMMA_SECONDS = 2.0  # W3C WebRTC 7.2, insertDTMF
MAX_WAITING = 256

Press = Callable[[str, int, int], None]
"""(digit, duration in ms, gap in ms); raises GatewayError when the call cannot take it."""


@dataclass(frozen=True, slots=True)
class _Tone:
    press: Press
    digit: str
    duration_ms: int
    gap_ms: int


class ToneSequence:
    """Presses the keys of one call one after another, with their lengths and gaps."""

    def __init__(self, on_done: Callable[[], None]) -> None:
        self._waiting: deque[_Tone] = deque()
        self._on_done = on_done
        self._task: asyncio.Task[None] | None = None

    def add(self, press: Press, tones: Tones) -> None:
        """Queues `tones`. Raises GatewayError when the first cannot be sent, or too many wait."""
        if len(self._waiting) + len(tones.digits) > MAX_WAITING:
            raise GatewayError(BAD_REQUEST, "Too many tones are waiting")
        new = deque(_Tone(press, each, tones.duration_ms, tones.gap_ms) for each in tones.digits)
        if self._task is None:
            first = new.popleft()
            pause = _begin(first)  # here, so that the one who asked hears of a failure
            self._task = asyncio.create_task(self._run(pause))
        self._waiting += new

    def cancel(self) -> None:
        """Drops what is waiting."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self, pause: float) -> None:
        try:
            await asyncio.sleep(pause)
            while self._waiting:
                pause = _begin(self._waiting.popleft())
                await asyncio.sleep(pause)
        except GatewayError as error:
            log.info("tones.dropped", code=error.verdict.code)  # the call ended meanwhile
        except Exception:  # task boundary: these tones are lost, the call goes on
            log.exception("tones.failed")
        finally:
            self._on_done()


def _begin(tone: _Tone) -> float:
    """Starts one tone; seconds until the next may start."""
    if tone.digit == ",":
        return COMMA_SECONDS
    tone.press(tone.digit, tone.duration_ms, tone.gap_ms)
    return (tone.duration_ms + tone.gap_ms) / 1000

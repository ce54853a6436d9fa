"""Time as an argument: what the shells pass into the pure core."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: seconds on the monotonic clock, and wall time in UTC."""

    monotonic: float
    wall: datetime


class Clock(Protocol):
    """Where shells read the time; tests pass a virtual one."""

    def now(self) -> Instant:
        """The present moment."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Instant:
        """The present moment on CLOCK_MONOTONIC and in UTC."""
        return Instant(time.monotonic(), datetime.now(UTC))

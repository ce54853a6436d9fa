"""Owns the token bucket: how often something may happen. Pure: time is an argument."""

from __future__ import annotations


class TokenBucket:
    """Permits `rate` takes per second and `burst` at once."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._level = float(burst)
        self._then = now

    def retune(self, rate: float, burst: int) -> None:
        """Another rate from now on. What was taken stays taken."""
        self._rate = rate
        self._burst = float(burst)

    def ready(self, now: float) -> bool:
        """Whether there is a token at monotonic time `now` (seconds)."""
        self._level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
        return self._level >= 1.0

    def take(self, now: float) -> bool:
        """Takes one token at monotonic time `now` (seconds); False when there is none."""
        if not self.ready(now):
            return False
        self._level -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Seconds from monotonic time `now` until there is a token."""
        return 0.0 if self.ready(now) else (1.0 - self._level) / self._rate

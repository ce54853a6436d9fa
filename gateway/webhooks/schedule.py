"""Owns when a delivery that failed is tried again, and when it is given up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class BackOff:
    """Exponential back-off with jitter; all in seconds.

    first: after the first failure; each wait doubles, up to `longest`. jitter: by which part of
    itself a wait is longer or shorter. patience: after that time from the delivery's beginning
    there are no more attempts. most_asked: what a receiver's Retry-After is at most believed.
    """

    first: float = 5.0
    longest: float = 6 * 3600.0
    jitter: float = 0.2
    patience: float = 3 * 86_400.0
    most_asked: float = 86_400.0

    def next_at(
        self,
        attempts: int,
        begun: datetime,
        now: datetime,
        chance: float,
        retry_after: float | None = None,
    ) -> datetime | None:
        """When to try again after the attempt number `attempts` (from 1) failed; None: never.

        chance: 0 to 1, from a random source; retry_after: seconds (RFC 9110 10.2.3).
        """
        exponent = min(attempts - 1, 60)  # beyond, a float is no more
        wait = min(self.first * 2.0**exponent, self.longest)
        wait *= 1 + self.jitter * (2 * chance - 1)
        if retry_after is not None:
            wait = max(wait, self.asked(retry_after))
        then = now + timedelta(seconds=wait)
        return None if then > begun + timedelta(seconds=self.patience) else then

    def asked(self, retry_after: float) -> float:
        """For how long a receiver is left alone that asks for it."""
        return min(max(retry_after, 0.0), self.most_asked)

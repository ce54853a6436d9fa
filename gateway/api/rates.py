"""Owns how often a key or user may ask the API."""

from __future__ import annotations

import math
from collections import OrderedDict

from gateway.api.limits import RATE_LIMITED
from gateway.api.problems import RequestError
from gateway.clock import Clock
from gateway.config.model import HttpConfig
from gateway.identity.bucket import TokenBucket
from gateway.identity.values import Identity

KNOWN = 10_000
"""Accounts whose rates are remembered; one that is forgotten begins with a full bucket."""


class RateLimits:
    """One token bucket for each account."""

    def __init__(self, config: HttpConfig, clock: Clock) -> None:
        self._rate = config.requests_per_second
        self._burst = config.burst
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def check(self, identity: Identity) -> None:
        """Counts one request. Raises RequestError(RATE_LIMITED) with Retry-After (RFC 6585 4)."""
        account = identity.key_id or f"{identity.address} {identity.account} {identity.key}"
        now = self._clock.now().monotonic
        bucket = self._buckets.get(account)
        if bucket is None:
            bucket = self._buckets[account] = TokenBucket(self._rate, self._burst, now)
            if len(self._buckets) > KNOWN:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(account)
        if not bucket.take(now):
            wait = max(1, math.ceil(bucket.wait(now)))
            raise RequestError(
                RATE_LIMITED.because(f"Too many requests: wait {wait} s"),
                headers={"Retry-After": str(wait)},
            )

"""Owns caps on calls: how many at once, per second, and minutes a day. Pure: time is an argument.

A call is counted when it is admitted, in one step and before anything else is done about it, so
that requests at the same time cannot all find the same room. What of a day was not counted here,
because another process or another node did, is told to the ledger (`carry`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from gateway.clock import Instant
from gateway.config.identity import Caps
from gateway.errors import Blame, GatewayError, Verdict
from gateway.identity.bucket import TokenBucket
from gateway.identity.values import Grant

TOO_MANY_AT_ONCE = Verdict(
    "caller_busy", 486, 429, 17, Blame.CALLER, "You have as many calls as you may"
)
TOO_FAST = Verdict("calling_too_fast", 503, 429, 42, Blame.CALLER, "You call too often")
MINUTES_USED = Verdict(
    "minutes_used_up", 403, 429, 21, Blame.CALLER, "Your minutes of today are used up"
)


@dataclass(eq=False)
class Permit:
    """A call that is counted. Belongs to its Ledger."""

    since: Instant
    accounts: tuple[_Account, ...]


@dataclass(eq=False)
class _Account:
    mark: str  # see fingerprint
    caps: Caps
    bucket: TokenBucket | None
    day: date
    live: set[Permit] = field(default_factory=set)
    used: float = 0.0  # seconds of `day`, of calls that are over
    carried: float = 0.0  # seconds of `day` that were not counted here

    def turn_to(self, day: date) -> None:
        if day > self.day:
            self.day, self.used, self.carried = day, 0.0, 0.0

    def counted(self, now: Instant) -> float:
        """Seconds of today that were counted here, live calls included."""
        return self.used + sum(_today(permit, now) for permit in self.live)

    def left(self, now: Instant) -> float:
        if self.caps.minutes_per_day is None:
            return math.inf
        return self.caps.minutes_per_day * 60 - self.carried - self.counted(now)

    def refusal(self, now: Instant) -> Verdict | None:
        if self.caps.max_calls is not None and len(self.live) >= self.caps.max_calls:
            return TOO_MANY_AT_ONCE
        if self.left(now) <= 0:
            return MINUTES_USED
        rate = self.caps.calls_per_second
        if rate is not None and self.bucket is not None and not self.bucket.ready(now.monotonic):
            return TOO_FAST
        return None

    def recap(self, caps: Caps, now: Instant) -> None:
        rate = caps.calls_per_second
        if self.bucket is None:
            self.bucket = _bucket(caps, now)
        elif rate is not None:
            self.bucket.retune(rate, math.ceil(rate))
        self.caps = caps


class Ledger:
    """The calls of all identities of a node."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._carried: dict[str, float] = {}  # by fingerprint, of `_day`
        self._day = date.min

    def admit(self, grants: Iterable[Grant], now: Instant) -> Permit:
        """Counts a call with every grant's account.

        Raises GatewayError: TOO_MANY_AT_ONCE, TOO_FAST, MINUTES_USED; it is counted nowhere then.
        """
        self._turn(now)
        accounts = tuple(self._account(grant, now) for grant in grants if _counts(grant.caps))
        for account in accounts:
            refusal = account.refusal(now)
            if refusal is not None:
                raise GatewayError(refusal)
        permit = Permit(now, accounts)
        for account in accounts:
            account.live.add(permit)
            if account.bucket is not None:
                account.bucket.take(now.monotonic)
        return permit

    def release(self, permit: Permit, now: Instant, *, placed: bool = True) -> None:
        """The call is over; nothing happens the second time. Not `placed`: it used no time."""
        self._turn(now)
        for account in permit.accounts:
            if permit in account.live:
                account.live.remove(permit)
                if placed:
                    account.used += _today(permit, now)

    def seconds_left(self, permit: Permit, now: Instant) -> float:
        """How long the call may go on, if the others of its accounts do so too."""
        self._turn(now)
        lefts = (account.left(now) / max(1, len(account.live)) for account in permit.accounts)
        return max(0.0, min(lefts, default=math.inf))

    def counted(self, now: Instant) -> tuple[date, dict[str, float]]:
        """Today, and the seconds of it that were counted here, by the accounts' fingerprints."""
        self._turn(now)
        each = ((account.mark, account.counted(now)) for account in self._accounts.values())
        return self._day, {mark: seconds for mark, seconds in each if seconds}

    def carry(self, day: date, seconds: Mapping[str, float]) -> None:
        """Of `day` these accounts, by their fingerprints, have used so much besides what was
        counted here. Replaces what was told of them before; of another day nothing is wanted."""
        if day != self._day:
            return
        self._carried.update(seconds)
        for account in self._accounts.values():
            account.carried = self._carried.get(account.mark, 0.0)

    def _account(self, grant: Grant, now: Instant) -> _Account:
        account = self._accounts.get(grant.account)
        caps = grant.caps
        if account is None:
            mark = fingerprint(grant.account)
            carried = self._carried.get(mark, 0.0)
            account = _Account(mark, caps, _bucket(caps, now), self._day, carried=carried)
            self._accounts[grant.account] = account
        elif account.caps != caps:
            # Another token may say something else; what was used stays used.
            account.recap(caps, now)
        return account

    def _turn(self, now: Instant) -> None:
        """A new day (UTC): nothing is used, and who has no calls is forgotten."""
        day = now.wall.astimezone(UTC).date()
        if day <= self._day:
            return
        self._day = day
        self._carried.clear()
        self._accounts = {name: one for name, one in self._accounts.items() if one.live}
        for account in self._accounts.values():
            account.turn_to(day)


def fingerprint(account: str) -> str:
    """Under which name a database counts: accounts have users' names in them."""
    return hashlib.sha256(account.encode()).hexdigest()


def _counts(caps: Caps) -> bool:
    capped = (caps.max_calls, caps.calls_per_second, caps.minutes_per_day)
    return any(cap is not None for cap in capped)


def _bucket(caps: Caps, now: Instant) -> TokenBucket | None:
    rate = caps.calls_per_second
    return None if rate is None else TokenBucket(rate, math.ceil(rate), now.monotonic)


def _today(permit: Permit, now: Instant) -> float:
    """Seconds of the call that are of the present day."""
    wall = now.wall.astimezone(UTC)
    midnight = datetime.combine(wall.date(), time(), UTC)
    since_midnight = (wall - midnight).total_seconds()
    return min(now.monotonic - permit.since.monotonic, since_midnight)

"""Owns how trunks do: a fold of the event log, from the outcomes of calls alone.

What counts is whether the trunk did its work. A busy callee was reached; a trunk that did not
answer, or that refused for reasons of its own (blame `peer`, `network`), failed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime

from gateway.clock import Instant
from gateway.errors import Blame
from gateway.events import (
    CallAnswered,
    CallCreated,
    CallEarlyMedia,
    CallEnded,
    CallRinging,
    LegAdded,
    LegGone,
)
from gateway.ids import CallId, LegId
from gateway.storage.event_log import Envelope, EventLog, EventsLost
from gateway.terms import TrunkState

RECENT = 300.0
"""Seconds that counts of outcomes cover."""
STALE = 3600.0
"""Seconds after which an outcome says nothing any more."""
FAILING_AFTER = 3
"""Failures in a row that make a trunk failing which worked before."""
QUEUE = 50_000
"""Events that may wait to be read: more than a second of the busiest node's."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that the trunk failed. `code`: the verdict's."""

    at: Instant
    code: str
    sip_status: int


@dataclass(frozen=True, slots=True)
class TrunkHealth:
    """How a trunk does. Counts of the last RECENT seconds; all of it since the node's start."""

    state: TrunkState
    last_success: datetime | None
    last_failure: Failure | None
    failures_in_row: int
    answered: int
    failed: int
    incoming: int  # live legs
    outgoing: int


def state_of(
    success: float | None, failure: float | None, failures_in_row: int, now: float
) -> TrunkState:
    """The rule. Moments of the last success and failure, and now, on the monotonic clock.

    Three failures in a row make it failing, or one where nothing ever worked; one success makes it
    up; an hour without any call leaves it unknown.
    """
    known = [moment for moment in (success, failure) if moment is not None]
    if not known or now - max(known) > STALE:
        return TrunkState.UNKNOWN
    if failures_in_row >= FAILING_AFTER or success is None:
        return TrunkState.FAILING
    return TrunkState.UP


@dataclass(slots=True)
class _Leg:
    trunk: str
    incoming: bool
    rang: bool = False
    answered: bool = False


@dataclass(slots=True)
class _Trunk:
    success: Instant | None = None
    failure: Failure | None = None
    in_row: int = 0
    answers: deque[float] = field(default_factory=deque)  # monotonic
    failures: deque[float] = field(default_factory=deque)

    def forget(self, now: float) -> None:
        for moments in (self.answers, self.failures):
            while moments and now - moments[0] > RECENT:
                moments.popleft()


class TrunkFold:
    """What events say about trunks."""

    def __init__(self) -> None:
        self._trunks: dict[str, _Trunk] = {}
        self._calls: dict[CallId, dict[LegId, _Leg]] = {}
        self._came_from: dict[CallId, str] = {}

    def apply(self, envelope: Envelope) -> None:
        """The next event."""
        call, event = envelope.call, envelope.event
        match event:
            case CallCreated(trunk=str(trunk)):
                self._came_from[call] = trunk
            case LegAdded(trunk=str(trunk)):
                # A caller's leg that we called is no incoming one: its call came from no trunk.
                incoming = event.role == "caller" and self._came_from.get(call) == trunk
                self._calls.setdefault(call, {})[event.leg] = _Leg(trunk, incoming)
            case CallRinging(leg) | CallEarlyMedia(leg):
                if (known := self._leg(call, leg)) is not None:
                    known.rang = True
            case CallAnswered(leg):
                known = None if leg is None else self._leg(call, leg)
                if known is not None and not known.incoming:
                    known.answered = True
                    self._answered(known.trunk, envelope.at)
            case LegGone():
                known = self._calls.get(call, {}).pop(event.leg, None)
                if known is not None and not known.incoming and not known.answered:
                    self._ended(known, event, envelope.at)
            case CallEnded():
                self._calls.pop(call, None)
                self._came_from.pop(call, None)

    def keep(self, live: Container[CallId]) -> None:
        """Events were missed: forgets the calls that are not live any more."""
        self._calls = {call: legs for call, legs in self._calls.items() if call in live}
        self._came_from = {call: trunk for call, trunk in self._came_from.items() if call in live}

    def health(self, trunk: str, now: Instant) -> TrunkHealth:
        """How `trunk` does."""
        known = self._trunks.get(trunk) or _Trunk()
        known.forget(now.monotonic)
        legs = [leg for call in self._calls.values() for leg in call.values() if leg.trunk == trunk]
        incoming = sum(leg.incoming for leg in legs)
        success = None if known.success is None else known.success.monotonic
        failure = None if known.failure is None else known.failure.at.monotonic
        return TrunkHealth(
            state=state_of(success, failure, known.in_row, now.monotonic),
            last_success=None if known.success is None else known.success.wall,
            last_failure=known.failure,
            failures_in_row=known.in_row,
            answered=len(known.answers),
            failed=len(known.failures),
            incoming=incoming,
            outgoing=len(legs) - incoming,
        )

    def _leg(self, call: CallId, leg: LegId) -> _Leg | None:
        return self._calls.get(call, {}).get(leg)

    def _answered(self, trunk: str, at: Instant) -> None:
        known = self._succeeded(trunk, at)
        known.answers.append(at.monotonic)
        known.forget(at.monotonic)

    def _ended(self, leg: _Leg, gone: LegGone, at: Instant) -> None:
        """An outgoing leg that nobody answered."""
        verdict = gone.verdict
        if verdict.blame in (Blame.PEER, Blame.NETWORK):
            known = self._trunks.setdefault(leg.trunk, _Trunk())
            known.failure = Failure(at, verdict.code, verdict.sip_status)
            known.in_row += 1
            known.failures.append(at.monotonic)
            known.forget(at.monotonic)
        elif gone.by_peer or leg.rang:
            self._succeeded(leg.trunk, at)

    def _succeeded(self, trunk: str, at: Instant) -> _Trunk:
        known = self._trunks.setdefault(trunk, _Trunk())
        known.success, known.in_row = at, 0
        return known


class TrunkWatch:
    """Follows a node's log. Belongs to the asyncio thread.

    It reads the log from the moment it is made, which therefore is before the first call.
    """

    def __init__(self, log: EventLog, live: Container[CallId]) -> None:
        """live: the calls that live, at any moment."""
        self._subscription = log.subscribe(capacity=QUEUE)
        self._live = live
        self._fold = TrunkFold()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to follow."""
        self._task = asyncio.create_task(self._follow(), name="trunks")

    async def stop(self) -> None:
        """Follows no more."""
        self._subscription.close()
        if self._task is not None:
            await self._task

    def health(self, trunk: str, now: Instant) -> TrunkHealth:
        """How `trunk` does."""
        while (item := self._subscription.take()) is not None:
            self._take(item)
        return self._fold.health(trunk, now)

    async def _follow(self) -> None:
        async for item in self._subscription:
            self._take(item)

    def _take(self, item: Envelope | EventsLost) -> None:
        if isinstance(item, EventsLost):
            self._fold.keep(self._live)
        else:
            self._fold.apply(item)

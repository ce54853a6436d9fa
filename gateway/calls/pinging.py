"""Owns when a trunk is asked by OPTIONS, and what answers and silence mean. Pure.

One ping waits for its answer at a time. One that has none in time is missed, and the next one
leaves in its turn; an answer that comes after that still proves that the trunk lives.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from gateway.clock import Instant
from gateway.ports import OptionsReply

MISSES = 3
"""Misses in a row that make a trunk down."""
ANSWER_WITHIN = 4.0
"""Seconds that an answer may take: on UDP the request has been sent four times by then (RFC 3261
17.1.2.2: after 0, 0.5, 1.5 and 3.5 s)."""
JITTER = 0.1
"""Share of the interval by which pings come earlier or later, so that those of many trunks, and of
many nodes, do not stay together."""
SPREAD = 2.0
"""Seconds after the start within which each trunk is asked first."""

_SILENCE = OptionsReply(408, "No answer in time")


class Reach(enum.StrEnum):
    """What pings say about a trunk."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Pinging:
    """The pings of one trunk. Times on the monotonic clock in seconds, where they are floats."""

    interval: float
    next_at: float
    number: int = 0  # of the last ping
    pending: bool = False  # it may still be answered in time
    reach: Reach = Reach.UNKNOWN
    since: float = 0.0  # that `reach` holds
    misses: int = 0  # in a row
    asked: Instant | None = None
    answered: Instant | None = None  # a proof of life
    rtt: float | None = None  # seconds, of the last response
    last: OptionsReply | None = None

    @property
    def deadline(self) -> float:
        """When the pending ping is missed: always before the next one leaves."""
        assert self.asked is not None
        patience = min(ANSWER_WITHIN, self.interval * (1 - 2 * JITTER))
        return self.asked.monotonic + patience

    @property
    def due(self) -> float:
        """When `tick` has something to do."""
        return self.deadline if self.pending else self.next_at


def begin(interval: float, now: float, chance: float) -> Pinging:
    """The pings of a trunk that is to be asked each `interval` seconds. chance: 0 to 1."""
    return Pinging(interval, now + chance * min(SPREAD, interval))


def tick(pings: Pinging, now: Instant, chance: float) -> tuple[Pinging, bool]:
    """Time has passed. Whether a ping is to be sent now: it has the number `Pinging.number`.

    chance: 0 to 1, by which jitter is chosen.
    """
    if pings.pending and now.monotonic >= pings.deadline:
        pings = _missed(pings, _SILENCE, now)
    if pings.pending or now.monotonic < pings.next_at:
        return pings, False
    wait = pings.interval * (1 + JITTER * (2 * chance - 1))
    sent = replace(
        pings,
        number=pings.number + 1,
        pending=True,
        asked=now,
        next_at=now.monotonic + wait,
    )
    return sent, True


def replied(pings: Pinging, number: int, reply: OptionsReply, now: Instant) -> Pinging:
    """Something came of ping `number`: an answer, in time or late, or none."""
    pending = pings.pending and number == pings.number
    if reply.lives:
        up = pings if pings.reach is Reach.UP else _now(pings, Reach.UP, now)
        return replace(
            up,
            pending=pings.pending and not pending,
            misses=0,
            answered=now,
            rtt=reply.rtt,
            last=reply,
        )
    return _missed(pings, reply, now) if pending else pings


def given_up(pings: Pinging, number: int) -> Pinging:
    """Ping `number` could not be sent, by no fault of the trunk's: it says nothing."""
    return replace(pings, pending=False) if number == pings.number else pings


def _missed(pings: Pinging, reply: OptionsReply, now: Instant) -> Pinging:
    misses = pings.misses + 1
    rtt = pings.rtt if reply.rtt is None else reply.rtt
    told = replace(pings, pending=False, misses=misses, last=reply, rtt=rtt)
    if misses < MISSES or pings.reach is Reach.DOWN:
        return told
    return _now(told, Reach.DOWN, now)


def _now(pings: Pinging, reach: Reach, now: Instant) -> Pinging:
    return replace(pings, reach=reach, since=now.monotonic)

"""Owns the course of a dial: which targets ring next, and when it has come to nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.dialplan import Destination, DialOut, DialTrunk
from gateway.errors import UNAVAILABLE, Verdict
from gateway.verbs.dialling import DialSettings, Strategy


@dataclass(frozen=True, slots=True)
class Hunt:
    """A dial under way. `later`: the targets that have not rung, those of one entry together."""

    later: tuple[tuple[Destination, ...], ...]
    how: DialSettings
    failures: tuple[Verdict, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nobody else is to be called: none is left, or a code stops it."""
        return not self.later or any(
            failure.sip_status in self.how.stop_on for failure in self.failures
        )

    @property
    def verdict(self) -> Verdict:
        """Of several refusals, the one to tell: 6xx, then the lowest (RFC 3261 16.7 step 6)."""
        if not self.failures:
            return UNAVAILABLE
        return min(
            self.failures, key=lambda verdict: (verdict.sip_status < 600, verdict.sip_status)
        )

    @property
    def screens(self) -> bool:
        """Whether who answers hears or confirms something before the two are joined."""
        return self.how.whisper is not None or self.how.confirm is not None

    def failed(self, *verdicts: Verdict) -> Hunt:
        """Targets did not take the call."""
        return replace(self, failures=(*self.failures, *verdicts))

    def next(self) -> tuple[tuple[Destination, ...], Hunt]:
        """The targets that ring now, and the hunt that is left."""
        return self.later[0], replace(self, later=self.later[1:])


def hunt(dial: DialOut) -> Hunt:
    """The course of `dial`. Least cost comes sorted, and rounds come turned."""
    if dial.how.strategy is Strategy.SIMULTANEOUS:
        return Hunt((dial.targets,) if dial.targets else (), dial.how)
    return Hunt(tuple((target,) for target in dial.targets), dial.how)


def turned(dial: DialOut, turn: int) -> DialOut:
    """`dial` of a round, begun at place `turn`; other dials are as they are."""
    if dial.how.strategy is not Strategy.ROUND_ROBIN or not dial.targets:
        return dial
    start = turn % len(dial.targets)
    return replace(dial, targets=dial.targets[start:] + dial.targets[:start])


def down_last(dial: DialOut, down: Callable[[str], bool]) -> DialOut:
    """`dial` with the targets at trunks that are down behind the others, each group in its order.

    They are tried all the same: who is last in vain loses nothing, and a silent trunk may take
    calls.
    """

    def is_down(target: Destination) -> bool:
        return isinstance(target, DialTrunk) and down(target.trunk)

    return replace(dial, targets=tuple(sorted(dial.targets, key=is_down)))

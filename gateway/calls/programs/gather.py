"""Owns gathering digits: a small pure state machine; time is an argument (monotonic seconds)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.numbers.pattern import Pattern


@dataclass(frozen=True, slots=True)
class Rules:
    """When gathering is over. Times in seconds."""

    max_digits: int = 4
    terminators: str = "#"
    first_timeout: float = 8.0  # from the end of the prompt to the first key
    inter_digit_timeout: float = 4.0  # from the release of a key to the next
    total_timeout: float = 30.0  # from the end of the prompt, or the first key, to the end
    patterns: tuple[Pattern, ...] = ()  # digits that fit one are complete
    barge_in: bool = True  # keys count while the prompt plays, and stop it
    whole_keys: bool = False  # a key that was down when it all began does not count

    def accept(self, digits: str) -> bool:
        """Whether `digits` fit a pattern, if there are any."""
        fits = any(pattern.mismatch(digits) is None for pattern in self.patterns)
        return fits or not self.patterns


class Reason(enum.StrEnum):
    """Why gathering is over."""

    COMPLETE = "complete"  # as many digits as wanted
    TERMINATED = "terminated"  # by a terminator
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What gathering brought: `digits` without the terminator, whether they are good, and why it
    was over."""

    digits: str = field(repr=False)
    good: bool
    reason: Reason

    @property
    def variables(self) -> Mapping[str, str]:
        """What a script remembers of it."""
        reason = str(self.reason) if self.good else "invalid" if self.digits else "nothing"
        return {"digits": self.digits, "gather_reason": reason}


@dataclass(frozen=True, slots=True)
class Gathering:
    """Gathering in progress, or over (`reason`)."""

    rules: Rules
    digits: str = field(default="", repr=False)
    key_down: bool = False  # while a key is held, the gap after it has not begun
    quiet_since: float | None = None  # None: the prompt still plays and no key was pressed
    started: float | None = None
    reason: Reason | None = None

    @property
    def deadline(self) -> float | None:
        """When `time_passed` is due; None: not running."""
        if self.reason is not None or self.quiet_since is None or self.started is None:
            return None
        total = self.started + self.rules.total_timeout
        if self.key_down:
            return total
        gap = self.rules.inter_digit_timeout if self.digits else self.rules.first_timeout
        return min(total, self.quiet_since + gap)

    @property
    def _plays_on(self) -> bool:
        """Whether keys do not count yet."""
        return self.started is None and not self.rules.barge_in

    def prompt_ended(self, now: float) -> Gathering:
        """The prompt is over: the caller's time begins, unless a key began it."""
        if self.started is not None:
            return self
        return replace(self, started=now, quiet_since=now)

    def key_pressed(self, now: float) -> Gathering:
        """A key went down (barge-in: the prompt is to stop)."""
        if self.reason is not None or self._plays_on:
            return self
        started = now if self.started is None else self.started
        return replace(self, key_down=True, started=started, quiet_since=now)

    def key_released(self, digit: str, now: float) -> Gathering:
        """A key came up; its digit counts."""
        if self.reason is not None or self._plays_on:
            return self
        if self.rules.whole_keys and not self.key_down:
            return self
        state = replace(self.key_pressed(now), key_down=False)
        if digit in self.rules.terminators:
            return replace(state, reason=Reason.TERMINATED)
        state = replace(state, digits=state.digits + digit)
        fits = self.rules.patterns and self.rules.accept(state.digits)
        if fits or len(state.digits) >= self.rules.max_digits:
            return replace(state, reason=Reason.COMPLETE)
        return state

    def time_passed(self, now: float) -> Gathering:
        """It is `now`: over, if the deadline has come."""
        if self.deadline is not None and now >= self.deadline:
            return replace(self, reason=Reason.TIMEOUT)
        return self

"""Owns the conditions of rules: each says why it does not hold, and quotes nothing. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from gateway.dialplan.regex import Regex
from gateway.dialplan.request import Facts
from gateway.dialplan.times import Window
from gateway.numbers.facts import NumberType, facts_of
from gateway.numbers.normal import is_withheld
from gateway.numbers.pattern import Pattern

_EITHER = {NumberType.FIXED_LINE, NumberType.MOBILE}


class Condition(Protocol):
    """One condition."""

    def mismatch(self, facts: Facts) -> str | None:
        """Why it does not hold, without quoting what the caller sent; None: it holds."""
        ...


class Side(enum.StrEnum):
    """Whose number."""

    CALLEE = "callee"
    CALLER = "caller"


def type_in(kind: NumberType, wanted: frozenset[NumberType]) -> bool:
    """Whether a number of `kind` is one of `wanted`; where a country does not tell mobile from
    fixed numbers, its numbers are both."""
    return kind in wanted or (kind is NumberType.FIXED_LINE_OR_MOBILE and bool(wanted & _EITHER))


@dataclass(frozen=True, slots=True)
class NumberIs:
    """Callee or caller: all that is given has to hold, of each list one."""

    side: Side
    patterns: tuple[Pattern, ...] = ()
    regex: Regex | None = None
    prefixes: tuple[str, ...] = ()
    withheld: bool | None = None

    def mismatch(self, facts: Facts) -> str | None:
        """Why it does not hold."""
        reason = self._reason(self._number(facts))
        return f"caller: {reason}" if reason and self.side is Side.CALLER else reason

    def captures(self, facts: Facts) -> tuple[str, ...]:
        """What the pattern's or the expression's groups hold, for a call that matches."""
        number = self._number(facts)
        for pattern in self.patterns:
            if pattern.groups and pattern.mismatch(number) is None:
                return pattern.captures(number)
        return self.regex.captures(number) if self.regex else ()

    def _number(self, facts: Facts) -> str:
        return facts.callee if self.side is Side.CALLEE else facts.caller

    def _reason(self, number: str) -> str | None:
        if self.patterns:
            reasons = []
            for pattern in self.patterns:
                reason = pattern.mismatch(number)
                if reason is None:
                    break
                reasons.append(reason)
            else:
                return reasons[0] if len(reasons) == 1 else f"none of {len(reasons)} patterns"
        if self.prefixes and not number.startswith(self.prefixes):
            return "another prefix"
        if self.withheld is not None and is_withheld(number) != self.withheld:
            return "withheld" if not self.withheld else "not withheld"
        if self.regex and not self.regex.matches(number):
            return "the expression does not match"
        return None


@dataclass(frozen=True, slots=True)
class NumberPlanIs:
    """Country and type of callee or caller; of each list one."""

    side: Side
    countries: frozenset[str] = frozenset()
    types: frozenset[NumberType] = frozenset()

    def mismatch(self, facts: Facts) -> str | None:
        """Why it does not hold."""
        known = facts_of(facts.callee if self.side is Side.CALLEE else facts.caller)
        if known is None:
            return f"{self.side}: no E.164 number"
        if self.countries and known.country not in self.countries:
            return f"{self.side}: another country"
        if self.types and not type_in(known.type, self.types):
            return f"{self.side}: another type of number"
        return None


@dataclass(frozen=True, slots=True)
class ValueIs:
    """A header (name in lower case) or a call variable."""

    kind: str  # "header" or "variable"
    name: str
    equals: str | None = None
    regex: Regex | None = None
    present: bool = True

    def mismatch(self, facts: Facts) -> str | None:
        """Why it does not hold."""
        values = facts.headers if self.kind == "header" else facts.variables
        value = values.get(self.name)
        what = f"{self.kind} {self.name}"
        if value is None:
            return f"no {what}" if self.present else None
        if not self.present:
            return f"{what} is there"
        if self.equals is not None and value != self.equals:
            return f"{what} differs"
        if self.regex and not self.regex.matches(value):
            return f"{what}: the expression does not match"
        return None


@dataclass(frozen=True, slots=True)
class TimeIs:
    """The time of the call is in one of the windows."""

    windows: tuple[Window, ...]

    def mismatch(self, facts: Facts) -> str | None:
        """Why it does not hold."""
        at = facts.request.at
        if at is None:
            return "the time is not known"
        reason = None
        for window in self.windows:
            reason = window.mismatch(at)
            if reason is None:
                return None
        return f"time: {reason}"

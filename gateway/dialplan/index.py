"""Owns finding the few rules of many that a number can match, in the order of the plan. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gateway.dialplan.conditions import Condition, NumberIs, Side
from gateway.numbers.pattern import Pattern

MOST_PREFIXES = 8
"""How many prefixes a pattern such as _+4[19]N may be spelled out into: more would cost memory."""


class Index:
    """Rules by what the callee, else the caller, has to be or begin with. Rules without such a
    condition are candidates always. First match stays first match: candidates come in order."""

    def __init__(self, rules: Iterable[Sequence[Condition]]) -> None:
        self._sides = {Side.CALLEE: _Lookup(), Side.CALLER: _Lookup()}
        self._always: list[int] = []
        for place, conditions in enumerate(rules):
            if not (
                self._file(Side.CALLEE, conditions, place)
                or self._file(Side.CALLER, conditions, place)
            ):
                self._always.append(place)

    def candidates(self, callee: str, caller: str) -> Sequence[int]:
        """Places of the rules that may match, in order."""
        found = self._sides[Side.CALLEE].find(callee) + self._sides[Side.CALLER].find(caller)
        if not found:
            return self._always
        return sorted({*found, *self._always})

    def _file(self, side: Side, conditions: Sequence[Condition], place: int) -> bool:
        for condition in conditions:
            if isinstance(condition, NumberIs) and condition.side is side:
                leads = _leads(condition)
                if leads is not None:
                    self._sides[side].add(leads, place)
                    return True
        return False


class _Lookup:
    """Places by exact text, and by beginning."""

    def __init__(self) -> None:
        self._exact: defaultdict[str, list[int]] = defaultdict(list)
        self._prefixes: defaultdict[str, list[int]] = defaultdict(list)
        self._lengths: set[int] = set()

    def add(self, leads: Iterable[tuple[str, bool]], place: int) -> None:
        for text, exact in leads:
            if exact:
                self._exact[text].append(place)
            else:
                self._prefixes[text].append(place)
                self._lengths.add(len(text))

    def find(self, number: str) -> list[int]:
        found = list(self._exact.get(number, ()))
        for length in self._lengths:
            if length <= len(number):
                found += self._prefixes.get(number[:length], ())
        return found


def _leads(condition: NumberIs) -> list[tuple[str, bool]] | None:
    """What a number has to be (True) or begin with (False), one of them. None: anything."""
    if len(condition.patterns) == 1 and condition.patterns[0].exact:
        return [(condition.patterns[0].source, True)]
    if condition.patterns:
        leads = [lead for pattern in condition.patterns for lead in _of_pattern(pattern)]
    else:
        leads = [(prefix, False) for prefix in condition.prefixes]
    return leads if leads and all(text for text, _ in leads) else None


def _of_pattern(pattern: Pattern) -> list[tuple[str, bool]]:
    if pattern.exact:
        return [(pattern.source, True)]
    prefixes = [""]
    for allowed in pattern.places:
        if len(prefixes) * len(allowed) > MOST_PREFIXES:
            break
        prefixes = [prefix + character for prefix in prefixes for character in allowed]
    return [(prefix, False) for prefix in prefixes]

"""Owns finding a way through contexts that comes back to its beginning. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.document import Path


@dataclass(frozen=True, slots=True)
class Jump:
    """A way from one context to another, and where the file says so."""

    start: str
    to: str
    path: Path


def circle(jumps: Iterable[Jump]) -> list[Jump]:
    """The jumps of one circle, in order; empty: there is none."""
    ways: defaultdict[str, list[Jump]] = defaultdict(list)
    for each in jumps:
        ways[each.start].append(each)
    done: set[str] = set()
    for start in list(ways):
        way: list[Jump] = []
        stack = [(start, iter(ways[start]))] if start not in done else []
        while stack:
            here, rest = stack[-1]
            jump = next(rest, None)
            if jump is None:
                done.add(here)
                stack.pop()
                if way:
                    way.pop()
                continue
            on_the_way = [context for context, _ in stack]
            if jump.to in on_the_way:
                return [*way, jump][on_the_way.index(jump.to) :]
            if jump.to not in done:
                way.append(jump)
                stack.append((jump.to, iter(ways.get(jump.to, ()))))
    return []

"""Owns dialled-string patterns: parsing them, and matching in time linear in the string.

A pattern without a leading `_` is the exact string. After `_`: X is 0-9, Z is 1-9, N is 2-9,
`[13-57#]` is one of a set, `.` at the end is one or more of anything, `!` at the end is zero or
more; everything else is itself.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = {
    "X": frozenset("0123456789"),
    "Z": frozenset("123456789"),
    "N": frozenset("23456789"),
}
MAX_LENGTH = 128


class PatternError(ValueError):
    """A pattern that means nothing; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern. `rest` is the least number of further characters; None: no more."""

    source: str
    places: tuple[frozenset[str], ...]
    rest: int | None

    def mismatch(self, dialled: str) -> str | None:
        """Why `dialled` does not match, without quoting it; None: it matches."""
        fixed = len(self.places)
        for index, (character, allowed) in enumerate(zip(dialled, self.places, strict=False), 1):
            if character not in allowed:
                return f"character {index} differs"
        if len(dialled) < fixed + (self.rest or 0):
            return "too short"
        if len(dialled) > fixed and self.rest is None:
            return "too long"
        return None


def parse_pattern(source: str) -> Pattern:
    """Parses `source`. Raises PatternError."""
    if not source:
        raise PatternError("an empty pattern: write what was dialled, or a pattern such as _NXX")
    if len(source) > MAX_LENGTH:
        raise PatternError(f"a pattern longer than {MAX_LENGTH} characters: shorten it")
    if not source.startswith("_"):
        return Pattern(source, tuple(frozenset(character) for character in source), None)
    places: list[frozenset[str]] = []
    body, at = source[1:], 0
    if not body:
        raise PatternError("a pattern of _ alone: write something behind it, such as _NXX")
    while at < len(body):
        character = body[at]
        if character in ".!":
            if at + 1 < len(body):
                raise PatternError(f"{character!r} before the end: put it last or leave it out")
            return Pattern(source, tuple(places), 1 if character == "." else 0)
        if character == "[":
            end = body.find("]", at)
            if end < 0:
                raise PatternError("a [ without ]: close the set")
            places.append(_parse_set(body[at + 1 : end]))
            at = end + 1
            continue
        places.append(CLASSES.get(character, frozenset(character)))
        at += 1
    return Pattern(source, tuple(places), None)


def _parse_set(body: str) -> frozenset[str]:
    """The inside of [...]: characters, and ranges a-z; `-` first or last is itself."""
    if not body:
        raise PatternError("an empty set []: write characters between the brackets")
    members: set[str] = set()
    at = 0
    while at < len(body):
        if at + 2 < len(body) and body[at + 1] == "-":
            first, last = body[at], body[at + 2]
            if first > last:
                raise PatternError(f"the range {first}-{last} runs backwards: turn it round")
            members.update(map(chr, range(ord(first), ord(last) + 1)))
            at += 3
        else:
            members.add(body[at])
            at += 1
    return frozenset(members)

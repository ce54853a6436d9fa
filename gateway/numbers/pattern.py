"""Owns dialled-string patterns: parsing them, and matching in time linear in the string.

A pattern without a leading `_` is the exact string. After `_`: X is 0-9, Z is 1-9, N is 2-9,
`[13-57#]` is one of a set, `.` at the end is one or more of anything, `!` at the end is zero or
more, `(...)` captures what stands inside for `${1}`, `${2}`; everything else is itself.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = {
    "X": frozenset("0123456789"),
    "Z": frozenset("123456789"),
    "N": frozenset("23456789"),
}
_ITSELF = {character: frozenset(character) for character in map(chr, range(128))}
_PLACES = _ITSELF | CLASSES
_SPECIAL = frozenset("()[.!")
MAX_LENGTH = 128
MAX_GROUPS = 9


class PatternError(ValueError):
    """A pattern that means nothing; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern. `rest` is the least number of further characters; None: no more.

    `groups` are the captures: first place, and the place behind the last (None: to the end).
    """

    source: str
    places: tuple[frozenset[str], ...]
    rest: int | None
    groups: tuple[tuple[int, int | None], ...] = ()

    @property
    def exact(self) -> bool:
        """Whether only one string matches, and the pattern is that string."""
        return not self.source.startswith("_")

    @property
    def anything(self) -> bool:
        """Whether every number matches."""
        return not self.places and self.rest is not None

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

    def captures(self, dialled: str) -> tuple[str, ...]:
        """What the groups hold in a string that matches."""
        return tuple(dialled[start:end] for start, end in self.groups)


def parse_pattern(source: str) -> Pattern:
    """Parses `source`. Raises PatternError."""
    if not source:
        raise PatternError("an empty pattern: write what was dialled, or a pattern such as _NXX")
    if len(source) > MAX_LENGTH:
        raise PatternError(f"a pattern longer than {MAX_LENGTH} characters: shorten it")
    if not source.startswith("_"):
        places = tuple(_ITSELF.get(character) or frozenset(character) for character in source)
        return Pattern(source, places, None)
    if len(source) == 1:
        raise PatternError("a pattern of _ alone: write something behind it, such as _NXX")
    return _Reader(source).read()


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._places: list[frozenset[str]] = []
        self._groups: list[tuple[int, int | None]] = []
        self._opened: int | None = None
        self._rest: int | None = None

    def read(self) -> Pattern:
        source, places = self._source, self._places
        at, end = 1, len(source)
        while at < end:
            character = source[at]
            if character in _SPECIAL or self._rest is not None:
                at = self._special(at)
            else:
                places.append(_PLACES.get(character) or frozenset(character))
                at += 1
        if self._opened is not None:
            raise PatternError("a ( without ): close the group")
        if len(self._groups) > MAX_GROUPS:
            raise PatternError(f"more than {MAX_GROUPS} groups: leave some out")
        return Pattern(self._source, tuple(self._places), self._rest, tuple(self._groups))

    def _special(self, at: int) -> int:
        """Reads what begins at `at` and is more than a character; where the next begins."""
        character = self._source[at]
        if character == ")":
            self._close()
        elif self._rest is not None:
            raise PatternError(
                f"{self._source[at - 1]!r} before the end: put it last or leave it out"
            )
        elif character == "(":
            if self._opened is not None:
                raise PatternError("a ( inside of (: groups cannot be nested")
            self._opened = len(self._places)
        elif character in ".!":
            self._rest = 1 if character == "." else 0
        else:
            end = self._source.find("]", at)
            if end < 0:
                raise PatternError("a [ without ]: close the set")
            self._places.append(_parse_set(self._source[at + 1 : end]))
            return end + 1
        return at + 1

    def _close(self) -> None:
        if self._opened is None:
            raise PatternError("a ) without (: open the group, or leave it out")
        if self._opened == len(self._places) and self._rest is None:
            raise PatternError("an empty group (): write what it captures")
        self._groups.append((self._opened, None if self._rest is not None else len(self._places)))
        self._opened = None


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

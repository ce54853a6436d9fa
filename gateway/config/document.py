"""Owns strict YAML: text in, plain values with their places out. No I/O.

YAML's surprises are refused or defused: every scalar is a string (`+14155550100`, `0123`, `no` and
`12:30` stay what they look like; models convert where a number is wanted), duplicate keys, tags,
merge keys and several documents are errors, aliases cannot blow up, size and depth have caps.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, Protocol, TypeGuard

import yaml

MAX_DEPTH = 32

Value = str | None | list["Value"] | dict[str, "Value"]
Path = tuple[str | int, ...]
"""Keys and list indices from the root."""


class _Mark(Protocol):
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a document may be. `nodes` counts keys and values, aliases expanded."""

    bytes: int = 1024 * 1024
    nodes: int = 50_000


DEFAULT_CAPS = Caps()
PLAN_CAPS = Caps(bytes=8 * 1024 * 1024, nodes=500_000)
"""A dialplan of 10,000 rules is an ordinary one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a file, where (line and column count from 1; 0: the file as a whole), and
    what to do about it."""

    file: str
    line: int
    column: int
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message} ({self.remedy})"


class ConfigError(Exception):
    """A file that cannot be used; `problems` holds at least one, each one printable line."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class Place(NamedTuple):
    """Line and column of a value and of its key, from 1."""

    line: int
    column: int
    key_line: int
    key_column: int


@dataclass(frozen=True)
class Document:
    """A parsed file. An empty value (`key:`) is None; every other scalar is a string."""

    file: str
    root: Value
    text: str = field(repr=False)

    @functools.cached_property
    def places(self) -> dict[Path, Place]:
        """Where everything stands. Read again from the text: a good file is never asked."""
        builder = _Builder(self.file, sys.maxsize, {})
        builder.build(self.text)
        assert builder.places is not None
        return builder.places

    def known(self, path: Path) -> Path:
        """The longest beginning of `path` that the file really has."""
        while path and path not in self.places:
            path = path[:-1]
        return path

    def problem(self, path: Path, message: str, remedy: str, *, at_key: bool = False) -> Problem:
        """A problem at the deepest part of `path` that the file really has."""
        place = self.places.get(self.known(path), Place(1, 1, 1, 1))
        if at_key:
            return Problem(self.file, place.key_line, place.key_column, message, remedy)
        return Problem(self.file, place.line, place.column, message, remedy)


def value_at(root: Value, path: Path) -> Value:
    """What stands at `path`; None: nothing."""
    value = root
    for part in path:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def parse_document(text: str, file: str = "<text>", caps: Caps = DEFAULT_CAPS) -> Document:
    """Parses one YAML document whose root is a mapping. Raises ConfigError."""
    if len(text.encode()) > caps.bytes:
        raise ConfigError(
            Problem(file, 0, 0, f"larger than {caps.bytes // 1024} KiB", "split or shorten it")
        )
    try:
        try:
            root = _Builder(file, caps.nodes, None).build(text)
        except _PlacesNeededError:
            root = _Builder(file, caps.nodes, {}).build(text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_problem(file, text, error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            Problem(file, line, 1, "a character that YAML does not allow", "remove it")
        ) from None
    if not isinstance(root, dict):
        raise ConfigError(Problem(file, 1, 1, "no `key: value` lines at the top", "add some"))
    return Document(file, root, text)


def _syntax_problem(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    line, column = _at(error.problem_mark or error.context_mark)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    remedy = "check quotes, colons and indentation"
    if "\t" in written[: len(written) - len(written.lstrip())]:
        remedy = "indent with spaces, not with tabs"
    elif ": *" in written or "- *" in written:
        remedy = 'a value that begins with * needs quotes: "*98"'
    elif any(sign + mark_ in written for sign in (": ", "- ") for mark_ in "[{&!%@`|>"):
        remedy = "a value that begins with a special character needs quotes"
    what = error.problem or error.context or "syntax error"
    return Problem(file, line, column, f"not YAML: {what}", remedy)


def _at(mark: _Mark | None) -> tuple[int, int]:
    """Line and column from 1."""
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _plain(event: yaml.Event) -> TypeGuard[yaml.ScalarEvent]:
    """A scalar without tag and anchor."""
    return type(event) is yaml.ScalarEvent and event.tag is None and event.anchor is None


class _PlacesNeededError(Exception):
    """What is wrong can only be told by a builder that notes places."""


class _Builder:
    """Builds values from PyYAML's parse events, so that no resolver or constructor ever runs.

    `places` are noted only if a dictionary is given: they take as long as all the rest.
    """

    def __init__(self, file: str, most: int, places: dict[Path, Place] | None) -> None:
        self.file = file
        self.places = places
        self._most = most
        self._anchors: dict[str, tuple[Value, int]] = {}  # with the number of nodes inside
        self._nodes = 0

    def build(self, text: str) -> Value:
        events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        root: Value = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document", "keep one document in a file")
                root = self._value(next(events), events, (), None)
        return root

    def _value(
        self,
        event: yaml.Event,
        events: Iterator[yaml.Event],
        path: Path,
        key: tuple[int, int] | None,
    ) -> Value:
        if self.places is not None:
            here = _at(event.start_mark)
            self.places[path] = Place(*here, *(key or here))
        if len(path) > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH}", "make it flatter")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        self._count(event, 1)
        before = self._nodes
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag}", "remove it: tags are not supported")
        value: Value
        if isinstance(event, yaml.ScalarEvent):
            empty = not event.style and event.value == ""
            value = None if empty else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(events, path)
        else:
            value = self._mapping(events, path)
        if event.anchor is not None:
            # Set only now: an alias to something around itself is then unknown, not endless.
            self._anchors[event.anchor] = (value, 1 + self._nodes - before)
        return value

    def _sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._value(event, events, (*path, len(items)), None))
        return items

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            self._count(event, 1)
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
                self._refuse(event, "a key that is not plain text", "write a word before the colon")
            name = event.value
            if name == "<<" and not event.style:
                self._refuse(event, "the merge key <<", "write the lines out")
            if name in found:
                if self.places is None:
                    raise _PlacesNeededError
                first = self.places[(*path, name)].key_line
                self._refuse(
                    event, f"{name!r} a second time (first in line {first})", "remove one of them"
                )
            value = next(events)
            if self.places is None and _plain(value) and len(path) < MAX_DEPTH:
                self._nodes += 1  # most values by far
                found[name] = value.value if value.value or value.style else None
                continue
            here = None if self.places is None else _at(event.start_mark)
            found[name] = self._value(value, events, (*path, name), here)
        return found

    def _alias(self, event: yaml.AliasEvent) -> Value:
        if event.anchor not in self._anchors:
            self._refuse(
                event,
                f"an alias to {event.anchor!r}, which nothing above is named",
                f'if the text is meant, write it in quotes: "*{event.anchor}"',
            )
        value, nodes = self._anchors[event.anchor]
        self._count(event, nodes)
        return value

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > self._most:
            self._refuse(event, f"more than {self._most} values", "split or shorten it")

    def _refuse(self, event: yaml.Event, message: str, remedy: str) -> NoReturn:
        raise ConfigError(Problem(self.file, *_at(event.start_mark), message, remedy))

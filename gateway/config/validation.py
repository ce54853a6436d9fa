"""Owns the step from a document to a pydantic model: errors get their line and a remedy. Pure."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import ConfigError, Document, Path, Problem, Value

M = TypeVar("M", bound=BaseModel)

_REMEDIES = {
    "missing": "add it",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write one value",
    "list_type": "write a list: one `- item` per line, or [a, b]",
    "tuple_type": "write a list: one `- item` per line, or [a, b]",
    "dict_type": "write `key: value` lines below it",
    "model_type": "write `key: value` lines below it",
    "model_attributes_type": "write `key: value` lines below it",
    "ip_any_address": "write an address such as 127.0.0.1",
    "ip_v4_network": "write a network such as 192.0.2.0/24",
    "ip_v6_network": "write a network such as 192.0.2.0/24",
}


_NAMES = ("^[A-Za-z0-9_-]", "^[A-Za-z_]")
"""How the patterns of names begin."""


class ReadAs:
    """Annotates a field whose value in the file is `model`, whatever becomes of it."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model


def validate(document: Document, model: type[M]) -> M:
    """The document as `model`. Raises ConfigError with every problem, in the file's order."""
    try:
        return model.model_validate(document.root)
    except ValidationError as error:
        # A union fails once for each of its members: the first says enough.
        problems: dict[Path, Problem] = {}
        for item in error.errors():
            path = _in_file(document, item)
            problems.setdefault(path, _problem(document, model, item, path))
        found = sorted(problems.values(), key=lambda problem: (problem.line, problem.column))
        raise ConfigError(*found) from None


def without_empty(value: Value) -> Value:
    """The value without empty keys (`trunks:` with nothing behind it means its default)."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


def _in_file(document: Document, item: ErrorDetails) -> Path:
    """pydantic's path without what the file does not know: names of a union's members.

    Such a name may look like a key of the file, so all ways are followed; one that leads to the
    last part is right, else the one that leads farthest.
    """
    missing = item["type"] == "missing"
    ways: list[Path] = [()]
    ended: list[Path] = [()]
    for part in item["loc"][:-1] if missing else item["loc"]:
        ended = [(*way, part) for way in ways if (*way, part) in document.places]
        ways += ended
    found = max(ended or ways, key=len)
    return (*found, item["loc"][-1]) if missing else found


def _problem(document: Document, model: type[BaseModel], item: ErrorDetails, path: Path) -> Problem:
    kind = item["type"]
    name = str(path[-1]) if path else "file"
    if kind == "value_error":
        # Our own validators say `what is wrong: what to do`.
        message, _, remedy = str(item.get("ctx", {}).get("error", item["msg"])).partition(": ")
        whole = not isinstance(item["input"], str)
        return document.problem(path, message, remedy or "correct it", at_key=whole)
    if kind == "missing":
        return document.problem(path, f"{name!r} is missing", _REMEDIES[kind])
    if kind == "union_tag_invalid":
        tag, expected = item["ctx"]["tag"], item["ctx"]["expected_tags"]
        return document.problem(path, f"{tag!r} is none of those possible", f"write {expected}")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name, list(_field_names(model, item["loc"][:-1])), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "remove it"
        return document.problem(path, f"unknown key {name!r}", remedy, at_key=True)
    remedy = _REMEDIES.get(kind, "correct it")
    if kind == "string_pattern_mismatch" and item["ctx"]["pattern"].startswith(_NAMES):
        remedy = "use letters, digits, - and _"
    if kind in ("enum", "literal_error"):
        remedy = f"write {item['ctx']['expected']}"
    field = next((part for part in reversed(path) if isinstance(part, str)), name)
    return document.problem(path, f"{field}: {item['msg'][:1].lower()}{item['msg'][1:]}", remedy)


def _field_names(model: type[BaseModel], path: Sequence[str | int]) -> Iterator[str]:
    """The fields that the model at `path` knows."""
    found: list[Any] = [model]
    for part in path:
        # The name of a union's member leads nowhere: what was found so far stays.
        found = [inner for kind in found for inner in _inside(kind, part)] or found
    for kind in found:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (info.alias or name for name, info in kind.model_fields.items())


def _inside(kind: Any, part: str | int) -> list[Any]:
    """The types that may stand at `part` inside `kind`: pydantic gives only the path."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        info = kind.model_fields.get(str(part))
        if info is None:
            return []
        read: list[Any] = [extra.model for extra in info.metadata if isinstance(extra, ReadAs)]
        return read or _alternatives(info.annotation)
    if typing.get_origin(kind) is list and isinstance(part, str):
        return []
    arguments = typing.get_args(kind)
    return _alternatives(arguments[-1]) if arguments else [kind]


def _alternatives(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
        kinds = [kind for member in members for kind in _alternatives(member)]
        return [kind for kind in kinds if kind is not types.NoneType]
    return [annotation]

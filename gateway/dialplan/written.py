"""Owns verbs as a plan writes them: their text may hold `${variables}`, which a call fills in.

What can be judged when the plan is read is judged then; what holds a variable is judged filled. A
value that is filled in stays data: no template, no other host of an address, no other directory.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from pydantic import GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, core_schema

from gateway.config.document import Path
from gateway.config.validation import ReadAs
from gateway.dialplan.fields import parse_target
from gateway.dialplan.request import dialable
from gateway.dialplan.template import Template, parse_template
from gateway.errors import BAD_REQUEST, GatewayError
from gateway.verbs import MODELS, AnyVerb, Http, Set, Verb
from gateway.verbs.step import told

_MARK = "${"
_TARGETS = frozenset({"number", "caller", "user", "callee"})
"""What may become part of a SIP URI."""
FIXED = frozenset({"trunk", "context", "goto"})
"""Names of the plan and the configuration: checked when the plan is read, never made of data."""
_FREE = frozenset({"variables", "set", "headers"})
"""Below these, keys are names that somebody chose."""
_ADDRESS = re.compile(r"https?://[^/?#\s$]+[/?#]")
_FILE_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.+*#~-]*")

AUTOMATIC = "targets-"
"""What the names of groups begin with that nobody has written."""


class _Kind(enum.Enum):
    """What a text is for, where that limits what may be filled in."""

    TEXT = enum.auto()
    FILE = enum.auto()
    ADDRESS = enum.auto()


@dataclass(frozen=True, slots=True)
class Slot:
    """A text to be filled in."""

    template: Template
    kind: _Kind = _Kind.TEXT

    def fill(self, values: Mapping[str, str]) -> str:
        """The text. Raises GatewayError(BAD_REQUEST): a value cannot be part of a file's name."""
        if self.kind is _Kind.ADDRESS:
            values = {name: quote(value, safe="") for name, value in values.items()}
        elif self.kind is _Kind.FILE and not all(
            _FILE_NAME.fullmatch(values.get(name, "")) for name in self.template.names
        ):
            raise GatewayError(BAD_REQUEST, "a value that cannot be part of a file's name")
        return self.template.fill(values)


Tree = str | None | Slot | list["Tree"] | dict[str, "Tree"]


@dataclass(frozen=True, slots=True)
class Written:
    """A verb as written. `verb`: ready, where nothing is to be filled in.

    `captures`: the highest ${1} to ${9} that it refers to.
    """

    model: type[Verb]
    parameters: Mapping[str, Tree]
    verb: AnyVerb | None
    captures: int = 0

    @property
    def name(self) -> str:
        """The verb's name."""
        return self.model.verb

    def filled(self, values: Mapping[str, str]) -> AnyVerb:
        """The verb for one call. Raises GatewayError(BAD_REQUEST): a value does not fit."""
        if self.verb is not None:
            return self.verb
        filled = {name: _filled(part, values) for name, part in self.parameters.items()}
        try:
            return cast("AnyVerb", self.model.model_validate(filled))
        except ValidationError as error:
            raise GatewayError(BAD_REQUEST, f"{self.name}: {told(error)}") from None

    def known(self, values: Mapping[str, str]) -> dict[str, Any]:
        """The parameters with the values that there are filled in, and the rest as written."""
        return {
            name: _known(part, values)
            for name, part in self.parameters.items()
            if not (name == "group" and str(part).startswith(AUTOMATIC))
        }

    def named(self, key: str) -> Iterator[tuple[Path, str]]:
        """Every name that is written as `key`, `trunk` or `context`, and its place."""
        yield from _named(self.parameters, key, ())
        fallback = self.parameters.get("fallback")
        if key == "context" and isinstance(fallback, list):
            for place, step in enumerate(fallback):
                target = step.get("goto") if isinstance(step, dict) else None
                if isinstance(target, str):
                    yield ("fallback", place, "goto"), target

    def having(self, **parameters: str) -> Written:
        """With these parameters too, unless they are written."""
        more = {name: text for name, text in parameters.items() if name not in self.parameters}
        together = {**self.parameters, **more}
        verb = None
        if self.verb is not None:
            verb = cast("AnyVerb", self.model.model_validate(together))
        return Written(self.model, together, verb, self.captures)


def group_of(targets: object) -> str:
    """A stable name for targets, by what is written."""
    canonical = json.dumps(targets, sort_keys=True, default=_source)
    return AUTOMATIC + hashlib.sha256(canonical.encode()).hexdigest()[:16]


class Of(ReadAs):
    """Annotates a field of a plan that holds the verb `model`, as Written."""

    def __init__(self, model: type[Verb]) -> None:
        super().__init__(model)
        self._model = model

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        inner = handler.generate_schema(self._model)
        return core_schema.no_info_wrap_validator_function(self._read, inner)

    def _read(self, value: Any, handler: ValidatorFunctionWrapHandler) -> Written:
        model = self._model
        verb = None
        reading = _Reading()
        problems = reading.problems
        try:
            verb = handler(value)
        except ValidationError as error:
            problems += _certain(error, value)
        if not isinstance(value, dict):
            value = {} if value is None else {model.short: value}
        tree = reading.inside(value, (), free=False)
        if model is Http and isinstance(value.get("fallback"), list):
            problems += _of_fallback(value["fallback"])
        if problems:
            raise ValidationError.from_exception_data(model.verb, problems)
        return Written(model, tree, None if reading.slots else verb, reading.captures)


class _Reading:
    """Finds the templates in what is written for one verb."""

    __slots__ = ("captures", "problems", "slots")

    def __init__(self) -> None:
        self.problems: list[InitErrorDetails] = []
        self.captures = 0
        self.slots = 0

    def inside(self, value: Mapping[str, Any], path: Path, *, free: bool) -> dict[str, Tree]:
        """A mapping's values. `free`: its keys are names that somebody chose."""
        found: dict[str, Tree] = {}
        for name, part in value.items():
            plain = isinstance(part, str) and _MARK not in part
            if plain and (free or name not in _TARGETS):
                found[name] = part  # most of them
            else:
                found[name] = self._tree(part, "" if free else name, (*path, name), free)
        return found

    def _tree(self, value: Any, key: str, path: Path, free: bool) -> Tree:
        if isinstance(value, dict):
            return self.inside(value, path, free=free or key in _FREE)
        if isinstance(value, list):
            return [self._tree(part, key, (*path, place), free) for place, part in enumerate(value)]
        if not isinstance(value, str):
            return None
        try:
            return self._text(value, key)
        except ValueError as error:
            self.problems.append(_wrong(path, value, error))
            return value

    def _text(self, value: str, key: str) -> Tree:
        if _MARK not in value:
            if key in _TARGETS and not dialable(value):
                parse_target(value)  # says what is wrong
            return value
        if key in FIXED:
            raise ValueError(f"a {key} that only the call knows: write its name")
        template = parse_target(value) if key in _TARGETS else parse_template(value)
        self.slots += 1
        self.captures = max(self.captures, template.captures)
        sound = key in ("file", "music")
        if key != "url" and not (sound and value.startswith(("http:", "https:"))):
            return Slot(template, _Kind.FILE if sound else _Kind.TEXT)
        if not _ADDRESS.match(value):
            raise ValueError("an address whose host only the call knows: write the host")
        return Slot(template, _Kind.ADDRESS)


def _of_fallback(steps: Sequence[object]) -> Iterator[InitErrorDetails]:
    for place, step in enumerate(steps):
        here: Path = ("fallback", place)
        name = next(iter(step), None) if isinstance(step, dict) and len(step) == 1 else None
        model = MODELS.get(name) if isinstance(name, str) else None
        if model is None or not isinstance(step, dict):
            wrong = ValueError("no step: write {verb: parameters}, one verb in each")
            yield _wrong(here, step, wrong)
            continue
        parameters = {"variables": step[name]} if model is Set else step[name]
        try:
            model.model_validate(parameters)
        except ValidationError as error:
            for item in _certain(error, parameters):
                yield {**item, "loc": (*here, model.verb, *item.get("loc", ()))}


# ---- what is wrong ------------------------------------------------------------------------------


def _wrong(path: Path, value: object, error: ValueError) -> InitErrorDetails:
    return {"type": "value_error", "loc": path, "input": value, "ctx": {"error": error}}


def _certain(error: ValidationError, value: object) -> Iterator[InitErrorDetails]:
    """What is wrong whatever is filled in, by its place in what is written."""
    forms: dict[Path, dict[object, list[tuple[Path, ErrorDetails]]]] = {}
    for item in error.errors(include_url=False):
        union, form, place = _placed(item, value)
        forms.setdefault(union, {}).setdefault(form, []).append((place, item))
    for union, members in forms.items():
        alone = members.pop(None, [])
        # Where one of several forms may fit, it may; where none does, one is told of.
        if not any(all(_open(item) for _, item in items) for items in members.values()):
            alone += _nearest(union, list(members.values()))
        for place, item in alone:
            if not _open(item):
                context = item.get("ctx", {})
                yield InitErrorDetails(
                    type=item["type"], loc=place, input=item["input"], ctx=context
                )


def _nearest(
    union: Path, members: Sequence[list[tuple[Path, ErrorDetails]]]
) -> list[tuple[Path, ErrorDetails]]:
    """Of the forms that a value might have, the one that it is most like."""
    return min(
        members,
        key=lambda items: (any(place == union for place, _ in items), len(items)),
        default=[],
    )


def _open(item: ErrorDetails) -> bool:
    """Whether only the call can tell: the text at fault holds a variable."""
    at_fault = item["input"]
    return item["type"] != "extra_forbidden" and isinstance(at_fault, str) and _MARK in at_fault


def _placed(item: ErrorDetails, value: Any) -> tuple[Path, object, Path]:
    """Where a union failed, which of its members (None: none did), and the place of the error.

    pydantic's path names a union's member, and the index of one value that stands for a list.
    """
    missing = item["type"] == "missing"
    union: Path = ()
    form: object = None
    place: Path = ()
    for part in item["loc"][:-1] if missing else item["loc"]:
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, dict) and part in value:
            value = value[str(part)]
        else:
            if isinstance(part, str) and form is None:
                union, form = place, part
            continue
        place = (*place, part)
    return union, form, (*place, item["loc"][-1]) if missing else place


# ---- filling in ---------------------------------------------------------------------------------


def _filled(part: Tree, values: Mapping[str, str]) -> Any:
    match part:
        case Slot():
            return part.fill(values)
        case dict():
            return {name: _filled(inner, values) for name, inner in part.items()}
        case list():
            return [_filled(inner, values) for inner in part]
        case _:
            return part


def _known(part: Tree, values: Mapping[str, str]) -> Any:
    match part:
        case Slot(template):
            return template.known(values)
        case dict():
            return {name: _known(inner, values) for name, inner in part.items()}
        case list():
            return [_known(inner, values) for inner in part]
        case _:
            return part


def _named(part: object, key: str, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == key and isinstance(inner, str):
                yield (*path, name), inner
            elif name not in _FREE:
                yield from _named(inner, key, (*path, name))
    elif isinstance(part, list):
        for place, inner in enumerate(part):
            yield from _named(inner, key, (*path, place))


def _source(slot: object) -> str:
    assert isinstance(slot, Slot)
    return slot.template.known({})

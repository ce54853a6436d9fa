"""Owns the kinds of values that a plan's models are made of: text that parses, or says why not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.dialplan.guard import Guard, parse_guard
from gateway.dialplan.regex import Regex, parse_regex
from gateway.dialplan.request import dialable
from gateway.dialplan.template import Template, parse_template
from gateway.dialplan.times import Dates, Hours, parse_dates, parse_days, parse_hours, parse_zone
from gateway.numbers.facts import COUNTRIES
from gateway.numbers.pattern import Pattern, parse_pattern


class Model(BaseModel):
    """Base of everything that a plan's YAML may say."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """Text is given to `parse`; its ValueError says `what is wrong: what to do`."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def text(**more: Any) -> WithJsonSchema:
    """What an editor is told of a value that is text in the file."""
    return WithJsonSchema({"type": "string", **more})


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _empty_mapping(value: object) -> object:
    return {} if value is None else value


def _empty_list(value: object) -> object:
    return [] if value is None else value


def _safe(template: Template) -> Template:
    """A template whose literal text may stand in a SIP URI."""
    for part in template.parts:
        if isinstance(part, str) and not dialable(part):
            raise ValueError("characters that no number has: use letters, digits and +*#_.~-")
    return template


@functools.lru_cache(maxsize=1024)
def parse_target(source: str) -> Template:
    """A template for a number or a user. Raises ValueError: nothing of it may stand in an URI."""
    template = _safe(parse_template(source))
    if not template.parts:
        raise ValueError("no value: write one, such as ${callee}")
    return template


def _number(source: str) -> str:
    if not dialable(source):
        raise ValueError("characters that no number has: use letters, digits and +*#_.~-")
    return source


def _country(source: str) -> str:
    if source.upper() not in COUNTRIES:
        raise ValueError(f"no country {source!r}: write its two letters, such as US or DE")
    return source.upper()


class _Also(BeforeValidator):
    """A validator that takes one more form than the type behind it, and tells editors."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        plain = handler(schema)
        also = plain["items"] if self.func is _one_or_many else {"type": "null"}
        return {"anyOf": [also, plain]}


Many = _Also(_one_or_many)
"""A list, or one value without the list."""
EmptyMapping = _Also(_empty_mapping)
EmptyList = _Also(_empty_list)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ContextName = Name
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
PatternText = Annotated[Pattern, parsed(parse_pattern), text(examples=["_NXX", "echo"])]
RegexText = Annotated[Regex, parsed(parse_regex), text(format="regex")]
GuardText = Annotated[Guard, parsed(parse_guard), text(examples=["vars.lang == 'fr'"])]
Target = Annotated[Template, parsed(parse_target), text(examples=["${callee}"])]
ValueText = Annotated[Template, parsed(parse_template), text(examples=["${1}"])]
NumberText = Annotated[str, parsed(_number), text()]
Country = Annotated[str, parsed(_country), text(examples=["US"])]
Zone = Annotated[Any, parsed(parse_zone), text(examples=["Europe/Berlin"])]
DatesText = Annotated[
    Dates, parsed(parse_dates), text(examples=["12-25", "2026-12-24..2026-12-31"])
]
DaysText = Annotated[frozenset[int], parsed(parse_days), text(examples=["mon-fri"])]
HoursText = Annotated[Hours, parsed(parse_hours), text(examples=["09:00-18:00"])]

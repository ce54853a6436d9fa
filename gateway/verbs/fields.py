"""Owns the kinds of values that verbs are made of, and their base model."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.numbers.pattern import parse_pattern
from gateway.ports import DTMF_DIGITS

MAX_TEXT = 1_000
"""Longest text that is spoken at once, in characters."""


class Verb(BaseModel):
    """What a call can be asked to do. Times are seconds unless a name says ms.

    Written `{verb: parameters}`; where `short` names a field, its value alone will do, and a verb
    whose parameters all have defaults may be written without any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: ClassVar[str]
    short: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        if value is None:
            return {}
        if cls.short is not None and isinstance(value, str | int | float):
            return {cls.short: value}
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        told = handler.resolve_ref_schema(handler(core))
        forms: list[dict[str, Any]] = []
        if cls.short is not None:
            forms.append({**told["properties"][cls.short], "title": cls.short})
        if not told.get("required"):
            forms.append({"type": "null"})
        return {"anyOf": [*forms, {**told}]} if forms else told


class Side(enum.StrEnum):
    """One side of a call."""

    CALLER = "caller"
    CALLEE = "callee"


class Sides(enum.StrEnum):
    """One side of a call, or both."""

    CALLER = "caller"
    CALLEE = "callee"
    BOTH = "both"


def _is_pattern(source: str) -> str:
    parse_pattern(source)
    return source


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str | Mapping) else value


class _OneOrMany(BeforeValidator):
    """Takes one value for a list, and tells schemas."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(core)
        return {"anyOf": [many["items"], many]}


one_or_many = _OneOrMany(_listed)
"""A list, or one value without the list."""

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Texts = Annotated[tuple[Text, ...], one_or_many]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
PatternText = Annotated[str, AfterValidator(_is_pattern)]
Digit = Annotated[str, Field(pattern=f"^[{DTMF_DIGITS}]$")]
Phrase = Annotated[str, Field(max_length=100, pattern=r"^[\x20-\x7e]*$")]
"""Words that go into a SIP header: printable ASCII."""
Source = Annotated[str, Field(min_length=1, max_length=2048)]
"""An audio file, or an http or https address of one."""

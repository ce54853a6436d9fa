"""Owns the schema of events: what each type holds as JSON, and events from their JSON. Pure.

Everything follows from the dataclasses in gateway.events.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, ValidationError
from pydantic import create_model as new_model

from gateway.events import KINDS, Event

COMMON: Mapping[str, Any] = MappingProxyType(
    {
        "sequence": (
            int,
            Field(ge=1, description="place among all events of the node; the id in streams"),
        ),
        "call": (str, Field(description="the call's id")),
        "time": (datetime, Field(description="RFC 3339, UTC, milliseconds")),
    }
)


def event_from(kind: str, values: Mapping[str, Any]) -> Event:
    """The event that `encode` made `values` of. Raises ValueError: it is none that is known."""
    if kind not in KINDS:
        raise ValueError(f"no event is called {kind}")
    names = {field.name for field in dataclasses.fields(KINDS[kind])}
    try:
        return _adapter(kind).validate_python(
            {name: value for name, value in values.items() if name in names}
        )
    except ValidationError as error:
        raise ValueError(f"no {kind}: {error.error_count()} fields do not fit") from None


@functools.cache
def _adapter(kind: str) -> TypeAdapter[Event]:
    return TypeAdapter(KINDS[kind])


@functools.cache
def event_models() -> Mapping[str, type[BaseModel]]:
    """A model of the JSON of every type, by its name."""
    return MappingProxyType({name: _model(kind) for name, kind in KINDS.items()})


@functools.cache
def any_event() -> type[RootModel[Any]]:
    """The model of any event; `type` tells which."""
    union: Any = Union[tuple(event_models().values())]  # noqa: UP007  # known at run time only
    one: Any = Annotated[union, Field(discriminator="type")]
    return type("Event", (RootModel[one],), {"__doc__": "What has happened to a call."})


def _model(kind: type[Event]) -> type[BaseModel]:
    hints = typing.get_type_hints(kind)
    fields: dict[str, Any] = {"type": (Literal[kind.name], Field())}
    for field in dataclasses.fields(kind):
        # Each is always there; what a dataclass leaves out is written out.
        fields[field.name] = (hints[field.name], Field())
    model: type[BaseModel] = new_model(
        f"{kind.__name__}Event",
        __config__=ConfigDict(extra="forbid"),
        **{**COMMON, **fields},
    )
    model.__doc__ = inspect.getdoc(kind)
    return model

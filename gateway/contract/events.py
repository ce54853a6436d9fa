"""Owns the models of requests for events. What an event looks like follows from gateway.events."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from gateway.contract.base import MAX_PAGE, Request
from gateway.events import KINDS, wants_type

EventType = Annotated[str, Field(max_length=64, pattern=r"^[a-z_]+\.[a-z_]*$")]


def known_types(types: list[str]) -> list[str]:
    """`types` as they are. Raises ValueError: there is no such event."""
    for name in types:
        if not any(wants_type((name,), kind) for kind in KINDS):
            raise ValueError(f"there is no event {name}: docs/events.md has all of them")
    return types


class StreamQuery(Request):
    """Which events."""

    since: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="Begin after the event with this sequence number; absent: with what comes. "
        "A `Last-Event-ID` header goes before it.",
    )
    type: list[EventType] = Field(
        default=[],
        max_length=50,
        description="Only these types, or with a dot at the end all that begin so (`call.`). "
        "May be given several times.",
    )
    call: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Only this call's."
    )

    _known = field_validator("type")(known_types)


class CallEventsQuery(Request):
    """Which of a call's events."""

    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="How many at most.")
    cursor: str | None = Field(
        default=None, pattern=r"^[0-9]{1,16}$", description="`cursor` of the page before."
    )

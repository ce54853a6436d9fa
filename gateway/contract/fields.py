"""Owns fields that several requests of the API have."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)"  # RFC 3339 5.6
)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise ValueError(
            "write a moment of RFC 3339 with its zone, as 2026-12-24T18:00:00Z "
            "(in a URL, + is written %2B)"
        )
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("a year that cannot be") from None


def no_control(value: str) -> str:
    """Refuses line ends, NUL, and what is no Unicode."""
    if not value.isprintable():
        raise ValueError("has characters that cannot be printed")
    return value


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment with its zone (RFC 3339 5.6)."""
Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(no_control)]
"""What a person or a peer may have written."""

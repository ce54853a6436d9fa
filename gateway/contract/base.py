"""Owns what all models of the API have in common, and what all lists have."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def shown(example: dict[str, Any]) -> ConfigDict:
    """The `model_config` of a model whose schema has an example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class Request(BaseModel):
    """What bodies and queries are made of: nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What answers are made of."""

    model_config = ConfigDict(frozen=True, json_schema_mode="serialization")  # type: ignore[typeddict-unknown-key]


MAX_PAGE = 1_000
"""Items that one page of a list may have."""
CURSOR = Field(default=None, max_length=256, description="`cursor` of the page before.")


class PageQuery(Request):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="How many at most.")
    cursor: str | None = CURSOR

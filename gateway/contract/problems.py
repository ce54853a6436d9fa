"""Owns the model of what is answered instead: the problem (RFC 9457)."""

from __future__ import annotations

from pydantic import BaseModel, Field

from gateway.contract.base import Answer


class InvalidPart(BaseModel):
    """One thing that is wrong with a request."""

    in_: str = Field(alias="in", description="`query` or `body`.")
    path: list[str] = Field(description="Where in it.")
    message: str


class Problem(Answer):
    """Why a request was refused, or failed (RFC 9457 3.1)."""

    type: str = Field(description="`urn:gateway:problem:` and the code.")
    title: str = Field(description="The phrase of the status.")
    status: int
    detail: str = Field(description="What happened, in words.")
    code: str = Field(description="What programs go by.")
    instance: str = Field(description="`urn:gateway:request:` and the id of the request.")
    errors: list[InvalidPart] | None = Field(default=None, description="All that is wrong.")

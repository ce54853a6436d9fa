"""Owns the models of the dialplan: shown, checked, compared, tried out, read again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gateway.config.identity import Name
from gateway.contract.base import Answer, Request, shown
from gateway.contract.fields import Text, no_control

MAX_SOURCE = 1024 * 1024
"""Characters of a dialplan that is checked over HTTP; its bytes in JSON may be more."""


MAX_PAIRS = 64


Value = Annotated[str, Field(max_length=1024), AfterValidator(no_control)]


Pairs = Annotated[dict[Value, Value], Field(max_length=MAX_PAIRS)]


class Source(Request):
    """A dialplan."""

    model_config = shown({"source": "contexts: {browser: [{match: echo, echo: }]}"})

    source: str = Field(max_length=MAX_SOURCE, description="The text of a dialplan file: YAML.")


class ContextView(Answer):
    """A context of the dialplan."""

    name: str = Field(description="As in the file.")
    rules: int = Field(description="How many.")


class DialplanView(Answer):
    """The dialplan in force."""

    file: str | None = Field(description="Without its folder; null: it was not read from a file.")
    read_at: datetime = Field(description="When it came into force.")
    rules: int = Field(description="How many, in all contexts.")
    contexts: list[ContextView] = Field(description="In the order of the file.")
    source: str = Field(description="The file's text.")


class DialplanProblem(Answer):
    """What is wrong, and where."""

    line: int = Field(description="From 1; 0: the file as a whole.")
    column: int = Field(description="From 1; 0: the file as a whole.")
    message: str = Field(description="What is wrong.")
    remedy: str = Field(description="What to do about it.")


class Validation(Answer):
    """What is wrong with a dialplan."""

    problems: list[DialplanProblem] = Field(description="All of them; none: it could be used.")


class Question(Request):
    """A call that is only thought of."""

    model_config = shown({"to": "+12125550100", "from": "alice"})

    to: Text = Field(description="What is dialled.")
    caller: Value = Field(default="", alias="from", description="Who calls.")
    context: Text | None = Field(default=None, description="Absent: who calls decides.")
    trunk: Name | None = Field(default=None, description="The call comes from this trunk.")
    key: Text | None = Field(
        default=None, description="The call comes with the API key of this name."
    )
    at: Text | None = Field(
        default=None,
        description="When, as 2026-12-24T18:00; in the dialplan's time zone unless it says. "
        "Absent: now.",
    )
    headers: Pairs = Field(default={}, description="SIP header fields.")
    variables: Pairs = Field(default={}, description="Call variables.")


class Refused(Answer):
    """How the call would be refused."""

    status: int = Field(description="SIP's.")
    code: str = Field(description="The gateway's word.")
    text: str = Field(description="A sentence.")


class LookedAt(Answer):
    """A rule that was looked at."""

    rule: str = Field(description="Its context, place and name.")
    matched: bool = Field(description="Whether the call met it.")
    reason: str = Field(description="Why not, or what became of it.")


class Explanation(Answer):
    """What the dialplan would do with a call, and why."""

    rule: str | None = Field(description="The first that matches; null: none does.")
    contexts: list[str] = Field(description="Through which the call came.")
    callee: str = Field(description="As the rules saw it.")
    caller: str = Field(description="As the rules saw it; empty: none.")
    variables: dict[str, str] = Field(description="Call variables when the steps begin.")
    steps: list[dict[str, Any]] = Field(
        description="What would be done, as a dialplan writes it, with what is known filled in."
    )
    ring_timeout: float | None = Field(description="Seconds; null: the trunk's.")
    refused: Refused | None = Field(description="null: the call goes somewhere.")
    looked_at: list[LookedAt] = Field(description="Every rule, in order.")
    why_not: str | None = Field(description="Why no rule was looked at.")


class Changes(Answer):
    """What is different now."""

    changes: list[str] = Field(description="A line each: `+` is new, `-` gone, `~` changed.")

"""Owns dialplan tests: what a `*.cases.yaml` file says, and whether a plan does what it expects.

Pure; gateway.testing finds the files and runs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from gateway.config.document import ConfigError, Document, Problem
from gateway.config.validation import validate
from gateway.dialplan.engine import Decision, decide
from gateway.dialplan.explain import steps_of, verdict_of
from gateway.dialplan.fields import ContextName, Model, VariableName, Zone, parsed, text
from gateway.dialplan.plan import Plan
from gateway.dialplan.request import Origin, Request
from gateway.dialplan.rules import Route

RESERVED = ("answers", "digits", "cause")
"""What only a simulated call can tell: dialled legs' answers, digits pressed, the final cause."""


def _moment(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("no time: write 2026-12-24T18:00") from None


class Refused(Model):
    """The refusal that is expected; what is left out is not compared."""

    status: int | None = Field(default=None, description="SIP status.")
    code: str | None = Field(default=None, description="The verdict's name, such as `forbidden`.")


class Expect(Model):
    """What should come out; what is left out is not compared."""

    rule: str | None = Field(
        default=None, description="The rule's name or pattern, or `context[place] name`."
    )
    callee: str | None = Field(default=None, description="The normalised number.")
    caller: str | None = Field(default=None, description="The normalised identity.")
    vars: dict[VariableName, str] | None = Field(default=None, description="Call variables.")
    steps: list[dict[str, Any]] | None = Field(
        default=None, description="The steps that would run, variables filled in."
    )
    ring_timeout: float | None = Field(default=None, description="Seconds.")
    refused: Refused | None = Field(default=None, description="That the call is refused.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing is expected: write rule, steps or refused")
        return self


class Case(Model):
    """One call, and what should become of it."""

    name: str = Field(min_length=1, description="What the case shows.")
    callee: str = Field(description="What is dialled.")
    caller: str = Field(default="", description="Who calls.")
    context: ContextName | None = Field(default=None, description="Default: who calls decides.")
    trunk: str | None = Field(default=None, description="The call comes from this trunk.")
    key: str | None = Field(default=None, description="The call comes with this API key.")
    time: Annotated[datetime, parsed(_moment), text(format="date-time")] | None = Field(
        default=None, description="Without an offset: in the file's zone."
    )
    headers: dict[str, str] = Field(default={}, description="SIP headers.")
    vars: dict[VariableName, str] = Field(default={}, description="Call variables.")
    expect: Expect

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.trunk is not None and self.key is not None:
            raise ValueError("a trunk and a key: a call comes from one of them")
        return self


class CaseFile(Model):
    """Tests of one plan."""

    plan: str | None = Field(
        default=None, description="The plan's file; default: this file's name without `.cases`."
    )
    zone: Zone | None = Field(default=None, description="Zone of the times; default: the plan's.")
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class LocatedCase:
    """A case and where it stands."""

    case: Case
    file: str
    line: int
    zone: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case. No `failures`: it passed."""

    case: LocatedCase
    decision: Decision
    failures: tuple[str, ...]


def cases_from(document: Document) -> tuple[CaseFile, list[LocatedCase]]:
    """The cases in `document`. Raises ConfigError with every located problem."""
    try:
        file = validate(document, CaseFile)
    except ConfigError as error:
        raise ConfigError(*map(_explained, error.problems)) from None
    located = []
    for place, case in enumerate(file.cases):
        line = document.problem(("cases", place), "", "").line
        located.append(LocatedCase(case, document.file, line, file.zone))
    return file, located


def _explained(problem: Problem) -> Problem:
    """A field of the call simulator to come is no misspelling."""
    for name in RESERVED:
        if problem.message == f"unknown key {name!r}":
            return Problem(
                problem.file,
                problem.line,
                problem.column,
                f"{name!r} needs the call simulator, which this version does not have",
                "remove it",
            )
    return problem


def request_of(plan: Plan, located: LocatedCase) -> Request:
    """The call of a case."""
    case = located.case
    if case.trunk is not None:
        origin, source = Origin.TRUNK, case.trunk
    elif case.key is not None:
        origin, source = Origin.KEY, case.key
    else:
        origin, source = Origin.BROWSER, case.caller
    at = case.time
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=located.zone or plan.zone)
    context = case.context or plan.context_of(origin, source)
    return Request(context, case.caller, case.callee, origin, source, at, case.headers, case.vars)


def run(plan: Plan, located: LocatedCase) -> Result:
    """Routes the case's call, and compares."""
    decision = decide(plan, request_of(plan, located), every_rule=True)
    return Result(located, decision, tuple(_differences(located.case.expect, decision)))


def _differences(expect: Expect, decision: Decision) -> Iterator[str]:
    route = decision.outcome if isinstance(decision.outcome, Route) else None
    if expect.rule is not None and not (route and _is_rule(expect.rule, route.rule)):
        yield f"rule: expected {expect.rule!r}, got {route.rule if route else 'no rule'!r}"
    for side in ("callee", "caller"):
        wanted, got = getattr(expect, side), getattr(decision, side)
        if wanted is not None and wanted != got:
            yield f"{side}: expected {wanted!r}, got {got!r}"
    variables = dict(route.variables) if route else {}
    for name, value in (expect.vars or {}).items():
        if variables.get(name) != value:
            yield f"vars {name}: expected {value!r}, got {variables.get(name)!r}"
    if expect.steps is not None:
        told = steps_of(route.action, route.variables) if route else []
        steps = [_as_text(step) for step in told]
        wanted_steps = [_as_text(step) for step in expect.steps]
        if steps != wanted_steps:
            yield f"steps: expected {wanted_steps}, got {steps}"
    if expect.ring_timeout is not None and (
        route is None or route.ring_timeout != expect.ring_timeout
    ):
        yield f"ring_timeout: expected {expect.ring_timeout:g}, got {route and route.ring_timeout}"
    refused = verdict_of(decision)
    if expect.refused is None:
        if refused is not None and expect.steps is None:
            yield f"refused: {refused.sip_status} {refused.code}, which is not expected"
        return
    if refused is None:
        yield "refused: expected, but the call goes on"
        return
    for name, wanted, got in (
        ("status", expect.refused.status, refused.sip_status),
        ("code", expect.refused.code, refused.code),
    ):
        if wanted is not None and wanted != got:
            yield f"refused {name}: expected {wanted!r}, got {got!r}"


def _is_rule(wanted: str, full: str) -> bool:
    """Whether `wanted` is the rule's full name, or its own name or pattern."""
    return wanted == full or full.endswith(f"] {wanted}")


def _as_text(value: Any) -> Any:
    """Values as the file can write them: text everywhere, nothing for empty."""
    if isinstance(value, dict):
        return {name: _as_text(item) for name, item in value.items()}
    return {} if value is None else str(value)

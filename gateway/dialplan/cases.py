"""Owns dialplan tests: what a `*.cases.yaml` file says, and whether a plan does what it expects.

Pure; gateway.testing finds the files and runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.document import Document
from gateway.config.validation import validate
from gateway.dialplan.engine import Decision, Look, decide
from gateway.dialplan.explain import as_lines, steps_of, verdict_of, written
from gateway.dialplan.fields import ContextName, Many, Model, VariableName, Zone, parsed, text
from gateway.dialplan.plan import Plan
from gateway.dialplan.request import Origin, Request
from gateway.dialplan.rules import Route
from gateway.dialplan.simulate import Simulated, World, simulate
from gateway.errors import GatewayError, Verdict
from gateway.ports import DTMF_DIGITS
from gateway.verbs import step_from, verb_from, verbs_from


def _moment(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("no time: write 2026-12-24T18:00") from None


def _is_reply(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        verbs_from(steps)
    except GatewayError as error:
        raise ValueError(f"no verbs ({error.verdict.text}): write them as in a plan") from None
    return steps


def _answer(value: str) -> str:
    if not re.fullmatch(r"[3-6][0-9]{2}|answer|no_answer", value):
        raise ValueError("no answer: write answer, no_answer or a SIP status such as 486")
    return value


def _target(value: str) -> str:
    if not re.fullmatch(r"user:.+|trunk:[^/]+(/.+)?", value):
        raise ValueError("no target: write user:NAME, trunk:NAME or trunk:NAME/NUMBER")
    return value


def _keys(value: str) -> str:
    if set(value) - set(DTMF_DIGITS):
        raise ValueError("no keys: write 0-9, *, # and A-D, or nothing")
    return value


Keys = Annotated[str, AfterValidator(_keys)]
Answer = Annotated[str, AfterValidator(_answer)]
TargetName = Annotated[str, AfterValidator(_target)]
Steps = list[dict[str, Any]]


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
    steps: Steps | None = Field(
        default=None, description="The steps that would run, what is known then filled in."
    )
    ring_timeout: float | None = Field(default=None, description="Seconds.")
    refused: Refused | None = Field(default=None, description="That the call is refused at once.")
    verbs: Steps | None = Field(
        default=None, description="The verbs that are performed, in order, variables filled in."
    )
    dialled: list[TargetName] | None = Field(
        default=None,
        description="Who is called, in order: `user:NAME`, `trunk:NAME` or `trunk:NAME/NUMBER`.",
    )
    cause: str | None = Field(
        default=None, description="How the call ends: the verdict's name, or the SIP status."
    )

    @property
    def simulated(self) -> bool:
        """Whether the call has to be tried out to its end."""
        return not (self.verbs is None and self.dialled is None and self.cause is None)

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
    answers: dict[TargetName, Answer] = Field(
        default={},
        description="What dialled legs do, by target: a SIP status, `no_answer` or `answer`; who "
        "is not named answers.",
    )
    digits: Annotated[list[Keys], Many] = Field(
        default=[], description="What is pressed each time that somebody is asked, in order."
    )
    http: list[Annotated[Steps, AfterValidator(_is_reply)]] = Field(
        default=[], description="The verbs that servers reply, in order; then they fail."
    )
    expect: Expect

    @property
    def simulated(self) -> bool:
        """Whether the call has to be tried out to its end."""
        return bool(self.answers or self.digits or self.http) or self.expect.simulated

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
    simulated: Simulated | None = None  # where the case needs more than the decision

    @property
    def looks(self) -> tuple[Look, ...]:
        """The rules that the call looked at."""
        return self.decision.looks if self.simulated is None else self.simulated.looks

    def lines(self) -> Iterator[str]:
        """What differs, and what became of the call, for a person."""
        yield from self.failures
        yield from as_lines(self.decision)
        if self.simulated is not None:
            yield from (f"did      {written(step)}" for step in self.simulated.verbs)
            yield from (f"called   {target}" for target in self.simulated.dialled)
            cause = self.simulated.cause
            yield f"ended    {cause.sip_status} {cause.code}: {cause.text}"


def cases_from(document: Document) -> tuple[CaseFile, list[LocatedCase]]:
    """The cases in `document`. Raises ConfigError with every located problem."""
    file = validate(document, CaseFile)
    located = []
    for place, case in enumerate(file.cases):
        line = document.problem(("cases", place), "", "").line
        located.append(LocatedCase(case, document.file, line, file.zone))
    return file, located


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
    """Routes the case's call, tries it out where that is asked for, and compares."""
    case, request = located.case, request_of(plan, located)
    if not case.simulated:
        decision = decide(plan, request, every_rule=True)
        return Result(located, decision, tuple(_differences(case.expect, decision, None)))
    simulated = simulate(plan, request, World(case.answers, case.digits, case.http))
    decision = simulated.decision
    found = (
        *_differences(case.expect, decision, simulated.variables),
        *_other_course(case.expect, simulated),
    )
    return Result(located, decision, found, simulated)


def _differences(
    expect: Expect, decision: Decision, variables: Mapping[str, str] | None
) -> Iterator[str]:
    route = decision.outcome if isinstance(decision.outcome, Route) else None
    if expect.rule is not None and not (route and _is_rule(expect.rule, route.rule)):
        yield f"rule: expected {expect.rule!r}, got {route.rule if route else 'no rule'!r}"
    for side in ("callee", "caller"):
        wanted, got = getattr(expect, side), getattr(decision, side)
        if wanted is not None and wanted != got:
            yield f"{side}: expected {wanted!r}, got {got!r}"
    if variables is None:
        variables = route.variables if route else {}
    for name, value in (expect.vars or {}).items():
        if variables.get(name) != value:
            yield f"vars {name}: expected {value!r}, got {variables.get(name)!r}"
    if expect.steps is not None:
        told = steps_of(route.action, route.variables) if route else []
        yield from _other_steps("steps", expect.steps, told)
    if expect.ring_timeout is not None and (
        route is None or route.ring_timeout != expect.ring_timeout
    ):
        yield f"ring_timeout: expected {expect.ring_timeout:g}, got {route and route.ring_timeout}"
    yield from _other_refusal(expect, verdict_of(decision))


def _other_refusal(expect: Expect, refused: Verdict | None) -> Iterator[str]:
    if expect.refused is None:
        if refused is not None and expect.steps is None and not expect.simulated:
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


def _other_course(expect: Expect, simulated: Simulated) -> Iterator[str]:
    if expect.verbs is not None:
        yield from _other_steps("verbs", expect.verbs, simulated.verbs)
    called = simulated.dialled
    if expect.dialled is not None and not _are_targets(expect.dialled, called):
        yield f"dialled: expected {expect.dialled}, got {list(called)}"
    cause = simulated.cause
    if expect.cause is not None and expect.cause not in (cause.code, str(cause.sip_status)):
        yield f"cause: expected {expect.cause!r}, got {cause.sip_status} {cause.code}"


def _are_targets(wanted: Sequence[str], called: Sequence[str]) -> bool:
    return len(wanted) == len(called) and all(
        name in (target, target.partition("/")[0])
        for name, target in zip(wanted, called, strict=True)
    )


def _other_steps(what: str, expected: Sequence[Any], got: Sequence[Any]) -> Iterator[str]:
    wanted, found = [list(map(_canonical, steps)) for steps in (expected, got)]
    if wanted == found:
        return
    if max(len(wanted), len(found)) < 2:
        yield f"{what}: expected {wanted}, got {found}"
        return
    pairs = enumerate(zip_longest(wanted, found), 1)
    place, (one, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
    yield f"{what}: in place {place} expected {one or 'nothing'}, got {other or 'nothing'}"


def _canonical(step: dict[str, Any]) -> Any:
    """A step in one form, however it is written."""
    with suppress(GatewayError):
        step = step_from(verb_from(step))
    return _as_text(step)


def _is_rule(wanted: str, full: str) -> bool:
    """Whether `wanted` is the rule's full name, or its own name or pattern."""
    return wanted == full or full.endswith(f"] {wanted}")


def _as_text(value: Any) -> Any:
    """Values as the file can write them: text everywhere, nothing for empty."""
    if isinstance(value, dict):
        return {name: _as_text(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_as_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return {} if value is None else str(value)

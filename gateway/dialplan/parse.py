"""Owns reading a plan from a YAML document: models of the rules, and checks with places. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.config.document import ConfigError, Document, Problem
from gateway.config.validation import validate
from gateway.dialplan.pattern import Pattern, parse_pattern
from gateway.dialplan.plan import (
    BROWSER_CONTEXT,
    Plan,
    Refuse,
    Rule,
    RunProgram,
    Step,
    TrunkStep,
    UserStep,
    dialable,
)
from gateway.dialplan.template import Template, parse_template
from gateway.errors import FORBIDDEN, PEER_REFUSED, Verdict, from_sip_status

ContextName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _template(value: object) -> object:
    return parse_template(value) if isinstance(value, str) else value


def _target(value: object) -> object:
    """A template whose literal text may stand in a SIP URI."""
    template = _template(value)
    if isinstance(template, Template):
        for part in template.parts:
            if isinstance(part, str) and not dialable(part):
                raise ValueError("characters that no number has: use letters, digits and +*#_.~-")
        if not template.parts:
            raise ValueError("no value: write one, such as ${callee}")
    return template


def _pattern(value: object) -> object:
    return parse_pattern(value) if isinstance(value, str) else value


def _nothing_is_empty(value: object) -> object:
    return {} if value is None else value


def _no_rules_is_empty(value: object) -> object:
    return [] if value is None else value


Target = Annotated[Template, BeforeValidator(_target)]


class _Dial(_Model):
    trunk: str | None = None
    number: Target | None = None
    caller: Target | None = None
    user: Target | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.trunk is None) == (self.user is None):
            raise ValueError("dial needs a trunk or a user: write one of the two")
        if self.trunk is not None and self.number is None:
            raise ValueError("no number for the trunk: add number, such as ${callee}")
        if self.user is not None and (self.number or self.caller):
            raise ValueError("number and caller go with a trunk: remove them or name a trunk")
        return self


class _Nothing(_Model):
    """A step without parameters."""


class _Reject(_Model):
    status: int = Field(default=403, ge=400, le=699, description="RFC 3261 21")
    reason: str = Field(default="", max_length=100, pattern=r"^[\x20-\x7e]*$")


Flag = Annotated[_Nothing | None, BeforeValidator(_nothing_is_empty)]
"""Present without a value (`echo:`) or with `{}`; None means that the key is absent."""

_ACTIONS = ("dial", "echo", "ivr", "reject")


class _Rule(_Model):
    match: Annotated[Pattern, BeforeValidator(_pattern)]
    dial: _Dial | None = None
    echo: Flag = None
    ivr: Flag = None
    reject: Annotated[_Reject | None, BeforeValidator(_nothing_is_empty)] = None
    ring_timeout: float | None = Field(default=None, gt=0, le=600, description="seconds")

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        actions = [name for name in _ACTIONS if getattr(self, name) is not None]
        if len(actions) != 1:
            listed = ", ".join(_ACTIONS)
            raise ValueError(f"{len(actions)} actions in a rule: write exactly one of {listed}")
        if self.ring_timeout is not None and self.dial is None:
            raise ValueError("ring_timeout without dial: remove it")
        return self

    def step(self) -> Step:
        """What the rule does."""
        if self.dial is not None:
            if self.dial.user is not None:
                return UserStep(self.dial.user)
            assert self.dial.trunk is not None
            assert self.dial.number is not None
            return TrunkStep(self.dial.trunk, self.dial.number, self.dial.caller)
        if self.reject is not None:
            return Refuse(_refusal(self.reject))
        return RunProgram("echo" if self.echo is not None else "ivr")


class _Plan(_Model):
    version: Literal["1"] = "1"
    contexts: dict[ContextName, Annotated[list[_Rule], BeforeValidator(_no_rules_is_empty)]]


def _refusal(reject: _Reject) -> Verdict:
    verdict = from_sip_status(reject.status, reject.reason)
    if verdict.code == PEER_REFUSED.code:  # no trunk was asked: it is our own policy
        verdict = replace(FORBIDDEN, sip_status=reject.status, text=verdict.text)
    return verdict


def plan_from(document: Document) -> Plan:
    """The plan in `document`. Raises ConfigError with every located problem."""
    model = validate(document, _Plan)
    return Plan(
        {
            context: tuple(
                Rule(
                    f"{context}[{index}] {rule.match.source}",
                    rule.match,
                    rule.step(),
                    rule.ring_timeout,
                )
                for index, rule in enumerate(rules, 1)
            )
            for context, rules in model.contexts.items()
        }
    )


def check_against(plan: Plan, document: Document, trunks: Iterable[str]) -> None:
    """Checks that plan and configuration fit: every trunk and context exists, nothing is hidden.

    Raises ConfigError.
    """
    names = set(trunks)
    problems: list[Problem] = []
    configured = ", ".join(sorted(names)) or "none"
    for context, rules in plan.contexts.items():
        where = ("contexts", context)
        if context != BROWSER_CONTEXT and context not in names:
            problems.append(
                document.problem(
                    where,
                    f"context {context!r} is neither {BROWSER_CONTEXT!r} nor a trunk",
                    f"configured trunks: {configured}",
                    at_key=True,
                )
            )
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            if isinstance(rule.step, TrunkStep) and rule.step.trunk not in names:
                problems.append(
                    document.problem(
                        (*where, index, "dial", "trunk"),
                        f"no trunk {rule.step.trunk!r} in the configuration",
                        f"configured trunks: {configured}",
                    )
                )
            if rule.pattern.source in seen:
                problems.append(
                    document.problem(
                        (*where, index, "match"),
                        f"an earlier rule of {context!r} has the same pattern",
                        "remove one: only the first can match",
                    )
                )
            seen.add(rule.pattern.source)
    if BROWSER_CONTEXT in names:
        problems.append(
            Problem(
                document.file,
                0,
                0,
                f"a trunk is called {BROWSER_CONTEXT!r}, as the browsers' context",
                "rename the trunk in the configuration",
            )
        )
    if problems:
        raise ConfigError(*problems)

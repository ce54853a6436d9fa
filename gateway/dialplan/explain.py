"""Owns telling a decision to a person or a program: as lines, and as plain JSON values. Pure.

Unlike traces it quotes the numbers: whoever asks has given them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_never

from gateway.dialplan.engine import Decision
from gateway.dialplan.rules import (
    Action,
    Destination,
    DialOut,
    DialUser,
    NoRoute,
    Refuse,
    Route,
    RunProgram,
)
from gateway.dialplan.steps import BUILT_IN
from gateway.errors import NOT_FOUND, Verdict

Step = dict[str, Any]
"""A step as a plan would write it, its variables filled in."""


def step_of(action: Action) -> Step:
    """An action as a plan's step."""
    match action:
        case DialOut(targets):
            (target,) = map(_target, targets)
            return {"dial": target}
        case RunProgram(program):
            return {program: {}} if program in BUILT_IN else {"app": program}
        case Refuse(verdict):
            return {"reject": {"status": verdict.sip_status}}
        case _:
            assert_never(action)


def _target(target: Destination) -> dict[str, Any]:
    if isinstance(target, DialUser):
        return {"user": target.user}
    shown = {"caller": target.caller} if target.caller else {}
    return {"trunk": target.trunk, "number": target.number, **shown}


def verdict_of(decision: Decision) -> Verdict | None:
    """The verdict that ends the call at once; None: it goes somewhere."""
    if isinstance(decision.outcome, NoRoute):
        return NOT_FOUND
    action = decision.outcome.action
    return action.verdict if isinstance(action, Refuse) else None


def as_json(decision: Decision) -> dict[str, Any]:
    """The whole decision in plain values."""
    outcome = decision.outcome
    route = outcome if isinstance(outcome, Route) else None
    refused = verdict_of(decision)
    return {
        "rule": route and route.rule,
        "contexts": list(decision.contexts),
        "callee": decision.callee,
        "caller": decision.caller,
        "variables": dict(route.variables) if route else {},
        "steps": [step_of(action) for action in route.steps] if route else [],
        "ring_timeout": route and route.ring_timeout,
        "refused": refused
        and {"status": refused.sip_status, "code": refused.code, "text": refused.text},
        "looked_at": [
            {"rule": look.rule, "matched": look.matched, "reason": look.reason}
            for look in decision.looks
        ],
        "why_not": None if route or decision.looks else outcome.trace[-1],
    }


def as_lines(decision: Decision) -> Iterator[str]:
    """The whole decision for a person."""
    told = as_json(decision)
    yield f"callee   {told['callee']}"
    yield f"caller   {told['caller'] or '(none)'}"
    yield f"context  {' -> '.join(told['contexts']) or '(none)'}"
    for look in decision.looks:
        yield f"  {'+' if look.matched else '-'} {look}"
    if told["why_not"]:
        yield f"  - {told['why_not']}"
    for name, value in told["variables"].items():
        yield f"set      {name} = {value}"
    if told["rule"]:
        yield f"rule     {told['rule']}"
    for step in told["steps"]:
        yield f"step     {_written(step)}"
    if told["ring_timeout"] is not None:
        yield f"rings    {told['ring_timeout']:g} s at most"
    if told["refused"]:
        refused = told["refused"]
        yield f"refused  {refused['status']} {refused['code']}: {refused['text']}"


def _written(step: Step) -> str:
    ((verb, parameters),) = step.items()
    if isinstance(parameters, str):
        return f"{verb}: {parameters}"
    inside = ", ".join(f"{name}: {value}" for name, value in parameters.items())
    return f"{verb}: {{{inside}}}" if inside else f"{verb}:"

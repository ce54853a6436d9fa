"""Owns telling a decision to a person or a program: as lines, and as plain JSON values. Pure.

Unlike traces it quotes the numbers: whoever asks has given them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    RunScript,
)
from gateway.dialplan.script import GotoStep, RunProgram, Script, ScriptStep, SetStep
from gateway.dialplan.steps import BUILT_IN
from gateway.dialplan.template import Template
from gateway.errors import NOT_FOUND, Verdict
from gateway.verbs import MODELS

Step = dict[str, Any]
"""A step as a plan would write it, its variables filled in."""

LEAVES: Mapping[str, frozenset[str]] = {
    "gather": frozenset({"digits", "gather_reason"}),
    "dial": frozenset({"dial_status", "dial_code"}),
    "record": frozenset({"recording"}),
    "http": frozenset({"http_status"}),
}
"""The call variables that verbs leave behind."""


def steps_of(action: Action, variables: Mapping[str, str]) -> list[Step]:
    """An action as a plan's steps; of a script, what is known when it begins is filled in."""
    if isinstance(action, RunScript):
        return list(_script(action.script, variables))
    return [step_of(action)]


def step_of(action: DialOut | RunProgram | Refuse) -> Step:
    """An action as a plan's step."""
    match action:
        case DialOut():
            return {"dial": _dial(action)}
        case RunProgram(program):
            return {program: {}} if program in BUILT_IN else {"app": program}
        case Refuse(verdict):
            return {"reject": {"status": verdict.sip_status}}
        case _:
            assert_never(action)


def _dial(action: DialOut) -> dict[str, Any]:
    how = action.how.model_dump(mode="json", exclude_defaults=True)
    if len(action.targets) == 1:
        return {**_target(action.targets[0]), **how}
    targets = [
        {**_target(target), **({"ring_timeout": seconds} if seconds is not None else {})}
        for target in action.targets
        for seconds in (target.ring_timeout,)
    ]
    return {"targets": targets, **how}


def _target(target: Destination) -> dict[str, Any]:
    if isinstance(target, DialUser):
        return {"user": target.user}
    shown: dict[str, Any] = {"caller": target.caller} if target.caller else {}
    headers = {"headers": dict(target.headers)} if target.headers else {}
    return {"trunk": target.trunk, "number": target.number, **shown, **headers}


def _script(script: Script, variables: Mapping[str, str]) -> Iterator[Step]:
    known = dict(variables)
    for step in script.steps:
        values = script.values(known)
        yield _step(step, values)
        if isinstance(step, SetStep):
            for name, template in step.values.items():
                known.pop(name, None)
                if all(part in values for part in template.names):
                    known[name] = template.fill(values)
        elif not isinstance(step, GotoStep | RunProgram):
            gone = LEAVES.get(step.name, frozenset())
            left = known if step.name != "http" else {}  # what it answers may set anything
            known = {name: value for name, value in left.items() if name not in gone}


def _step(step: ScriptStep, values: Mapping[str, str]) -> Step:
    """A step of a script with the values that there are filled in, and the others as written."""

    def known(template: Template) -> str:
        return template.known(values)

    match step:
        case SetStep(written):
            return {"set": {name: known(template) for name, template in written.items()}}
        case GotoStep(context, callee):
            target = {} if callee is None else {"callee": known(callee)}
            return {"goto": {"context": context, **target}}
        case RunProgram():
            return step_of(step)
        case _:
            return {step.name: step.known(values)}


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
        "steps": steps_of(route.action, route.variables) if route else [],
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
        yield f"step     {written(step)}"
    if told["ring_timeout"] is not None:
        yield f"rings    {told['ring_timeout']:g} s at most"
    if told["refused"]:
        refused = told["refused"]
        yield f"refused  {refused['status']} {refused['code']}: {refused['text']}"


def written(step: Step) -> str:
    """A step on one line."""
    ((verb, parameters),) = step.items()
    model = MODELS.get(verb)
    if model and isinstance(parameters, dict) and parameters.keys() == {model.short}:
        (parameters,) = parameters.values()
    return f"{verb}: {_flow(parameters)}" if parameters not in ({}, None) else f"{verb}:"


def _flow(value: Any) -> str:
    """A value on one line, for reading."""
    match value:
        case dict():
            return f"{{{', '.join(f'{name}: {_flow(inner)}' for name, inner in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_flow, value))}]"
        case float():
            return f"{value:g}"
        case _:
            return str(value)

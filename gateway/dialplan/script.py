"""Owns scripts: the steps of a rule that take time, from its first verb on. Plain values.

The call performs them one after another (gateway.calls.programs.script), simulate.py tries them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.dialplan.request import Facts, dialable, sound
from gateway.dialplan.template import Template
from gateway.dialplan.written import Written

MAX_VARIABLE = 256


@dataclass(frozen=True, slots=True)
class SetStep:
    """Sets call variables."""

    values: Mapping[str, Template]

    def filled(self, values: Mapping[str, str]) -> dict[str, str]:
        """The variables; all see those from before the step."""
        return {name: part.fill(values)[:MAX_VARIABLE] for name, part in self.values.items()}


@dataclass(frozen=True, slots=True)
class GotoStep:
    """Goes on in another context. `callee` None: with the number as it is."""

    context: str
    callee: Template | None = None


@dataclass(frozen=True, slots=True)
class RunProgram:
    """Answer, and run the call program."""

    program: str


ScriptStep = Written | SetStep | GotoStep | RunProgram


@dataclass(frozen=True, slots=True)
class Script:
    """Steps, and what their templates see beside the call's variables."""

    rule: str
    steps: tuple[ScriptStep, ...]
    context: str
    callee: str = field(repr=False)
    caller: str = field(repr=False)  # fit for a SIP URI, or empty
    dialled: str = field(repr=False)
    captures: tuple[str, ...] = field(repr=False)

    def values(self, variables: Mapping[str, str]) -> dict[str, str]:
        """What templates are filled in with; `variables` are the call's now."""
        return _values(
            self.callee, self.caller, self.context, self.dialled, self.captures, variables
        )


def values_of(facts: Facts, captures: tuple[str, ...]) -> dict[str, str]:
    """What templates are filled in with while a call is being routed."""
    return _values(
        facts.callee,
        safe_caller(facts),
        facts.context,
        facts.request.callee,
        captures,
        facts.variables,
    )


def _values(
    callee: str,
    caller: str,
    context: str,
    dialled: str,
    captures: tuple[str, ...],
    variables: Mapping[str, str],
) -> dict[str, str]:
    values = {"callee": callee, "caller": caller, "context": context, "dialled": dialled}
    values.update((str(place), held) for place, held in enumerate(captures, 1))
    values.update((f"vars.{name}", held) for name, held in variables.items() if sound(held))
    return values


def safe_caller(facts: Facts) -> str:
    """A hostile caller id is data: conditions may look at it, but it reaches no URI."""
    return facts.caller if dialable(facts.caller) else ""


def script_of(
    rule: str, steps: tuple[ScriptStep, ...], facts: Facts, captures: tuple[str, ...]
) -> Script:
    """The script of a rule that a call met."""
    return Script(
        rule,
        steps,
        facts.context,
        facts.callee,
        safe_caller(facts),
        facts.request.callee,
        captures,
    )

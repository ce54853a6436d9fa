"""Owns what one rule of the file means: its models become conditions and steps. Pure.

Names that the rule refers to are looked up, and what does not fit is a located problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.config.document import Document, Path, Problem
from gateway.dialplan import model as m
from gateway.dialplan import script
from gateway.dialplan import steps as s
from gateway.dialplan.conditions import (
    Condition,
    NumberIs,
    NumberPlanIs,
    Side,
    TimeIs,
    ValueIs,
)
from gateway.dialplan.rules import BeginScript, IncludeStep, Refuse, Step
from gateway.dialplan.script import GotoStep, RunProgram, SetStep
from gateway.dialplan.template import parse_template
from gateway.dialplan.times import Dates, Window
from gateway.dialplan.written import Slot, Written, group_of
from gateway.numbers.pattern import Pattern
from gateway.verbs import Dial, Reject, Strategy


class Meanings:
    """Reads rules of one document. `problems` collects what is wrong, in the order of reading."""

    def __init__(self, document: Document, file: m.PlanFile) -> None:
        self._document = document
        self._file = file
        self.problems: list[Problem] = []
        self._times = {
            name: self._windows(time, ("times", name)) for name, time in file.times.items()
        }

    def refuse(self, path: Path, message: str, remedy: str) -> None:
        """Notes a problem at `path`."""
        self.problems.append(self._document.problem(path, message, remedy))

    def known_context(self, name: str, path: Path) -> None:
        """Notes a problem if nothing is called `name`."""
        if name not in self._file.contexts:
            known = ", ".join(sorted(self._file.contexts)) or "none"
            self.refuse(path, f"no context {name!r}", f"contexts of this plan: {known}")

    # ---- conditions: cheap ones first, the expression last ----------------------------------

    def conditions(self, rule: m.Rule, path: Path) -> tuple[Condition, ...]:
        """The conditions of `rule`."""
        callee = rule.callee if rule.match is None else rule.match
        found: list[Condition] = []
        for side, test in ((Side.CALLEE, callee), (Side.CALLER, rule.caller)):
            if test is not None:
                found += _number(side, test)
        for name, value in (rule.headers or {}).items():
            found.append(_value("header", name.lower(), value))
        for name, value in (rule.vars or {}).items():
            found.append(_value("variable", name, value))
        if rule.time is not None:
            found.append(TimeIs(self._time(rule.time, (*path, "time"))))
        if len(found) > 1:
            found.sort(key=lambda condition: isinstance(condition, NumberPlanIs))
        if rule.when is not None:
            found.append(rule.when)
        return tuple(found)

    def _time(self, time: m.TimeCondition, path: Path) -> tuple[Window, ...]:
        if not isinstance(time, str):
            return self._windows(time, path)
        if time not in self._times:
            known = ", ".join(sorted(self._times)) or "none"
            self.refuse(path, f"no time {time!r}", f"times of this plan: {known}")
        return self._times.get(time, ())

    def _windows(self, time: m.NamedTime, path: Path) -> tuple[Window, ...]:
        if isinstance(time, m.Window):
            return (self._window(time, path),)
        return tuple(self._window(one, (*path, place)) for place, one in enumerate(time))

    def _window(self, window: m.Window, path: Path) -> Window:
        days = frozenset[int]().union(*window.days) or frozenset(range(7))
        return Window(
            window.zone or self._file.zone,
            days,
            tuple(window.hours),
            (*window.dates, *self._holidays(window.only_on, (*path, "only_on"))),
            self._holidays(window.not_on, (*path, "not_on")),
        )

    def _holidays(self, names: Sequence[str], path: Path) -> tuple[Dates, ...]:
        found: list[Dates] = []
        for place, name in enumerate(names):
            if name not in self._file.holidays:
                known = ", ".join(sorted(self._file.holidays)) or "none"
                message = f"no holidays {name!r}"
                self.refuse((*path, place), message, f"holidays of this plan: {known}")
            found += self._file.holidays.get(name, [])
        return tuple(found)

    # ---- steps ------------------------------------------------------------------------------

    def steps(self, rule: m.Rule, path: Path, conditions: Sequence[Condition]) -> tuple[Step, ...]:
        """The steps of `rule`, in order."""
        captures = 0
        for condition in conditions:
            captures = max(captures, _captures(condition))
        if rule.steps is None:
            given = rule.__dict__
            found: list[Step] = []
            for verb in s.SHORT:
                value = given[verb]
                if value is None:
                    continue
                if verb == "dial" and rule.ring_timeout is not None:
                    value = value.having(ring_timeout=str(rule.ring_timeout))
                found.append(self._step(verb, value, (*path, verb), captures))
            return _decided(found)
        return self._listed(rule.steps, (*path, "steps"), captures)

    def _listed(self, listed: Sequence[s.Step], path: Path, captures: int) -> tuple[Step, ...]:
        found: list[Step] = []
        first = None  # the first verb that takes time
        for place, step in enumerate(listed):
            verb, value = step.verb()
            here = (*path, place, verb)
            last = place == len(listed) - 1
            if verb in s.ENDING and not last:
                self.refuse(here, f"steps behind {verb} never run", "put it last, or remove them")
            elif last and verb == "set":
                self.refuse(here, "set as the last step", "add what to do then")
            elif first is not None and verb == "include":
                self.refuse(here, "include behind a verb", "put it first, or use goto")
            if first is None and verb not in ("set", "include", "goto"):
                first = place
            found.append(self._step(verb, value, here, captures))
        decides = first == len(listed) - 1 and listed[first].verb()[0] in s.DECIDING
        if first is None or decides:
            return _decided(found)
        rest = tuple(step for step in found[first:] if isinstance(step, script.ScriptStep))
        return (*found[:first], BeginScript(rest))

    def _step(self, verb: str, value: Any, path: Path, captures: int) -> Step:
        """What `verb: value` means; `value` is what its model in steps.py made of it."""
        match verb:
            case "echo" | "ivr":
                return RunProgram(verb)
            case "app":
                return RunProgram(value)
            case "set":
                for name, template in value.items():
                    self._fits(template.captures, (*path, name), captures)
                return SetStep(value)
            case "include":
                self.known_context(value, path)
                return IncludeStep(value)
            case _:
                return self._verb(value, path, captures)

    def _verb(self, written: Written, path: Path, captures: int) -> Step:
        self._fits(written.captures, path, captures)
        if written.name in ("goto", "http"):
            for place, context in written.named("context"):
                self.known_context(context, (*path, *place))
        parameters = written.parameters
        if written.name == "goto":
            callee = parameters.get("callee")
            template = callee.template if isinstance(callee, Slot) else None
            if isinstance(callee, str):
                template = parse_template(callee)
            return GotoStep(str(parameters["context"]), template)
        if written.model is Dial and parameters.get("strategy") == Strategy.ROUND_ROBIN:
            return written.having(group=group_of(parameters.get("targets", parameters)))
        return written

    def _fits(self, wanted: int, path: Path, captures: int) -> None:
        if wanted > captures:
            self.refuse(
                path,
                f"${{{wanted}}} without that many captures in the rule",
                "put what it means in parentheses, as in match: _9(X.)",
            )


def _decided(found: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a rule that decides at once."""
    *before, last = found
    if isinstance(last, Written) and isinstance(last.verb, Reject):
        last = Refuse(s.refusal(last.verb))
    return (*before, last)


def _captures(condition: Condition) -> int:
    """How many captures a condition is sure to have."""
    if not isinstance(condition, NumberIs) or condition.side is not Side.CALLEE:
        return 0
    if condition.patterns:
        return min(len(pattern.groups) for pattern in condition.patterns)
    return condition.regex.groups if condition.regex else 0


def _number(side: Side, test: Pattern | list[Pattern] | m.NumberTest) -> list[Condition]:
    if isinstance(test, Pattern):
        return [NumberIs(side, (test,))]
    if isinstance(test, list):
        return [NumberIs(side, tuple(test))]
    found: list[Condition] = []
    patterns = tuple(test.match or ())
    if patterns or test.regex or test.prefix or test.withheld is not None:
        found.append(NumberIs(side, patterns, test.regex, tuple(test.prefix), test.withheld))
    if test.country or test.type:
        found.append(NumberPlanIs(side, frozenset(test.country), frozenset(test.type)))
    return found


def _value(kind: str, name: str, test: str | m.ValueTest) -> ValueIs:
    if isinstance(test, str):
        return ValueIs(kind, name, equals=test)
    return ValueIs(kind, name, test.equals, test.regex, test.present)

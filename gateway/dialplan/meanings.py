"""Owns what one rule of the file means: its models become conditions and steps. Pure.

Names that the rule refers to are looked up, and what does not fit is a located problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.config.document import Document, Path, Problem
from gateway.dialplan import model as m
from gateway.dialplan import steps as s
from gateway.dialplan.conditions import (
    Condition,
    NumberIs,
    NumberPlanIs,
    Side,
    TimeIs,
    ValueIs,
)
from gateway.dialplan.rules import (
    GotoStep,
    IncludeStep,
    Refuse,
    RunProgram,
    SetStep,
    Step,
    TrunkStep,
    UserStep,
)
from gateway.dialplan.template import Template
from gateway.dialplan.times import Dates, Window
from gateway.errors import FORBIDDEN, PEER_REFUSED, Verdict, from_sip_status
from gateway.numbers.pattern import Pattern


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
            return tuple(
                self._step(verb, given[verb], (*path, verb), captures, rule.ring_timeout)
                for verb in s.VERBS
                if given[verb] is not None
            )
        found: list[Step] = []
        for place, step in enumerate(rule.steps):
            verb = s.verb_of(step)
            here = (*path, "steps", place, verb)
            last = place == len(rule.steps) - 1
            if verb in s.ENDING and not last:
                self.refuse(here, f"steps behind {verb} never run", "put it last, or remove them")
            elif last and verb not in s.ENDING and verb != "include":
                ending = ", ".join(sorted(s.ENDING))
                self.refuse(here, f"{verb} as the last step", f"add a step: {ending} or include")
            found.append(self._step(verb, getattr(step, verb), here, captures, None))
        return tuple(found)

    def _step(
        self, verb: str, value: Any, path: Path, captures: int, ring_timeout: float | None
    ) -> Step:
        """What `verb: value` means; `value` is what its model in steps.py made of it."""
        match verb:
            case "dial":
                return self._dial(value, path, captures, ring_timeout)
            case "echo" | "ivr":
                return RunProgram(verb)
            case "app":
                return RunProgram(value)
            case "reject":
                return Refuse(_refusal(value))
            case "set":
                for name in value:
                    self._fits(value, name, path, captures)
                return SetStep(value)
            case "goto":
                if isinstance(value, str):
                    self.known_context(value, path)
                    return GotoStep(value)
                self.known_context(value.context, (*path, "context"))
                self._fits(value.__dict__, "callee", path, captures)
                return GotoStep(value.context, value.callee)
            case "include":
                self.known_context(value, path)
                return IncludeStep(value)
            case _:
                raise AssertionError(f"steps.py knows {verb!r}, meanings.py does not")

    def _dial(
        self, dial: s.Dial, path: Path, captures: int, ring_timeout: float | None
    ) -> TrunkStep | UserStep:
        for name in ("number", "caller", "user"):
            self._fits(dial.__dict__, name, path, captures)
        seconds = dial.ring_timeout if dial.ring_timeout is not None else ring_timeout
        if dial.user is not None:
            return UserStep(dial.user, seconds)
        assert dial.trunk is not None
        assert dial.number is not None
        return TrunkStep(dial.trunk, dial.number, dial.caller, dial.withhold, seconds)

    def _fits(
        self, values: Mapping[str, Template | None], name: str, path: Path, captures: int
    ) -> None:
        template = values[name]
        if template is not None and template.captures > captures:
            self.refuse(
                (*path, name),
                f"${{{template.captures}}} without that many captures in the rule",
                "put what it means in parentheses, as in match: _9(X.)",
            )


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


def _refusal(reject: s.Reject) -> Verdict:
    verdict = from_sip_status(reject.status, reject.reason)
    if verdict.code == PEER_REFUSED.code:  # no trunk was asked: it is our own policy
        verdict = replace(FORBIDDEN, sip_status=reject.status, text=verdict.text)
    return verdict

"""Owns the check that plan and configuration fit: trunks, contexts, hidden rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.config.document import ConfigError, Document, Path, Problem, value_at
from gateway.dialplan.conditions import Condition
from gateway.dialplan.plan import Plan
from gateway.dialplan.request import BROWSER_CONTEXT
from gateway.dialplan.rules import BeginScript, Context, IncludeStep, Rule, Step
from gateway.dialplan.script import GotoStep, RunProgram
from gateway.dialplan.steps import BUILT_IN
from gateway.dialplan.written import Written


def check_against(
    plan: Plan, document: Document, trunks: Iterable[str], programs: Iterable[str] = ()
) -> None:
    """Checks that plan and configuration fit: every trunk, call program and context exists,
    nothing is hidden.

    Raises ConfigError.
    """
    check = _Check(plan, document, frozenset(trunks), frozenset(programs))
    problems = list(check.problems())
    if problems:
        raise ConfigError(*sorted(problems, key=lambda found: (found.line, found.column)))


class _Check:
    """One check."""

    def __init__(
        self, plan: Plan, document: Document, trunks: frozenset[str], programs: frozenset[str]
    ) -> None:
        self._plan = plan
        self._document = document
        self._trunks = trunks
        self._programs = programs
        self._configured = f"configured trunks: {', '.join(sorted(trunks)) or 'none'}"

    def problems(self) -> Iterator[Problem]:
        reached = self._reached()
        for name, context in self._plan.contexts.items():
            if reached is not None and name not in reached:
                yield self._document.problem(
                    ("contexts", name),
                    f"context {name!r} is neither {BROWSER_CONTEXT!r} nor a trunk",
                    f"{self._configured}; or name it under entry, goto or include",
                    at_key=True,
                )
            yield from self._of_context(context)
        for kind in ("trunks", "entry"):
            names = self._plan.trunks if kind == "trunks" else self._plan.entry.trunks
            path: Path = ("trunks",) if kind == "trunks" else ("entry", "trunks")
            for name in names:
                if name not in self._trunks:
                    yield self._no_trunk(name, (*path, name), at_key=True)
        emergency = self._plan.emergency
        if emergency is not None and emergency.trunk not in self._trunks:
            yield self._no_trunk(emergency.trunk, ("emergency", "trunk"))
        if BROWSER_CONTEXT in self._trunks and BROWSER_CONTEXT not in self._plan.entry.trunks:
            yield Problem(
                self._document.file,
                0,
                0,
                f"a trunk is called {BROWSER_CONTEXT!r}, as the browsers' context",
                "rename the trunk in the configuration",
            )

    def _reached(self) -> frozenset[str] | None:
        """The contexts that a call may come to. None: any, at the word of a program."""
        entry = self._plan.entry
        named = {entry.browser, *entry.users.values(), *entry.trunks.values(), *entry.keys.values()}
        for context in self._plan.contexts.values():
            named.update(context.includes)
            for rule in context.rules:
                for _, step in _steps(rule):
                    match step:
                        case GotoStep(target) | IncludeStep(target):
                            named.add(target)
                        case RunProgram(program) if program not in BUILT_IN:
                            return None
                        case Written() if step.name == "http":
                            return None
                        case _:
                            pass
        return frozenset(named | self._trunks | {BROWSER_CONTEXT})

    def _of_context(self, context: Context) -> Iterator[Problem]:
        here: Path = ("contexts", context.name)
        if isinstance(value_at(self._document.root, here), dict):
            here = (*here, "rules")
        seen: set[tuple[Condition, ...]] = set()
        for place, rule in enumerate(context.rules):
            path = (*here, place)
            for position, step in _steps(rule):
                if isinstance(step, Written):
                    for where, trunk in step.named("trunk"):
                        if trunk not in self._trunks:
                            key = self._step_path(path, position, step.name, *where)
                            yield self._no_trunk(trunk, key)
                if isinstance(step, RunProgram) and step.program not in BUILT_IN | self._programs:
                    yield self._document.problem(
                        self._step_path(path, position, "app"),
                        f"no call program {step.program!r} in the configuration's apps",
                        f"known programs: {', '.join(sorted(self._programs)) or 'none'}",
                    )
            if rule.conditions in seen:
                yield self._document.problem(
                    (*path, "match"),
                    f"an earlier rule of {context.name!r} has the same {_what(rule)}",
                    "remove one: only the first can match",
                )
            if not any(isinstance(step, IncludeStep) for step in rule.steps):
                seen.add(rule.conditions)

    def _step_path(self, rule: Path, position: int, *key: str | int) -> Path:
        long = (*rule, "steps", position, *key)
        return long if long in self._document.places else (*rule, *key)

    def _no_trunk(self, name: str, path: Path, *, at_key: bool = False) -> Problem:
        message = f"no trunk {name!r} in the configuration"
        return self._document.problem(path, message, self._configured, at_key=at_key)


def _steps(rule: Rule) -> Iterator[tuple[int, Step]]:
    """The steps of a rule as the file lists them."""
    place = 0
    for step in rule.steps:
        for inner in step.steps if isinstance(step, BeginScript) else (step,):
            yield place, inner
            place += 1


def _what(rule: Rule) -> str:
    return "pattern" if len(rule.conditions) == 1 else "conditions"

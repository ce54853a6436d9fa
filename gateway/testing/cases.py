"""Finds `*.cases.yaml` files beside dialplans, runs them, and counts which rules they reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.document import ConfigError, Problem
from gateway.config.loader import read_document, read_plan
from gateway.dialplan import Plan, plan_from
from gateway.dialplan.cases import LocatedCase, Result, cases_from, run
from gateway.dialplan.engine import EMERGENCY_RULE

SUFFIX = ".cases.yaml"


@dataclass(frozen=True, slots=True)
class Suite:
    """A file of cases with its plan."""

    file: Path
    plan_file: Path
    plan: Plan
    cases: Sequence[LocatedCase]


@dataclass(slots=True)
class Coverage:
    """Which rules of a plan matched in some case."""

    plan_file: Path
    rules: tuple[str, ...]
    reached: set[str] = field(default_factory=set)

    @property
    def missed(self) -> tuple[str, ...]:
        """Rules that no case reaches."""
        return tuple(rule for rule in self.rules if rule not in self.reached)

    @property
    def percent(self) -> float:
        """How many of the rules are reached."""
        return 100.0 if not self.rules else 100 - 100 * len(self.missed) / len(self.rules)


def find(path: Path) -> list[Path]:
    """The case files at `path`: itself, or all below it. Raises ConfigError: there are none."""
    if path.is_file():
        return [path]
    found = sorted(path.rglob(f"*{SUFFIX}"))
    if not found:
        raise ConfigError(
            Problem(str(path), 0, 0, "no files of dialplan cases here", f"name them *{SUFFIX}")
        )
    return found


def load(file: Path) -> Suite:
    """A file of cases, and the plan that it is for. Raises ConfigError."""
    said, cases = cases_from(read_document(file))
    name = said.plan or file.name.removesuffix(SUFFIX) + ".yaml"
    plan_file = file.parent / name
    return Suite(file, plan_file, plan_from(read_plan(plan_file)), cases)


def run_all(suite: Suite) -> list[Result]:
    """What became of each case."""
    return [run(suite.plan, case) for case in suite.cases]


def coverage(runs: Iterable[tuple[Suite, Sequence[Result]]]) -> list[Coverage]:
    """Coverage by plan; several files of cases may be for the same plan."""
    found: dict[Path, Coverage] = {}
    for suite, results in runs:
        names = [rule.name for rule in suite.plan.rules]
        if suite.plan.emergency is not None:
            names.insert(0, EMERGENCY_RULE)
        here = found.setdefault(suite.plan_file.resolve(), Coverage(suite.plan_file, tuple(names)))
        for result in results:
            here.reached.update(look.rule for look in result.looks if look.matched)
    return list(found.values())

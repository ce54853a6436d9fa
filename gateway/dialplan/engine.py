"""Owns the decision: which rule a call meets, and what its steps become. Pure.

Same request, same answer. Callers' values are data: they fill templates once, are compared, and
reach a SIP URI only where `dialable` lets them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from gateway.dialplan.conditions import NumberIs, Side
from gateway.dialplan.policy import ANONYMOUS, Numbers
from gateway.dialplan.request import (
    MAX_DESTINATION,
    Facts,
    Origin,
    Request,
    clean_headers,
    dialable,
    sound,
)
from gateway.dialplan.rules import (
    Action,
    Context,
    DialOut,
    DialTrunk,
    DialUser,
    GotoStep,
    IncludeStep,
    NoRoute,
    Refuse,
    Route,
    Rule,
    RuleSet,
    RunProgram,
    SetStep,
    TrunkProfile,
    TrunkStep,
    UserStep,
)
from gateway.dialplan.template import Template
from gateway.errors import ANONYMOUS_REFUSED, FORBIDDEN, LOOP_DETECTED, Verdict
from gateway.numbers import is_withheld

EMERGENCY_RULE = "emergency"
MAX_JUMPS = 32
"""`goto` steps that one call may take; the same place twice is a loop before that."""
MAX_VARIABLE = 256

_NO_DESTINATION = (
    f"the destination is empty, longer than {MAX_DESTINATION} or has characters "
    "that no destination has"
)


@dataclass(frozen=True, slots=True)
class Look:
    """A rule that was looked at. `reason` says why it did not match, or what became of it."""

    rule: str
    matched: bool
    reason: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Decision:
    """A route or none, with every rule looked at and the numbers as the rules saw them."""

    outcome: Route | NoRoute
    looks: tuple[Look, ...]
    contexts: tuple[str, ...]  # entered, in order
    callee: str = field(repr=False)
    caller: str = field(repr=False)


def decide(plan: RuleSet, request: Request, *, every_rule: bool = False) -> Decision:
    """Routes a call: the first rule that matches. The trace quotes no number.

    every_rule: reads contexts from top to bottom, to explain; the outcome is the same.
    """
    return _Search(plan, request, every_rule).run()


@dataclass(frozen=True, slots=True)
class _Goto:
    step: GotoStep
    facts: Facts
    captures: tuple[str, ...]
    rule: str


@dataclass(frozen=True, slots=True)
class _End:
    rule: str
    action: Action
    variables: Mapping[str, str]


class _Search:
    """One decision being made."""

    def __init__(self, plan: RuleSet, request: Request, every_rule: bool) -> None:
        self._plan = plan
        self._request = request
        self._every_rule = every_rule
        self._looks: list[Look] = []
        self._trace: list[str] = []
        self._contexts: list[str] = []
        self._emergency = plan.emergency.numbers if plan.emergency else frozenset[str]()
        caller = request.caller if sound(request.caller) else ""
        variables = {name: value for name, value in request.variables.items() if sound(value)}
        headers = clean_headers(request.headers)
        self._facts = Facts(request, request.context, request.callee, caller, variables, headers)

    def run(self) -> Decision:
        found = self._route()
        if isinstance(found, str):
            self._trace.append(found)
            return self._decision(NoRoute(tuple(self._trace)))
        if found is None:
            none = (f"no rules in context {self._facts.context!r}",)
            return self._decision(NoRoute(tuple(self._trace) or none))
        route = Route(found.rule, (found.action,), tuple(self._trace), found.variables)
        return self._decision(route)

    def _decision(self, outcome: Route | NoRoute) -> Decision:
        facts = self._facts
        looks, contexts = tuple(self._looks), tuple(self._contexts)
        return Decision(outcome, looks, contexts, facts.callee, facts.caller)

    def _route(self) -> _End | str | None:
        """The end that the call meets, None, or why there cannot be one."""
        if not dialable(self._request.callee):
            return _NO_DESTINATION
        name, callee = self._request.context, self._request.callee
        visited: set[object] = set()
        while True:
            context = self._plan.contexts.get(name)
            emergency = self._emergency_call(context, callee)
            if emergency is not None:
                return emergency
            if context is None:
                return f"no context {name!r} in the dialplan"
            self._enter(context, callee)
            if context.callers.refuse_withheld and is_withheld(self._facts.caller):
                return self._refused(f"{name} callers", "the caller is withheld", ANONYMOUS_REFUSED)
            found = self._first(context, self._rules(context))
            if not isinstance(found, _Goto):
                return found
            name = found.step.context
            callee = self._filled(found.step.callee, found.facts, found.captures)
            callee = found.facts.callee if found.step.callee is None else callee
            if not dialable(callee):
                return f"{found.rule}: its number comes out empty or too long"
            self._facts = found.facts
            here = (name, callee, frozenset(found.facts.variables.items()))
            if here in visited or len(visited) >= MAX_JUMPS:
                return self._refused(found.rule, "goto runs in a circle", LOOP_DETECTED)
            visited.add(here)

    # ---- entering a context -----------------------------------------------------------------

    def _numbers(self, context: Context) -> Numbers:
        request = self._request
        if request.origin is Origin.TRUNK and not self._contexts:
            profile = self._plan.trunks.get(request.source)
            if profile is not None and profile.incoming != Numbers():
                return profile.incoming
        return context.numbers

    def _enter(self, context: Context, callee: str) -> None:
        numbers = self._numbers(context)
        habits = self._request.origin is Origin.TRUNK  # people do not dial their own identity
        self._contexts.append(context.name)
        self._facts = replace(
            self._facts,
            context=context.name,
            callee=numbers.normal(callee, self._emergency),
            caller=numbers.normal(self._facts.caller, self._emergency, strip=habits),
        )

    def _emergency_call(self, context: Context | None, callee: str) -> _End | None:
        """Before all rules and policies; whoever is a trunk calls emergencies by itself."""
        emergency = self._plan.emergency
        if emergency is None or self._request.origin is Origin.TRUNK:
            return None
        number = callee
        if number not in emergency.numbers and context is not None:
            number = context.numbers.stripped(callee)  # 9911: the line's 9, then 911
        if number not in emergency.numbers:
            return None
        self._look(EMERGENCY_RULE, "matches", matched=True)
        self._facts = replace(self._facts, callee=number)
        shown = self._filled(emergency.caller, self._facts, ())
        if not shown and context is not None:
            shown = self._shown(context, emergency.trunk, self._safe_caller(self._facts))
        shown = shown if dialable(shown) else ""
        action = DialTrunk(emergency.trunk, number, shown)
        return _End(EMERGENCY_RULE, DialOut((action,)), self._facts.variables)

    # ---- rules ------------------------------------------------------------------------------

    def _rules(self, context: Context) -> Iterator[Rule]:
        if self._every_rule or context.index is None:
            return iter(context.all_rules)
        places: Sequence[int] = context.index.candidates(self._facts.callee, self._facts.caller)
        return (context.all_rules[place] for place in places)

    def _first(self, context: Context, rules: Iterator[Rule]) -> _End | _Goto | None:
        for rule in rules:
            reason = rule.mismatch(self._facts)
            if reason is not None:
                self._look(rule.name, reason)
                continue
            found = self._run(context, rule)
            if found is not None:
                return found
        return None

    def _look(self, rule: str, reason: str, *, matched: bool = False) -> None:
        look = Look(rule, matched, reason)
        self._looks.append(look)
        self._trace.append(str(look))

    def _run(self, context: Context, rule: Rule) -> _End | _Goto | None:
        """Runs the steps of a rule that matches. None: the rules behind it are asked."""
        facts = self._facts
        captures = _captures(rule, facts)
        for step in rule.steps:
            match step:
                case SetStep(values):
                    filled = {
                        name: self._filled(value, facts, captures)[:MAX_VARIABLE]
                        for name, value in values.items()
                    }
                    facts = replace(facts, variables={**facts.variables, **filled})
                case GotoStep(target):
                    self._look(rule.name, f"matches, goes to {target!r}", matched=True)
                    return _Goto(step, facts, captures, rule.name)
                case IncludeStep(target):
                    found = self._included(context, rule, target, facts)
                    if found is not None:
                        return found
                case TrunkStep():
                    return self._dial_trunk(context, rule, step, facts, captures)
                case UserStep(user, ring_timeout):
                    name = self._filled(user, facts, captures)
                    if not name:
                        self._look(rule.name, "matches, but its user comes out empty")
                        return None
                    wanted = DialUser(name, self._safe_caller(facts), ring_timeout)
                    return self._end(rule, DialOut((wanted,)), facts)
                case RunProgram() | Refuse():
                    return self._end(rule, step, facts)
                case _:
                    assert_never(step)
        return None

    def _included(
        self, context: Context, rule: Rule, target: str, facts: Facts
    ) -> _End | _Goto | None:
        self._look(rule.name, f"matches, includes {target!r}", matched=True)
        before, self._facts = self._facts, facts
        found = self._first(context, self._rules(self._plan.contexts[target]))
        if found is None:
            self._facts = before
        return found

    def _end(self, rule: Rule, action: Action, facts: Facts) -> _End:
        self._look(rule.name, "matches", matched=True)
        return _End(rule.name, action, facts.variables)

    def _refused(self, rule: str, reason: str, verdict: Verdict) -> _End:
        self._look(rule, f"refused: {reason}", matched=True)
        refusal = Refuse(verdict.because(f"{verdict.text}: {reason}"))
        return _End(rule, refusal, self._facts.variables)

    def _dial_trunk(
        self,
        context: Context,
        rule: Rule,
        step: TrunkStep,
        facts: Facts,
        captures: tuple[str, ...],
    ) -> _End | None:
        number = self._filled(step.number, facts, captures)
        profile = self._plan.trunks.get(step.trunk, _PLAIN_TRUNK)
        outgoing = number if number in self._emergency else profile.outgoing.outgoing(number)
        if not (dialable(number) and dialable(outgoing)):
            self._look(rule.name, "matches, but its number comes out empty or too long")
            return None
        if number not in self._emergency:
            refusal = context.destinations.refusal(number, context.numbers.country)
            if refusal is not None:
                return self._refused(rule.name, refusal, FORBIDDEN)
        if step.withhold:
            shown = ANONYMOUS
        else:
            own = step.caller is None
            shown = self._safe_caller(facts) if own else self._filled(step.caller, facts, captures)
            shown = self._shown(context, step.trunk, shown)
        shown = shown if dialable(shown) else ""
        target = DialTrunk(step.trunk, outgoing, shown, step.ring_timeout)
        return self._end(rule, DialOut((target,)), facts)

    def _shown(self, context: Context, trunk: str, caller: str) -> str:
        """The identity that the policies of context and trunk let be shown."""
        profile = self._plan.trunks.get(trunk, _PLAIN_TRUNK)
        return profile.callers.shown(context.callers.shown(caller))

    # ---- values -----------------------------------------------------------------------------

    def _safe_caller(self, facts: Facts) -> str:
        """A hostile caller id is data: conditions may look at it, but it reaches no URI."""
        return facts.caller if dialable(facts.caller) else ""

    def _filled(self, template: Template | None, facts: Facts, captures: tuple[str, ...]) -> str:
        if template is None:
            return ""
        values = {
            "callee": facts.callee,
            "caller": self._safe_caller(facts),
            "context": facts.context,
            "dialled": self._request.callee,
        }
        values.update((str(place), held) for place, held in enumerate(captures, 1))
        values.update((f"vars.{name}", held) for name, held in facts.variables.items())
        return template.fill(values)


_PLAIN_TRUNK = TrunkProfile()


def _captures(rule: Rule, facts: Facts) -> tuple[str, ...]:
    for condition in rule.conditions:
        if isinstance(condition, NumberIs) and condition.side is Side.CALLEE:
            return condition.captures(facts)
    return ()

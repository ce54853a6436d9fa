"""Owns the decision: which rule a call meets, and what its steps become. Pure.

Same request, same answer. Callers' values are data: they fill templates once, are compared, and
reach a SIP URI only where `dialable` lets them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from gateway.dialplan.conditions import NumberIs, Side
from gateway.dialplan.dialling import emergency_call, resolved
from gateway.dialplan.policy import Numbers
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
    BeginScript,
    Context,
    IncludeStep,
    NoRoute,
    Refuse,
    Route,
    Rule,
    RuleSet,
    RunScript,
)
from gateway.dialplan.script import GotoStep, RunProgram, SetStep, script_of, values_of
from gateway.dialplan.steps import refusal
from gateway.dialplan.template import Template
from gateway.dialplan.written import Written
from gateway.errors import (
    ANONYMOUS_REFUSED,
    BAD_REQUEST,
    LOOP_DETECTED,
    GatewayError,
    Verdict,
)
from gateway.numbers.normal import is_withheld
from gateway.verbs import Dial, Reject

EMERGENCY_RULE = "emergency"
MAX_JUMPS = 32
"""`goto` steps that one call may take; the same place twice is a loop before that."""

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
    facts: Facts = field(repr=False)  # where the call is now, as the rules there see it

    @property
    def callee(self) -> str:
        """The number that was dialled, as the rules saw it last."""
        return self.facts.callee

    @property
    def caller(self) -> str:
        """Who calls, as the rules saw it last."""
        return self.facts.caller


def decide(plan: RuleSet, request: Request, *, every_rule: bool = False) -> Decision:
    """Routes a call: the first rule that matches. The trace quotes no number.

    every_rule: reads contexts from top to bottom, to explain; the outcome is the same.
    """
    search = _Search(plan, _first_facts(request), every_rule, arrives=True)
    return search.run(request.context, request.callee)


def go_on(
    plan: RuleSet,
    facts: Facts,
    context: str,
    callee: str | None,
    variables: Mapping[str, str],
    *,
    every_rule: bool = False,
) -> Decision:
    """Routes a call that is where `facts` say on in `context`. `callee` None: as it is."""
    facts = replace(facts, variables=_sound(variables))
    search = _Search(plan, facts, every_rule, arrives=False)
    return search.run(context, facts.callee if callee is None else callee)


def arrived(plan: RuleSet, request: Request) -> Facts:
    """A call that stands in its context and has met no rule: one that the gateway starts."""
    search = _Search(plan, _first_facts(request), every_rule=False, arrives=True)
    return search.entered(request.context, request.callee)


def _first_facts(request: Request) -> Facts:
    caller = request.caller if sound(request.caller) else ""
    headers = clean_headers(request.headers)
    variables = _sound(request.variables)
    return Facts(request, request.context, request.callee, caller, variables, headers)


def _sound(variables: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in variables.items() if sound(value)}


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

    def __init__(self, plan: RuleSet, facts: Facts, every_rule: bool, *, arrives: bool) -> None:
        self._plan = plan
        self._facts = facts
        self._every_rule = every_rule
        self._arrives = arrives  # its numbers are still as whoever sent it writes them
        self._looks: list[Look] = []
        self._trace: list[str] = []
        self._contexts: list[str] = []
        self._emergency = plan.emergency.numbers if plan.emergency else frozenset[str]()

    def run(self, context: str, callee: str) -> Decision:
        found = self._route(context, callee)
        if isinstance(found, str):
            self._trace.append(found)
            return self._decision(NoRoute(tuple(self._trace)))
        if found is None:
            none = (f"no rules in context {self._facts.context!r}",)
            return self._decision(NoRoute(tuple(self._trace) or none))
        route = Route(found.rule, (found.action,), tuple(self._trace), found.variables)
        self._facts = replace(self._facts, variables=found.variables)
        return self._decision(route)

    def entered(self, name: str, callee: str) -> Facts:
        context = self._plan.contexts.get(name)
        if context is not None:
            self._enter(context, callee)
        return self._facts

    def _decision(self, outcome: Route | NoRoute) -> Decision:
        return Decision(outcome, tuple(self._looks), tuple(self._contexts), self._facts)

    def _route(self, name: str, callee: str) -> _End | str | None:
        """The end that the call meets, None, or why there cannot be one."""
        if not dialable(callee):
            return _NO_DESTINATION
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
            callee = found.facts.callee
            if found.step.callee is not None:
                callee = self._filled(found.step.callee, found.facts, found.captures)
            if not dialable(callee):
                return f"{found.rule}: its number comes out empty or too long"
            self._facts = found.facts
            here = (name, callee, frozenset(found.facts.variables.items()))
            if here in visited or len(visited) >= MAX_JUMPS:
                return self._refused(found.rule, "goto runs in a circle", LOOP_DETECTED)
            visited.add(here)

    # ---- entering a context -----------------------------------------------------------------

    def _numbers(self, context: Context) -> Numbers:
        request = self._facts.request
        if request.origin is Origin.TRUNK and self._arrives:
            profile = self._plan.trunks.get(request.source)
            if profile is not None and profile.incoming != Numbers():
                return profile.incoming
        return context.numbers

    def _enter(self, context: Context, callee: str) -> None:
        numbers = self._numbers(context)
        habits = self._facts.request.origin is Origin.TRUNK  # people do not dial their own identity
        self._arrives = False
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
        if emergency is None or self._facts.request.origin is Origin.TRUNK:
            return None
        number = callee
        if number not in emergency.numbers and context is not None:
            number = context.numbers.stripped(callee)  # 9911: the line's 9, then 911
        if number not in emergency.numbers:
            return None
        self._look(EMERGENCY_RULE, "matches", matched=True)
        self._facts = replace(self._facts, callee=number)
        shown = ""
        if emergency.caller is not None:
            shown = self._filled(emergency.caller, self._facts, ())
        action = emergency_call(self._plan, context, self._facts, number, shown)
        return _End(EMERGENCY_RULE, action, self._facts.variables)

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
                case SetStep():
                    filled = step.filled(values_of(facts, captures))
                    facts = replace(facts, variables={**facts.variables, **filled})
                case GotoStep(target):
                    self._look(rule.name, f"matches, goes to {target!r}", matched=True)
                    return _Goto(step, facts, captures, rule.name)
                case IncludeStep(target):
                    found = self._included(context, rule, target, facts)
                    if found is not None:
                        return found
                case Written():
                    return self._decide(rule, step, facts, captures)
                case BeginScript(steps):
                    script = script_of(rule.name, steps, facts, captures)
                    return self._end(rule, RunScript(script), facts)
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

    def _decide(
        self, rule: Rule, written: Written, facts: Facts, captures: tuple[str, ...]
    ) -> _End | None:
        """The step that is all that a rule does. None: nobody can be dialled by it."""
        try:
            verb = written.filled(values_of(facts, captures))
        except GatewayError as error:
            return self._refused(rule.name, error.verdict.text, BAD_REQUEST)
        if isinstance(verb, Reject):
            return self._end(rule, Refuse(refusal(verb)), facts)
        assert isinstance(verb, Dial)
        found = resolved(self._plan, facts, verb)
        if found.dial is None:
            reason, verdict = found.refusal.reason, found.refusal.verdict
            if verdict is not None:
                return self._refused(rule.name, reason, verdict)
            self._look(rule.name, f"matches, but {reason}")
            return None
        for refused in found.refused:
            self._look(rule.name, f"target {refused.place} is left out: {refused.reason}")
        return self._end(rule, found.dial, facts)

    # ---- values -----------------------------------------------------------------------------

    def _filled(self, template: Template, facts: Facts, captures: tuple[str, ...]) -> str:
        return template.fill(values_of(facts, captures))


def _captures(rule: Rule, facts: Facts) -> tuple[str, ...]:
    for condition in rule.conditions:
        if isinstance(condition, NumberIs) and condition.side is Side.CALLEE:
            return condition.captures(facts)
    return ()

"""Owns the way from a YAML document to a plan: validates, compiles every rule, resolves includes,
refuses circles, builds the indexes. Every problem is located. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from gateway.config.document import ConfigError, Document, Path, Value, value_at
from gateway.config.validation import validate
from gateway.dialplan import model as m
from gateway.dialplan.circles import Jump, circle
from gateway.dialplan.conditions import Condition, NumberIs
from gateway.dialplan.index import Index
from gateway.dialplan.meanings import Meanings
from gateway.dialplan.plan import Entry, Plan
from gateway.dialplan.policy import Callers, Destinations, Numbers, Selection
from gateway.dialplan.rules import (
    INDEX_FROM,
    BeginScript,
    Context,
    Emergency,
    IncludeStep,
    Rule,
    Step,
    TrunkProfile,
)
from gateway.dialplan.script import GotoStep
from gateway.dialplan.written import Written


def plan_from(document: Document) -> Plan:
    """The plan in `document`. Raises ConfigError with every located problem."""
    return _Compiler(document).plan()


_INSTANT = frozenset({"answer", "ring", "hold", "unhold", "mute", "unmute"})
"""Verbs that neither wait nor change anything that a rule can see."""


class _Compiler:
    """Compiles one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._file = validate(document, m.PlanFile)
        self._means = Meanings(document, self._file)
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._jumping: dict[str, Path] = {}  # rules that goto or include, by name

    def plan(self) -> Plan:
        for name, context in self._file.contexts.items():
            self._rules[name] = tuple(self._compiled(name, context))
        self._check_entry()
        self._check_included()
        self._raise()
        self._check_circles()
        self._raise()
        contexts = {name: self._context(name, c) for name, c in self._file.contexts.items()}
        file, entry = self._file, self._file.entry
        emergency = None
        if file.emergency is not None:
            numbers = frozenset(file.emergency.numbers)
            emergency = Emergency(numbers, file.emergency.trunk, file.emergency.caller)
        return Plan(
            contexts,
            {name: _profile(trunk) for name, trunk in file.trunks.items()},
            emergency,
            Entry(entry.browser, entry.users, entry.trunks, entry.keys),
            file.zone,
            _settings(self._document.root),
            self._document.text,
        )

    def _raise(self) -> None:
        problems = self._means.problems
        if problems:
            raise ConfigError(*sorted(problems, key=lambda found: (found.line, found.column)))

    # ---- rules ------------------------------------------------------------------------------

    def _compiled(self, name: str, context: m.AnyContext) -> Iterator[Rule]:
        plain = not isinstance(context, m.Context)
        above: Path = ("contexts", name) if plain else ("contexts", name, "rules")
        sources = value_at(self._document.root, above)
        seen: dict[str, int] = {}
        for place, rule in enumerate(_rules_of(context)):
            path = (*above, place)
            conditions = self._means.conditions(rule, path)
            steps = self._means.steps(rule, path, conditions)
            label = _label(rule, conditions)
            count = seen[label] = seen.get(label, 0) + 1
            if rule.name is not None and count > 1:
                self._means.refuse(
                    (*path, "name"), f"two rules of {name!r} have this name", "rename one"
                )
            again = f" ({count})" if count > 1 else ""
            full = f"{name}[{place + 1}] {label}"
            source = sources[place] if isinstance(sources, list) else None
            if _jump(steps) or any(isinstance(step, IncludeStep) for step in steps):
                self._jumping[full] = path
            yield Rule(full, conditions, steps, f"{name}: {label}{again}", source)

    def _context(self, name: str, context: m.AnyContext) -> Context:
        order = dict.fromkeys(self._with_included(name))
        rules = tuple(rule for context in order for rule in self._rules[context])
        large = len(rules) >= INDEX_FROM
        index = Index(rule.conditions for rule in rules) if large else None
        if not isinstance(context, m.Context):
            return Context(name, self._rules[name], rules, index)
        allow = context.destinations.allow
        return Context(
            name,
            self._rules[name],
            rules,
            index,
            tuple(context.include),
            _numbers(context.numbers),
            _callers(context.callers),
            Destinations(
                allow if allow is None else _selection(allow),
                _selection(context.destinations.deny),
            ),
        )

    def _with_included(self, name: str) -> Iterator[str]:
        yield name
        for included in self._includes(name):
            yield from self._with_included(included)

    def _includes(self, name: str) -> Sequence[str]:
        context = self._file.contexts[name]
        return context.include if isinstance(context, m.Context) else ()

    # ---- what refers to what ----------------------------------------------------------------

    def _check_entry(self) -> None:
        entry = self._file.entry
        if "browser" in entry.model_fields_set:
            self._means.known_context(entry.browser, ("entry", "browser"))
        for kind in ("users", "trunks", "keys"):
            for who, context in getattr(entry, kind).items():
                self._means.known_context(context, ("entry", kind, who))

    def _check_included(self) -> None:
        for name in self._file.contexts:
            for place, included in enumerate(self._includes(name)):
                self._means.known_context(included, ("contexts", name, "include", place))

    def _check_circles(self) -> None:
        """A call that runs in a circle is ended when it happens; what is sure to is refused."""
        includes = [
            Jump(name, included, ("contexts", name, "include", place))
            for name in self._file.contexts
            for place, included in enumerate(self._includes(name))
        ]
        gotos: dict[str, list[Jump]] = {}
        anyway: list[Jump] = []
        for name, rules in self._rules.items():
            for rule in rules:
                path = self._jumping.get(rule.name)
                if path is None:
                    continue
                includes += (
                    Jump(name, step.context, path)
                    for step in rule.steps
                    if isinstance(step, IncludeStep)
                )
                goto = _jump(rule.steps)
                if goto is not None and goto.callee is None:
                    jump = Jump(name, goto.context, path)
                    if all(map(_always, rule.conditions)):
                        anyway.append(jump)
                    else:
                        gotos.setdefault(repr(rule.conditions), []).append(jump)
        self._refuse_circle("include", circle(includes))
        found = circle(anyway)
        self._refuse_circle("goto", found)
        for jumps in gotos.values():
            if not found:
                self._refuse_circle("goto", circle([*jumps, *anyway]))

    def _refuse_circle(self, verb: str, found: Sequence[Jump]) -> None:
        if found:
            way = " -> ".join([jump.start for jump in found] + [found[0].start])
            self._means.refuse(
                found[0].path, f"{verb} runs in a circle: {way}", f"remove one {verb} of the circle"
            )


def _jump(steps: Sequence[Step]) -> GotoStep | None:
    """The goto that a rule with these steps takes at once, with nothing changed before it."""
    found: list[object] = [step for step in steps if not isinstance(step, IncludeStep)]
    if found and isinstance(found[-1], BeginScript):
        found[-1:] = found[-1].steps
    goto = found.pop() if found else None
    instant = all(isinstance(step, Written) and step.name in _INSTANT for step in found)
    return goto if isinstance(goto, GotoStep) and instant else None


def _always(condition: Condition) -> bool:
    return isinstance(condition, NumberIs) and any(p.anything for p in condition.patterns)


def _rules_of(context: m.AnyContext) -> Sequence[m.Rule]:
    return context.rules if isinstance(context, m.Context) else context


def _label(rule: m.Rule, conditions: Sequence[Condition]) -> str:
    if rule.name is not None:
        return rule.name
    for condition in conditions:
        if isinstance(condition, NumberIs) and condition.patterns:
            more = "..." if len(condition.patterns) > 1 else ""
            side = "" if condition.side == "callee" else f"{condition.side} "
            return f"{side}{condition.patterns[0].source}{more}"
    return ", ".join(name for name in m.CONDITIONS if getattr(rule, name))


def _settings(root: Value) -> dict[str, str]:
    """What the file says beside its rules, by place."""
    assert isinstance(root, dict)
    found = {key: value for key, value in root.items() if key not in ("contexts", "version")}
    contexts = root.get("contexts")
    for name, context in contexts.items() if isinstance(contexts, dict) else ():
        if isinstance(context, dict):
            beside = {key: value for key, value in context.items() if key != "rules"}
            found.update({f"{name} {key}": value for key, value in beside.items()})
    return {key: json.dumps(value, sort_keys=True) for key, value in found.items()}


def _numbers(numbers: m.Numbers) -> Numbers:
    return Numbers(numbers.country or "", tuple(numbers.strip), numbers.prefix)


def _callers(callers: m.Callers) -> Callers:
    allow = None if callers.allow is None else tuple(callers.allow)
    return Callers(allow, callers.default or "", callers.withheld == "refuse")


def _selection(selection: m.Selection) -> Selection:
    return Selection(
        frozenset(selection.countries),
        frozenset(selection.types),
        tuple(selection.prefixes),
        tuple(selection.numbers),
    )


def _profile(trunk: m.Trunk) -> TrunkProfile:
    return TrunkProfile(
        _numbers(trunk.incoming), _numbers(trunk.outgoing), _callers(trunk.callers), trunk.costs
    )

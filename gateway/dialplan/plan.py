"""Owns the compiled plan, by which a node routes its calls; compiling.py makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from gateway.dialplan.engine import decide
from gateway.dialplan.request import BROWSER_CONTEXT, Origin, Request
from gateway.dialplan.rules import NoRoute, Route, Rule, RuleSet


@dataclass(frozen=True, slots=True)
class Entry:
    """Which context a caller enters."""

    browser: str = BROWSER_CONTEXT
    users: Mapping[str, str] = field(default_factory=dict)
    trunks: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan(RuleSet):
    """A compiled dialplan. `settings`: what the file says beside its rules, by place, canonical.
    `text`: the file's."""

    entry: Entry = field(default_factory=Entry)
    zone: tzinfo = UTC  # of times without one
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False, compare=False)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, context by context."""
        return tuple(rule for context in self.contexts.values() for rule in context.rules)

    def context_of(self, origin: Origin, name: str = "") -> str:
        """The context that a caller enters: a user ("": nobody signed in), trunk or API key."""
        if origin is Origin.TRUNK:
            return self.entry.trunks.get(name, name)
        if origin is Origin.KEY:
            return self.entry.keys.get(name, name)
        return self.entry.users.get(name, self.entry.browser)

    def route(self, request: Request) -> Route | NoRoute:
        """The first rule that matches. Same request, same answer; the trace quotes no number."""
        return decide(self, request).outcome

"""Owns compiled contexts, rules and steps, and what can be decided about a call. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.config.document import Value
from gateway.dialplan import script
from gateway.dialplan.conditions import Condition
from gateway.dialplan.index import Index
from gateway.dialplan.policy import Callers, Destinations, Numbers
from gateway.dialplan.request import Facts
from gateway.dialplan.script import GotoStep, RunProgram, Script, SetStep
from gateway.dialplan.template import Template
from gateway.dialplan.written import Written
from gateway.errors import Verdict
from gateway.verbs.dialling import DialSettings

INDEX_FROM = 64
"""Contexts with fewer rules are read from top to bottom, and their traces name every rule."""


# ---- what is decided ------------------------------------------------------------------------


PLAIN = DialSettings()
"""All targets at once, and nothing special."""


@dataclass(frozen=True, slots=True)
class DialTrunk:
    """Send an INVITE to `number` at the trunk. An empty caller means the trunk's default.

    ring_timeout: seconds; None: the trunk's.
    """

    trunk: str
    number: str = field(repr=False)
    caller: str = field(repr=False)
    ring_timeout: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class DialUser:
    """Ring all browser sessions of `user`. ring_timeout: seconds; None: the node's."""

    user: str
    caller: str = field(repr=False)
    ring_timeout: float | None = None


Destination = DialTrunk | DialUser


@dataclass(frozen=True, slots=True)
class DialOut:
    """Call the targets, in the order that `how.strategy` asks for; least cost has them sorted.

    `group` names the targets as written: whose turn it is in a round is remembered by it.
    """

    targets: tuple[Destination, ...]
    how: DialSettings = PLAIN
    group: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the call with this verdict."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RunScript:
    """Perform the steps of the script."""

    script: Script


Action = DialOut | RunProgram | Refuse | RunScript


@dataclass(frozen=True, slots=True)
class Route:
    """What happens to the call, and why.

    `steps` are in order, all variables filled in; `variables` are the call's when they begin.
    """

    rule: str
    steps: tuple[Action, ...]
    trace: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def action(self) -> Action:
        """The step that decides where the call goes: the last."""
        return self.steps[-1]

    @property
    def ring_timeout(self) -> float | None:
        """How long the first target may ring, in seconds; None: the default."""
        return self.action.targets[0].ring_timeout if isinstance(self.action, DialOut) else None


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No rule matched."""

    trace: tuple[str, ...]


# ---- steps before their variables are filled in ---------------------------------------------


@dataclass(frozen=True, slots=True)
class IncludeStep:
    """Looks at another context's rules, and comes back."""

    context: str


@dataclass(frozen=True, slots=True)
class BeginScript:
    """The first verb that takes time, and all that comes behind it."""

    steps: tuple[script.ScriptStep, ...]


Step = Written | RunProgram | Refuse | SetStep | GotoStep | IncludeStep | BeginScript
"""Written: a `dial`, or a `reject` with something to fill in, as the last step."""


# ---- rules ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `name` is unique in the plan: context, place, and its own name or pattern.

    `source` is what the file says; `key` finds the rule again in a newer file.
    """

    name: str
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
    key: str
    source: Value = field(default=None, repr=False, hash=False)

    def mismatch(self, facts: Facts) -> str | None:
        """Why the rule does not hold: its first condition that fails."""
        for condition in self.conditions:
            reason = condition.mismatch(facts)
            if reason is not None:
                return reason
        return None


@dataclass(frozen=True, slots=True)
class Context:
    """Rules and settings for some callers. `all_rules`: the own ones, then those included."""

    name: str
    rules: tuple[Rule, ...]
    all_rules: tuple[Rule, ...]
    index: Index | None
    includes: tuple[str, ...] = ()
    numbers: Numbers = field(default_factory=Numbers)
    callers: Callers = field(default_factory=Callers)
    destinations: Destinations = field(default_factory=Destinations)


@dataclass(frozen=True, slots=True)
class TrunkProfile:
    """How a trunk writes numbers, which identities it is shown, what a minute costs by prefix."""

    incoming: Numbers = field(default_factory=Numbers)
    outgoing: Numbers = field(default_factory=Numbers)
    callers: Callers = field(default_factory=Callers)
    costs: Mapping[str, Decimal] = field(default_factory=dict)

    def cost(self, number: str) -> Decimal | None:
        """What a minute to `number` costs, by its longest known prefix. None: nobody knows."""
        if number.startswith("+"):
            for length in range(len(number) if self.costs else 0, 0, -1):
                if number[:length] in self.costs:
                    return self.costs[number[:length]]
        return None


@dataclass(frozen=True, slots=True)
class Emergency:
    """Emergency numbers and the trunk that takes them."""

    numbers: frozenset[str]
    trunk: str
    caller: Template | None


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All that a decision needs."""

    contexts: Mapping[str, Context]
    trunks: Mapping[str, TrunkProfile] = field(default_factory=dict)
    emergency: Emergency | None = None

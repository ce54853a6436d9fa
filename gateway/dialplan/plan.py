"""Owns the plan: rules in order by context, and the decision with its trace. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.dialplan.pattern import Pattern
from gateway.dialplan.template import Template
from gateway.errors import Verdict

BROWSER_CONTEXT = "browser"
"""Context of calls from browsers; calls from a trunk use the trunk's name."""

MAX_DESTINATION = 64
_DESTINATION = re.compile(r"[A-Za-z0-9+*#_.~-]+")
"""What may be dialled and put into a SIP URI: nothing here can end or extend one (RFC 3261 19.1),
so `1;transport=tcp` or `1@elsewhere` cannot change where a call goes."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that wants a route."""

    context: str
    caller: str = field(repr=False)
    callee: str = field(repr=False)  # what was dialled


@dataclass(frozen=True, slots=True)
class DialTrunk:
    """Send an INVITE to `number` at the trunk. An empty caller means the trunk's default."""

    trunk: str
    number: str = field(repr=False)
    caller: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DialUser:
    """Ring all browser sessions of `user`."""

    user: str
    caller: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunProgram:
    """Answer, and run the built-in program."""

    program: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the call with this verdict."""

    verdict: Verdict


Action = DialTrunk | DialUser | RunProgram | Refuse


@dataclass(frozen=True, slots=True)
class Route:
    """Where the call goes, why, and how long it may ring (seconds; None: the default)."""

    rule: str
    action: Action
    ring_timeout: float | None
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No rule matched."""

    trace: tuple[str, ...]


# ---- rules ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrunkStep:
    """DialTrunk before its variables are filled in. `caller` None: the call's caller."""

    trunk: str
    number: Template
    caller: Template | None


@dataclass(frozen=True, slots=True)
class UserStep:
    """DialUser before its variables are filled in."""

    user: Template


Step = TrunkStep | UserStep | RunProgram | Refuse


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `name` is unique in the plan: context, place and pattern."""

    name: str
    pattern: Pattern
    step: Step
    ring_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All rules by context, in order."""

    contexts: Mapping[str, tuple[Rule, ...]]

    def route(self, request: Request) -> Route | NoRoute:
        """The first rule that matches. Same request, same answer; the trace quotes no number."""
        rules = self.contexts.get(request.context)
        if rules is None:
            return NoRoute((f"no context {request.context!r} in the dialplan",))
        if not dialable(request.callee):
            return NoRoute(
                (
                    f"the destination is empty, longer than {MAX_DESTINATION} or has characters "
                    "that no destination has",
                )
            )
        trace: list[str] = []
        for rule in rules:
            reason = rule.pattern.mismatch(request.callee)
            if reason is None:
                action = _action(rule.step, request)
                if isinstance(action, str):
                    reason = action
                else:
                    trace.append(f"{rule.name}: matches")
                    return Route(rule.name, action, rule.ring_timeout, tuple(trace))
            trace.append(f"{rule.name}: {reason}")
        return NoRoute(tuple(trace) or (f"no rules in context {request.context!r}",))


def dialable(text: str) -> bool:
    """Whether `text` may be a destination."""
    return len(text) <= MAX_DESTINATION and _DESTINATION.fullmatch(text) is not None


def _action(step: Step, request: Request) -> Action | str:
    """The action of a matching rule, or why it cannot be done."""
    # A hostile caller id is data: it may be shown, but it reaches no URI.
    caller = request.caller if dialable(request.caller) else ""
    variables = {"callee": request.callee, "caller": caller, "context": request.context}
    match step:
        case TrunkStep():
            number = step.number.fill(variables)
            if not dialable(number):
                return "matches, but its number comes out empty or too long"
            shown = caller if step.caller is None else step.caller.fill(variables)
            return DialTrunk(step.trunk, number, shown if dialable(shown) else "")
        case UserStep():
            user = step.user.fill(variables)
            return DialUser(user, caller) if user else "matches, but its user comes out empty"
        case RunProgram() | Refuse():
            return step

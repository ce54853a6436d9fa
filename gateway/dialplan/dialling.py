"""Owns what becomes of a dial: its targets with all policies applied. Pure.

YAML, Python programs, REST and webhooks dial by the same rules: those of the context where the
call is, and of each trunk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from gateway.dialplan.policy import ANONYMOUS
from gateway.dialplan.request import Facts, dialable
from gateway.dialplan.rules import (
    PLAIN,
    Context,
    Destination,
    DialOut,
    DialTrunk,
    DialUser,
    RuleSet,
    TrunkProfile,
)
from gateway.dialplan.script import safe_caller
from gateway.dialplan.written import group_of
from gateway.errors import BAD_REQUEST, FORBIDDEN, GatewayError, Verdict
from gateway.ids import qualified
from gateway.numbers.normal import is_emergency, to_e164
from gateway.verbs.dialling import Dial, DialSettings, Strategy, Target

EMPTY_NUMBER = "its number comes out empty or too long"
FOREIGN_USER = "users of other projects cannot be called"
EMPTY_USER = "its user comes out empty"

_PLAIN_TRUNK = TrunkProfile()
_NO_PRICE = Decimal("Infinity")
_SETTINGS = DialSettings.model_fields.keys() - {"group"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A target that may not be called, or (`verdict` None) cannot be. `reason` quotes nothing."""

    place: int  # among the targets as written, from 1
    reason: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A dial's targets: `dial` with those that are called; None: there are none."""

    dial: DialOut | None
    refused: tuple[Refused, ...]

    @property
    def refusal(self) -> Refused:
        """Why there is no `dial`: a policy, if one says no."""
        return next((one for one in self.refused if one.verdict is not None), self.refused[0])


def resolve(plan: RuleSet, facts: Facts, dial: Dial) -> DialOut:
    """What `dial` comes to, for a call that is where `facts` say.

    A target that is refused is left out. Raises GatewayError: all are; with the verdict of the
    policy that refuses, or BAD_REQUEST.
    """
    found = resolved(plan, facts, dial)
    if found.dial is not None:
        return found.dial
    verdict, reason = found.refusal.verdict, found.refusal.reason
    if verdict is None:
        raise GatewayError(BAD_REQUEST, reason)
    raise GatewayError(verdict, f"{verdict.text}: {reason}")


def resolved(plan: RuleSet, facts: Facts, dial: Dial) -> Resolved:
    """The same, telling of every target that is refused."""
    context = plan.contexts.get(facts.context)
    targets = dial.all_targets()
    if context is None:
        return Resolved(None, (Refused(1, "no context in the dialplan allows it", FORBIDDEN),))
    policy = _Policy(plan, context, facts)
    found: list[tuple[Destination, Decimal]] = []
    refused: list[Refused] = []
    for place, target in enumerate(targets, 1):
        timeout = dial.ring_timeout if target.ring_timeout is None else target.ring_timeout
        one: tuple[Destination, Decimal] | Refused
        if target.trunk is not None:
            one = policy.trunk(place, target.trunk, target, timeout)
        elif "/" in (target.user or ""):
            one = Refused(place, FOREIGN_USER, FORBIDDEN)
        elif target.user:
            user = qualified(facts.request.owner.project, target.user)
            one = DialUser(user, safe_caller(facts), timeout), _NO_PRICE
        else:
            one = Refused(place, EMPTY_USER, None)
        if isinstance(one, Refused):
            refused.append(one)
        else:
            found.append(one)
    if not found:
        return Resolved(None, tuple(refused))
    if dial.strategy is Strategy.LEAST_COST:
        found.sort(key=lambda priced: priced[1])
    group = ""
    if dial.strategy is Strategy.ROUND_ROBIN:
        group = dial.group or group_of([target.model_dump(mode="json") for target in targets])
    return Resolved(DialOut(_targets(found), _how(dial), group), tuple(refused))


def emergency_call(
    plan: RuleSet, context: Context | None, facts: Facts, number: str, caller: str
) -> DialOut:
    """The call of an emergency number, untouched, to the trunk that takes them. `caller`: the
    identity that the plan has for it; empty: the caller's own, if the policies let it be shown."""
    assert plan.emergency is not None
    trunk = plan.emergency.trunk
    if not caller and context is not None:
        caller = _shown(plan, context, trunk, safe_caller(facts))
    return DialOut((DialTrunk(trunk, number, caller if dialable(caller) else ""),))


class _Policy:
    """What a context and the trunks make of targets."""

    def __init__(self, plan: RuleSet, context: Context, facts: Facts) -> None:
        self._plan = plan
        self._context = context
        self._facts = facts
        self._allowing = facts.request.owner.allowing
        self._emergency = plan.emergency.numbers if plan.emergency else frozenset[str]()

    def trunk(
        self, place: int, trunk: str, target: Target, ring_timeout: float | None
    ) -> tuple[Destination, Decimal] | Refused:
        """The call of a number at a trunk, and its price."""
        number = target.number or ""
        country = self._context.numbers.country
        profile = self._plan.trunks.get(trunk, _PLAIN_TRUNK)
        outgoing = number
        if not self._is_emergency(number, country):
            if country and not number.startswith("+"):
                number = to_e164(number, country) or number
            outgoing = profile.outgoing.outgoing(number)
        if not (dialable(number) and dialable(outgoing)):
            return Refused(place, EMPTY_NUMBER, None)
        if number not in self._emergency:
            refusal = self._context.destinations.refusal(number, country)
            if refusal is None and self._allowing is not None:
                refusal = self._allowing.refusal(number, country)
            if refusal is not None:
                return Refused(place, refusal, FORBIDDEN)
        shown = self._identity(trunk, target)
        price = profile.cost(number)
        wanted = DialTrunk(trunk, outgoing, shown, ring_timeout, target.headers)
        return wanted, _NO_PRICE if price is None else price

    def _is_emergency(self, number: str, country: str) -> bool:
        return number in self._emergency or bool(country and is_emergency(number, country))

    def _identity(self, trunk: str, target: Target) -> str:
        if target.withhold:
            return ANONYMOUS
        caller = safe_caller(self._facts) if target.caller is None else target.caller
        if self._allowing is not None:
            caller = self._allowing.shown(caller)
        shown = _shown(self._plan, self._context, trunk, caller)
        return shown if dialable(shown) else ""


def _shown(plan: RuleSet, context: Context, trunk: str, caller: str) -> str:
    """The identity that the policies of context and trunk let be shown."""
    profile = plan.trunks.get(trunk, _PLAIN_TRUNK)
    return profile.callers.shown(context.callers.shown(caller))


def _targets(found: Iterable[tuple[Destination, Decimal]]) -> tuple[Destination, ...]:
    return tuple(target for target, _ in found)


def _how(dial: Dial) -> DialSettings:
    given = dial.model_fields_set & _SETTINGS
    return DialSettings(**{name: getattr(dial, name) for name in given}) if given else PLAIN

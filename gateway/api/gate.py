"""Owns the way from an identity to a call: where it may call, and its caps, before any INVITE."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType

import structlog

from gateway.calls import Call, CallRegistry
from gateway.clock import Clock
from gateway.dialplan import Origin, Owner, Request, arrived
from gateway.errors import FORBIDDEN, NOT_FOUND, GatewayError
from gateway.identity.allowance import Allowances
from gateway.identity.ledger import MINUTES_USED, Ledger, Permit
from gateway.identity.values import UNAUTHORIZED, Identity
from gateway.ids import CallId, qualified
from gateway.verbs import AnyVerb, Dial, Goto, Http

_log = structlog.get_logger(__name__)
_SOON = 0.05  # seconds: fewer are none
_LOOK = 2.0
"""Seconds after which a call's minutes are looked at again: other calls use the same ones."""


class CallGate:
    """Admits calls, for every face of the API. Belongs to the asyncio thread."""

    def __init__(self, registry: CallRegistry, clock: Clock, ledger: Ledger | None = None) -> None:
        """ledger: where calls are counted; None: in a new one."""
        self._registry = registry
        self._clock = clock
        self._ledger = Ledger() if ledger is None else ledger
        self._budgets: dict[Permit, asyncio.TimerHandle] = {}

    def browser(self, identity: Identity, to: str) -> Admitted:
        """A browser's call of `to`, as dialled.

        Raises GatewayError: FORBIDDEN (the destination), UNAUTHORIZED (the identity's time is
        over), TOO_MANY_AT_ONCE, TOO_FAST, MINUTES_USED.
        """
        owner = owner_of(identity)
        request = self._registry.browser_request(identity.user, to, owner)
        return self._admit(identity, request, [self._forms(request)])

    def key(self, identity: Identity, dial: Dial, callee: str | None) -> Admitted:
        """A call that the gateway makes for a key: first `dial`, then `callee` by the plan.

        Raises as `browser`.
        """
        source = qualified(identity.project, identity.key)
        request = Request(
            self._registry.plan.context_of(Origin.KEY, source),
            identity.key,
            callee or identity.key,
            Origin.KEY,
            source,
            self._clock.now().wall,
            owner=owner_of(identity, strict=True),
        )
        wanted = [self._forms(replace(request, callee=name)) for name in _named(dial)]
        if callee is not None:
            wanted.append(self._forms(request))
        return self._admit(identity, request, wanted)

    def command(self, identity: Identity, call: CallId, verb: AnyVerb) -> Call:
        """A live call, which `identity` may have do `verb`.

        Raises GatewayError: NOT_FOUND (also for another project's call); FORBIDDEN: who may not
        call everywhere has only calls of its own call anybody, because there each number that a
        trunk is asked for is checked.
        """
        found = self._registry.get(call)
        if found.project != identity.project:
            raise GatewayError(NOT_FOUND, "No such call")
        foreign = found.owner.account != identity.account
        if foreign and identity.restricted and isinstance(verb, Dial | Goto | Http):
            raise GatewayError(FORBIDDEN, "Your destinations are limited: command your own calls")
        return found

    def follow(self, permit: Permit, call: CallId) -> None:
        """The permit's call was made: it is counted until it is over, or its minutes are."""
        self._watch(permit, call)
        self._registry.when_over(call, lambda: self.release(permit, placed=True))

    def release(self, permit: Permit, *, placed: bool) -> None:
        """The permit's call is over, or (not `placed`) was never made."""
        self._ledger.release(permit, self._clock.now(), placed=placed)
        timer = self._budgets.pop(permit, None)
        if timer is not None:
            timer.cancel()

    def _forms(self, request: Request) -> tuple[str, ...]:
        """A destination as it was written, and as the rules of its context see it."""
        return (request.callee, arrived(self._registry.plan, request).callee)

    def _admit(
        self, identity: Identity, request: Request, wanted: Iterable[tuple[str, ...]]
    ) -> Admitted:
        now = self._clock.now()
        if identity.expired(now.wall):
            raise GatewayError(UNAUTHORIZED, "Your token has expired")
        emergency = self._registry.plan.emergency
        urgent = False
        for forms in wanted:
            identity.check_destination(forms)
            urgent |= emergency is not None and not emergency.numbers.isdisjoint(forms)
        try:
            # Help is called whatever the caps say.
            permit = self._ledger.admit(() if urgent else identity.grants, now)
        except GatewayError as refused:
            _log.warning("call.refused", code=refused.verdict.code, account=identity.account)
            raise
        return Admitted(self, permit, request)

    def _watch(self, permit: Permit, call: CallId) -> None:
        """Ends the call when its minutes are used up."""
        left = self._ledger.seconds_left(permit, self._clock.now())
        if left == math.inf:
            return
        if left < _SOON:
            self._budgets.pop(permit, None)
            live = self._registry.calls.get(call)
            if live is not None:
                live.hangup(MINUTES_USED)
            return
        loop = asyncio.get_running_loop()
        self._budgets[permit] = loop.call_later(min(left, _LOOK), self._watch, permit, call)


class Admitted:
    """A call that may be made: counted already. See gateway.api.ports.Admission."""

    def __init__(self, gate: CallGate, permit: Permit, request: Request) -> None:
        self.request = request
        self._gate = gate
        self._permit = permit
        self._made = False

    def follow(self, call: CallId) -> None:
        """See gateway.api.ports.Admission."""
        self._made = True
        self._gate.follow(self._permit, call)

    def __enter__(self) -> Admitted:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._made:
            self._gate.release(self._permit, placed=False)


def owner_of(identity: Identity, *, strict: bool = False) -> Owner:
    """Whose calls those of `identity` are. strict: it names the numbers that trunks are asked for
    itself; else the dialplan does."""
    each = [grant.allowance for grant in identity.grants if grant.allowance.says_something]
    if strict:
        each = [allowance.strictly() for allowance in each]
    allowing = Allowances(tuple(each)) if each else None
    return Owner(identity.project, identity.account, allowing)


def _named(dial: Dial) -> Sequence[str]:
    return [target.number or target.user or "" for target in dial.all_targets()]

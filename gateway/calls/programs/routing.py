"""Owns the dialplan as the verbs of one call see it: where the call is, and where it may go on."""

from __future__ import annotations

from collections.abc import MutableMapping

from gateway.dialplan import (
    Action,
    Decision,
    DialOut,
    NoRoute,
    Plan,
    Refuse,
    Request,
    arrived,
    decide,
    go_on,
    resolve,
)
from gateway.errors import BAD_REQUEST, LOOP_DETECTED, NOT_FOUND, GatewayError
from gateway.verbs import Dial

MAX_GOTOS = 100
"""In one call's life: one that goes round in its plan for ever is ended."""


class Routing:
    """One for each call. It keeps the plan that the call began with, whatever is loaded later."""

    def __init__(self, plan: Plan, request: Request) -> None:
        self._plan = plan
        self._facts = arrived(plan, request)
        self._gotos = 0

    def begin(self) -> Decision:
        """What the plan decides about the call; its verbs are performed there."""
        decision = decide(self._plan, self._facts.request)
        self._facts = decision.facts
        return decision

    def resolve(self, dial: Dial) -> DialOut:
        """Whom `dial` calls, by the policies of the context where the call is, and its trunks'.

        Raises GatewayError: nobody may be called.
        """
        return resolve(self._plan, self._facts, dial)

    def goto(self, context: str, callee: str | None, variables: MutableMapping[str, str]) -> Action:
        """What the rules of `context` make of the call from now on. `callee` None: as it is.

        What rules set on the way is put into `variables`. Raises
        GatewayError: BAD_REQUEST (no such context), LOOP_DETECTED (the call went on too often).
        """
        if context not in self._plan.contexts:
            raise GatewayError(BAD_REQUEST, f"no context {context!r} in the dialplan")
        self._gotos += 1
        if self._gotos > MAX_GOTOS:
            raise GatewayError(LOOP_DETECTED)
        decision = go_on(self._plan, self._facts, context, callee, variables)
        self._facts = decision.facts
        if isinstance(decision.outcome, NoRoute):
            return Refuse(NOT_FOUND)
        variables.update(decision.outcome.variables)
        return decision.outcome.action

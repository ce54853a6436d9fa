"""Owns the dialplan as the verbs of one call see it: where the call is, and where it may go on."""

from __future__ import annotations

from collections.abc import Mapping

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
from gateway.errors import LOOP_DETECTED, NOT_FOUND, GatewayError
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

    def resolve(self, dial: Dial, variables: Mapping[str, str]) -> DialOut:
        """Whom `dial` calls, by the policies of the context where the call is, and its trunks'.

        Raises GatewayError: nobody may be called.
        """
        return resolve(self._plan, self._facts, dial)

    def goto(self, context: str, callee: str | None, variables: Mapping[str, str]) -> Action:
        """What the rules of `context` make of the call from now on. `callee` None: as it is.

        What rules set on the way is put into `variables`, if that is a dict. Raises
        GatewayError(LOOP_DETECTED): the call went on too often.
        """
        self._gotos += 1
        if self._gotos > MAX_GOTOS:
            raise GatewayError(LOOP_DETECTED)
        decision = go_on(self._plan, self._facts, context, callee, variables)
        self._facts = decision.facts
        if isinstance(decision.outcome, NoRoute):
            return Refuse(NOT_FOUND)
        if isinstance(variables, dict):
            variables.update(decision.outcome.variables)
        return decision.outcome.action

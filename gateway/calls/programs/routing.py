"""Owns the dialplan as the verbs of a call see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.dialplan import Action, DialOut, DialTrunk, DialUser, NoRoute, Plan, Refuse, Request
from gateway.errors import NOT_FOUND
from gateway.verbs import Dial


class Routing:
    """stub"""

    def __init__(self, plan: Plan, request: Request) -> None:
        self._plan = plan
        self._request = request

    def resolve(self, dial: Dial, variables: Mapping[str, str]) -> DialOut:
        targets = tuple(
            DialUser(target.user, "", target.ring_timeout or dial.ring_timeout)
            if target.user
            else DialTrunk(
                target.trunk or "",
                target.number or "",
                target.caller or "",
                target.ring_timeout or dial.ring_timeout,
            )
            for target in dial.all_targets()
        )
        return DialOut(targets, dial, repr(targets))

    def goto(self, context: str, callee: str | None, variables: Mapping[str, str]) -> Action:
        request = replace(
            self._request,
            context=context,
            callee=callee or self._request.callee,
            variables=dict(variables),
        )
        route = self._plan.route(request)
        return Refuse(NOT_FOUND) if isinstance(route, NoRoute) else route.action

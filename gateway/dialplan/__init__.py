"""Dialplan: which call goes where. Pure: no asyncio, no clock, no I/O.

`plan_from(document)` gives a `Plan`; `plan.route(Request(...))` gives a `Route` or a `NoRoute`,
each with its trace. Nothing else of this package is meant for others.
"""

from gateway.dialplan.parse import check_against, plan_from
from gateway.dialplan.plan import (
    BROWSER_CONTEXT,
    Action,
    DialTrunk,
    DialUser,
    NoRoute,
    Plan,
    Refuse,
    Request,
    Route,
    RunProgram,
)

__all__ = [
    "BROWSER_CONTEXT",
    "Action",
    "DialTrunk",
    "DialUser",
    "NoRoute",
    "Plan",
    "Refuse",
    "Request",
    "Route",
    "RunProgram",
    "check_against",
    "plan_from",
]

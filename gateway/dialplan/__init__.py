"""Dialplan: which call goes where. Pure: no asyncio, no clock, no I/O.

`plan_from(document)` gives a `Plan`; `plan.route(Request(...))` gives a `Route` or a `NoRoute`,
each with its trace; `decide` tells more. Calls use only what is named here; commands and tests also
`cases`, `diff`, `explain` and `schema`.
"""

from gateway.dialplan.checking import check_against
from gateway.dialplan.compiling import plan_from
from gateway.dialplan.dialling import resolve
from gateway.dialplan.engine import Decision, Look, arrived, decide, go_on
from gateway.dialplan.plan import Plan
from gateway.dialplan.policy import ANONYMOUS
from gateway.dialplan.request import BROWSER_CONTEXT, NOBODY, Origin, Owner, Request
from gateway.dialplan.rules import (
    Action,
    Destination,
    DialOut,
    DialTrunk,
    DialUser,
    NoRoute,
    Refuse,
    Route,
    RunScript,
)
from gateway.dialplan.script import RunProgram, Script

__all__ = [
    "ANONYMOUS",
    "BROWSER_CONTEXT",
    "NOBODY",
    "Action",
    "Decision",
    "Destination",
    "DialOut",
    "DialTrunk",
    "DialUser",
    "Look",
    "NoRoute",
    "Origin",
    "Owner",
    "Plan",
    "Refuse",
    "Request",
    "Route",
    "RunProgram",
    "RunScript",
    "Script",
    "arrived",
    "check_against",
    "decide",
    "go_on",
    "plan_from",
    "resolve",
]

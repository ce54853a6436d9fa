"""Owns the dialplan over HTTP, but for reading it again: shown, checked, compared, tried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import ParamSpec, Protocol, TypeVar

from gateway.api.dialplan_reload import TAG
from gateway.api.operations import Asked, Operation
from gateway.api.problems import UNPROCESSABLE, RequestError
from gateway.clock import Clock
from gateway.config.document import ConfigError
from gateway.config.identity import Scope
from gateway.contract.dialplan import (
    MAX_SOURCE,
    Changes,
    ContextView,
    DialplanProblem,
    DialplanView,
    Explanation,
    Question,
    Source,
    Validation,
)
from gateway.dialplan import Origin, Plan, decide
from gateway.dialplan import Request as Asks
from gateway.dialplan.diff import diff
from gateway.dialplan.explain import as_json
from gateway.errors import Blame, GatewayError, Verdict

PATH = "/v1/dialplan"
MAX_BODY = 4 * MAX_SOURCE
BAD_SOURCE = Verdict(
    "dialplan_invalid", 500, 422, 95, Blame.CALLER, "The dialplan has problems: validate it"
)

P = ParamSpec("P")
T = TypeVar("T")


class Plans(Protocol):
    """The node's dialplan, and how others are made."""

    @property
    def plan(self) -> Plan:
        """The one in force."""
        ...

    @property
    def file(self) -> str | None:
        """Its file, without the folder; None: it was not read from one."""
        ...

    @property
    def read_at(self) -> datetime:
        """When that was read."""
        ...

    def compiled(self, source: str) -> Plan:
        """The plan in `source`, checked like the node's own. Takes up to a second. Raises
        ConfigError."""
        ...


class DialplanEndpoint:
    """The operations. A dialplan is the node's, of no project: who has the scope sees all of it."""

    def __init__(self, plans: Plans, clock: Clock) -> None:
        self._plans = plans
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()  # it is work for a core, which calls need too

    def operations(self) -> list[Operation]:
        """All of them."""
        read = Scope.DIALPLAN_READ
        return [
            Operation(
                "GET", PATH, "getDialplan", "The dialplan in force", TAG, read, self.show,
                answer=DialplanView,
            ),
            Operation(
                "POST", PATH + "/validate", "validateDialplan", "Check a dialplan", TAG, read,
                self.validate, body=Source, answer=Validation, body_bytes=MAX_BODY,
            ),
            Operation(
                "POST", PATH + "/diff", "diffDialplan", "What a dialplan would change", TAG, read,
                self.diff, body=Source, answer=Changes, body_bytes=MAX_BODY,
                problems=(BAD_SOURCE,),
            ),
            Operation(
                "POST", PATH + "/explain", "explainDialplan", "What would become of a call", TAG,
                read, self.explain, body=Question, answer=Explanation,
            ),
        ]  # fmt: skip

    async def show(self, _asked: Asked) -> DialplanView:
        """The text, and what is in it. Scopes open it to one project's key only if you give them:
        it names the trunks and numbers of all projects."""
        plan = self._plans.plan
        contexts = [
            ContextView(name=name, rules=len(context.rules))
            for name, context in plan.contexts.items()
        ]
        return DialplanView(
            file=self._plans.file,
            read_at=self._plans.read_at,
            rules=len(plan.rules),
            contexts=contexts,
            source=plan.text,
        )

    async def validate(self, asked: Asked) -> Validation:
        """Every problem with its place and remedy, also against the node's trunks and programs.
        Nothing is changed."""
        try:
            await self._apart(self._plans.compiled, asked.body.source)
        except ConfigError as error:
            return Validation(problems=_problems(error))
        return Validation(problems=[])

    async def diff(self, asked: Asked) -> Changes:
        """Against the one in force, in the words of a reload. 422, with `problems`, for one that
        could not be used."""
        try:
            plan = await self._apart(self._plans.compiled, asked.body.source)
        except ConfigError as error:
            told = [found.model_dump() for found in _problems(error)]
            raise RequestError(BAD_SOURCE, more={"problems": told}) from None
        changes = await self._apart(diff, self._plans.plan, plan)
        return Changes(changes=changes.lines())

    async def explain(self, asked: Asked) -> Explanation:
        """Each rule that was looked at, why it matched or not, and the steps that would run. No
        call is made."""
        wanted: Question = asked.body
        plan = self._plans.plan
        origin, source = Origin.BROWSER, wanted.caller
        if wanted.trunk is not None:
            origin, source = Origin.TRUNK, wanted.trunk
        elif wanted.key is not None:
            origin, source = Origin.KEY, wanted.key
        request = Asks(
            wanted.context or plan.context_of(origin, source),
            wanted.caller,
            wanted.to,
            origin,
            source,
            self._clock.now().wall if wanted.at is None else _moment(wanted.at, plan.zone),
            wanted.headers,
            wanted.variables,
        )
        return await self._apart(_explained, plan, request)

    async def _apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._one_at_a_time:
            return await asyncio.to_thread(work, *args, **kwargs)


def _explained(plan: Plan, request: Asks) -> Explanation:
    return Explanation.model_validate(as_json(decide(plan, request, every_rule=True)))


def _problems(error: ConfigError) -> list[DialplanProblem]:
    return [
        DialplanProblem(
            line=found.line, column=found.column, message=found.message, remedy=found.remedy
        )
        for found in error.problems
    ]


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise GatewayError(UNPROCESSABLE, "at: write 2026-12-24T18:00") from None

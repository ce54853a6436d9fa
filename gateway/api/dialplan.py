"""Owns the dialplan over HTTP, but for reading it again: shown, checked, compared, tried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, ParamSpec, Protocol, TypeVar

from pydantic import AfterValidator, Field

from gateway.api.fields import Text, no_control
from gateway.api.operations import Answer, Asked, Operation, Request, shown
from gateway.api.plans import TAG, Changes
from gateway.api.problems import UNPROCESSABLE, RequestError
from gateway.clock import Clock
from gateway.config.document import ConfigError
from gateway.config.identity import Name, Scope
from gateway.dialplan import Origin, Plan, decide
from gateway.dialplan import Request as Asks
from gateway.dialplan.diff import diff
from gateway.dialplan.explain import as_json
from gateway.errors import Blame, GatewayError, Verdict

PATH = "/v1/dialplan"
MAX_SOURCE = 1024 * 1024
"""Characters of a dialplan that is checked over HTTP; its bytes in JSON may be more."""
MAX_BODY = 4 * MAX_SOURCE
MAX_PAIRS = 64
BAD_SOURCE = Verdict(
    "dialplan_invalid", 500, 422, 95, Blame.CALLER, "The dialplan has problems: validate it"
)

P = ParamSpec("P")
T = TypeVar("T")
Value = Annotated[str, Field(max_length=1024), AfterValidator(no_control)]
Pairs = Annotated[dict[Value, Value], Field(max_length=MAX_PAIRS)]


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


class Source(Request):
    """A dialplan."""

    model_config = shown({"source": "contexts: {browser: [{match: echo, echo: }]}"})

    source: str = Field(max_length=MAX_SOURCE, description="The text of a dialplan file: YAML.")


class ContextView(Answer):
    """A context of the dialplan."""

    name: str = Field(description="As in the file.")
    rules: int = Field(description="How many.")


class DialplanView(Answer):
    """The dialplan in force."""

    file: str | None = Field(description="Without its folder; null: it was not read from a file.")
    read_at: datetime = Field(description="When it came into force.")
    rules: int = Field(description="How many, in all contexts.")
    contexts: list[ContextView] = Field(description="In the order of the file.")
    source: str = Field(description="The file's text.")


class DialplanProblem(Answer):
    """What is wrong, and where."""

    line: int = Field(description="From 1; 0: the file as a whole.")
    column: int = Field(description="From 1; 0: the file as a whole.")
    message: str = Field(description="What is wrong.")
    remedy: str = Field(description="What to do about it.")


class Validation(Answer):
    """What is wrong with a dialplan."""

    problems: list[DialplanProblem] = Field(description="All of them; none: it could be used.")


class Question(Request):
    """A call that is only thought of."""

    model_config = shown({"to": "+12125550100", "from": "alice"})

    to: Text = Field(description="What is dialled.")
    caller: Value = Field(default="", alias="from", description="Who calls.")
    context: Text | None = Field(default=None, description="Absent: who calls decides.")
    trunk: Name | None = Field(default=None, description="The call comes from this trunk.")
    key: Text | None = Field(
        default=None, description="The call comes with the API key of this name."
    )
    at: Text | None = Field(
        default=None,
        description="When, as 2026-12-24T18:00; in the dialplan's time zone unless it says. "
        "Absent: now.",
    )
    headers: Pairs = Field(default={}, description="SIP header fields.")
    variables: Pairs = Field(default={}, description="Call variables.")


class Refused(Answer):
    """How the call would be refused."""

    status: int = Field(description="SIP's.")
    code: str = Field(description="The gateway's word.")
    text: str = Field(description="A sentence.")


class LookedAt(Answer):
    """A rule that was looked at."""

    rule: str = Field(description="Its context, place and name.")
    matched: bool = Field(description="Whether the call met it.")
    reason: str = Field(description="Why not, or what became of it.")


class Explanation(Answer):
    """What the dialplan would do with a call, and why."""

    rule: str | None = Field(description="The first that matches; null: none does.")
    contexts: list[str] = Field(description="Through which the call came.")
    callee: str = Field(description="As the rules saw it.")
    caller: str = Field(description="As the rules saw it; empty: none.")
    variables: dict[str, str] = Field(description="Call variables when the steps begin.")
    steps: list[dict[str, Any]] = Field(
        description="What would be done, as a dialplan writes it, with what is known filled in."
    )
    ring_timeout: float | None = Field(description="Seconds; null: the trunk's.")
    refused: Refused | None = Field(description="null: the call goes somewhere.")
    looked_at: list[LookedAt] = Field(description="Every rule, in order.")
    why_not: str | None = Field(description="Why no rule was looked at.")


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

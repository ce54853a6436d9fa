"""Owns the client's methods for live calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter

from gateway.client.events import CallEvent, EventPage
from gateway.client.operation import PAGE, operation, paged
from gateway.client.transport import SECONDS, Asking, Transport, place
from gateway.contract.calls import (
    LONGEST_WAIT,
    CallsQuery,
    Done,
    LiveCall,
    LiveCalls,
    NewBridge,
    NewCall,
    NewCallId,
    Running,
    WaitQuery,
)
from gateway.contract.events import CallEventsQuery
from gateway.contract.timeline import CallTimeline, Kind, TimelineQuery
from gateway.terms import Phase
from gateway.verbs import Target, Verb, step_from

_DONE: TypeAdapter[Done | Running] = TypeAdapter(
    Annotated[Done | Running, Field(discriminator="state")]
)


class Calls:
    """Live calls. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("listCalls")
    def list(
        self,
        *,
        phase: Phase | None = None,
        context: str | None = None,
        caller: str | None = None,
        callee: str | None = None,
        answered: bool | None = None,
    ) -> AsyncIterator[LiveCall]:
        """The live calls, newest first; only those that fit what is given."""

        async def page(cursor: str | None) -> tuple[Sequence[LiveCall], str | None]:
            query = CallsQuery(
                phase=phase, context=context, caller=caller, callee=callee, answered=answered,
                limit=PAGE, cursor=cursor,
            )  # fmt: skip
            found = await self._transport.ask(Asking("GET", place("calls"), query=query), LiveCalls)
            return found.calls, found.cursor

        return paged(page)

    @operation("getCall")
    async def get(self, call: str) -> LiveCall:
        """One live call."""
        return await self._transport.ask(Asking("GET", place("calls", call)), LiveCall)

    @operation("listCallEvents")
    def events(self, call: str) -> AsyncIterator[CallEvent]:
        """What has happened in a call until now, oldest first; see also GatewayClient.events."""

        async def page(cursor: str | None) -> tuple[Sequence[CallEvent], str | None]:
            query = CallEventsQuery(limit=PAGE, cursor=cursor)
            asking = Asking("GET", place("calls", call, "events"), query=query)
            found = await self._transport.ask(asking, EventPage)
            return found.events, found.cursor

        return paged(page)

    @operation("getTimeline")
    async def timeline(self, call: str, kinds: Iterable[Kind] = Kind) -> CallTimeline:
        """What happened in a call that lives, or ended a while ago, on one clock."""
        query = TimelineQuery(kind=[*kinds])
        asking = Asking("GET", place("calls", call, "timeline"), query=query)
        return await self._transport.ask(asking, CallTimeline)

    @operation("getLadder")
    async def ladder(self, call: str) -> str:
        """The call's SIP messages as a sequence diagram, in Mermaid."""
        return await self._transport.text(Asking("GET", place("calls", call, "ladder")))

    @operation("createCall")
    async def create(
        self,
        to: Target,
        *,
        callee: str | None = None,
        program: str | None = None,
        variables: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> NewCallId:
        """Calls `to`; who answers is connected with `callee`, or speaks with `program`. Returns
        when it rings. idempotency_key: your own, where you may ask for the same call again."""
        body = NewCall(to=to, callee=callee, program=program, variables=dict(variables or {}))
        asking = Asking("POST", place("calls"), body=body, again=idempotency_key)
        return await self._transport.ask(asking, NewCallId)

    @operation("hangUpCall")
    async def hang_up(self, call: str) -> None:
        """Ends a call at once."""
        await self._transport.tell(Asking("DELETE", place("calls", call)))

    @operation("commandCall")
    async def perform(
        self,
        call: str,
        verb: Verb,
        *,
        wait: float = WaitQuery().wait,
        idempotency_key: str | None = None,
    ) -> Done | Running:
        """Has a call do something: Done, with the verb's outcome; Running, when it goes on after
        `wait` seconds (0 to 300)."""
        path = place("calls", call, "verbs")
        return await self._perform(path, verb, wait, idempotency_key)

    @operation("commandLeg")
    async def perform_on_leg(
        self,
        call: str,
        leg: str,
        verb: Verb,
        *,
        wait: float = WaitQuery().wait,
        idempotency_key: str | None = None,
    ) -> Done | Running:
        """Has one leg do something; see `perform`."""
        path = place("calls", call, "legs", leg, "verbs")
        return await self._perform(path, verb, wait, idempotency_key)

    @operation("bridgeCall")
    async def bridge(self, call: str, other: str, *, idempotency_key: str | None = None) -> Running:
        """Joins two live calls until one of them ends."""
        path, body = place("calls", call, "bridge"), NewBridge(call=other)
        asking = Asking("POST", path, body=body, again=idempotency_key)
        return await self._transport.ask(asking, Running)

    async def _perform(
        self, path: str, verb: Verb, wait: float, idempotency_key: str | None
    ) -> Done | Running:
        query = WaitQuery(wait=min(wait, LONGEST_WAIT))
        asking = Asking(
            "POST", path, query=query, body=step_from(verb), again=idempotency_key,
            seconds=SECONDS + query.wait,
        )  # fmt: skip
        return await self._transport.ask(asking, _DONE)

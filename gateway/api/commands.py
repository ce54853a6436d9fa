"""Owns live calls over HTTP: made, listed, shown, commanded and ended."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.api.gate import CallGate
from gateway.api.operations import Asked, Operation, Reply
from gateway.api.problems import UNPROCESSABLE
from gateway.api.steps import Step
from gateway.api.views import live_call, live_calls
from gateway.calls import Call, CallRegistry
from gateway.calls.programs.performing import Outcome
from gateway.config.identity import Scope
from gateway.contract.calls import (
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
from gateway.dialplan import RunProgram
from gateway.errors import NOT_FOUND, GatewayError
from gateway.ids import CallId
from gateway.storage.pages import read_cursor, written_cursor
from gateway.verbs import AnyVerb, Bridge, Dial, Side

PATH = "/v1/calls"
TAG = "calls"
SOON = 0.1
"""Seconds in which calls that cannot be joined say so."""


class CallCommands:
    """The operations. An identity sees the calls of its project, and no others."""

    def __init__(self, registry: CallRegistry, gate: CallGate) -> None:
        self._registry = registry
        self._gate = gate

    def operations(self) -> builtins.list[Operation]:
        """All of them."""
        call, write, read = PATH + "/{call}", Scope.CALLS_WRITE, Scope.CALLS_READ
        return [
            Operation(
                "GET", PATH, "listCalls", "The live calls", TAG, read, self.list,
                query=CallsQuery, answer=LiveCalls,
            ),
            Operation(
                "POST", PATH, "createCall", "Call somebody", TAG, write, self.create,
                body=NewCall, answer=NewCallId, status=201,
            ),
            Operation(
                "GET", call, "getCall", "One live call", TAG, read, self.show, answer=LiveCall
            ),
            Operation("DELETE", call, "hangUpCall", "End a call", TAG, write, self.hang_up),
            Operation(
                "POST", call + "/verbs", "commandCall", "Have a call do something", TAG, write,
                self.perform, query=WaitQuery, body=Step, answer=Done, also={202: Running},
            ),
            Operation(
                "POST", call + "/legs/{leg}/verbs", "commandLeg", "Have one leg do something", TAG,
                write, self.perform_on_leg, query=WaitQuery, body=Step, answer=Done,
                also={202: Running},
            ),
            Operation(
                "POST", call + "/bridge", "bridgeCall", "Join two calls", TAG, write, self.bridge,
                body=NewBridge, answer=Running, status=202,
            ),
        ]  # fmt: skip

    async def list(self, asked: Asked) -> LiveCalls:
        """Newest first. `cursor` asks for the calls after a page; calls that begin or end meanwhile
        shift none."""
        wanted: CallsQuery = asked.query
        found = [
            call
            for call in self._registry.calls.values()
            if call.project == asked.project and _fits(call, wanted)
        ]
        found.sort(key=_place, reverse=True)
        if wanted.cursor is not None:
            last = read_cursor(wanted.cursor)
            found = [call for call in found if _place(call) < last]
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return live_calls(page, written_cursor(*_place(page[-1])) if more else None)

    async def show(self, asked: Asked) -> LiveCall:
        """A call that is over is found among the records of calls, `/v1/cdrs/{call}`."""
        return live_call(self._own(asked))

    async def create(self, asked: Asked) -> Reply:
        """Calls `to`: a user, a trunk's number. Who answers is the caller of a new call, which then
        dials `callee` by the dialplan (click-to-call), or speaks with `program`. The answer comes
        as soon as it rings; the call's events tell the rest."""
        wanted: NewCall = asked.body
        if (wanted.callee is None) == (wanted.program is None):
            raise GatewayError(UNPROCESSABLE, "write what to dial then (callee), or a program")
        dial = Dial(**wanted.to.model_dump(exclude_unset=True))
        action = None
        if wanted.program is not None:
            if wanted.program not in self._registry.programs:
                raise GatewayError(NOT_FOUND, f"no program {wanted.program!r}")
            action = RunProgram(wanted.program)
        with self._gate.key(asked.identity, dial, wanted.callee) as admission:
            request = replace(admission.request, variables=wanted.variables)
            call = self._registry.call_out(dial, request, action)
            admission.follow(call)
        return Reply(NewCallId(id=call), 201, {"Location": f"{PATH}/{call}"})

    async def hang_up(self, asked: Asked) -> None:
        """Ends the call at once: `normal`, or `cancelled` before the answer. With words of your
        own: the verb `hangup`."""
        self._own(asked).hangup()

    async def perform(self, asked: Asked) -> Reply:
        """Any verb of docs/verbs.md, written as in a dialplan. 200 with its outcome when it has
        ended, 202 when it goes on after `wait` seconds."""
        return await self._perform(asked, asked.body.verb)

    async def perform_on_leg(self, asked: Asked) -> Reply:
        """A verb that is about one side (`play`, `say`, `gather`, `send_dtmf`, `hold`, `mute` and
        their opposites), for this leg."""
        call, leg = self._own(asked), asked.path["leg"]
        role = next((each.role for each in call.view().legs if each.id == leg), None)
        if role is None:
            raise GatewayError(NOT_FOUND, "No such leg")
        return await self._perform(asked, asked.body.verb_on(Side(role.value)))

    async def bridge(self, asked: Asked) -> Running:
        """The callers of two live calls hear each other, until one of the calls ends; then both do.
        Their programs are stopped, their callees hung up."""
        verb = Bridge(call=asked.body.call)
        call = self._gate.command(asked.identity, CallId(asked.path["call"]), verb)
        joined = call.join(CallId(verb.call))
        await asyncio.wait([joined], timeout=SOON)
        if joined.done():
            joined.result()
        joined.add_done_callback(_seen)
        return Running()

    async def _perform(self, asked: Asked, verb: AnyVerb) -> Reply:
        call = self._gate.command(asked.identity, CallId(asked.path["call"]), verb)
        done = call.perform(verb)
        finished, _ = await asyncio.wait([done], timeout=asked.query.wait)
        if not finished:
            done.add_done_callback(_seen)
            return Reply(Running(), 202)
        return Reply(Done(outcome=_outcome(done.result())))

    def _own(self, asked: Asked) -> Call:
        call = self._registry.get(CallId(asked.path["call"]))
        if call.project != asked.project:
            raise GatewayError(NOT_FOUND, "No such call")
        return call


def _place(call: Call) -> tuple[datetime, str]:
    return call.created.wall, call.id


def _fits(call: Call, wanted: CallsQuery) -> bool:
    pairs: Sequence[tuple[object, object]] = (
        (call.state, wanted.phase),
        (call.context, wanted.context),
        (call.caller, wanted.caller),
        (call.callee, wanted.callee),
        (call.answered, wanted.answered),
    )
    return all(want is None or have == want for have, want in pairs)


def _seen(done: asyncio.Future[Any]) -> None:
    """Nobody waits for a verb's failure any more: it counts as told."""
    if not done.cancelled():
        done.exception()


def _outcome(outcome: Outcome | None) -> dict[str, str]:
    return {} if outcome is None else dict(outcome.variables)

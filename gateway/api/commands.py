"""Owns verbs and outgoing calls over HTTP: the REST face of gateway.verbs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.api.bodies import json_body
from gateway.api.gate import CallGate
from gateway.api.identity import Authenticator
from gateway.calls import CallRegistry
from gateway.calls.programs.performing import Outcome
from gateway.config.identity import Scope
from gateway.dialplan import RunProgram
from gateway.errors import BAD_REQUEST, NOT_FOUND, GatewayError
from gateway.identity.values import Identity
from gateway.ids import CallId
from gateway.verbs import Dial, Target, verb_from
from gateway.verbs.step import told

PATH = "/v1/calls"
WAIT_SECONDS = 30.0
"""How long a request waits for its verb to end, unless it says otherwise."""
LONGEST_WAIT = 300.0


class NewCall(BaseModel):
    """Calls somebody; who answers is the caller of a new call, with which the dialplan deals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Target = Field(description="Whom to call.")
    callee: str | None = Field(
        default=None, min_length=1, max_length=64, description="What the new call then dials."
    )
    program: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        default=None, description="The call program that speaks with who answers."
    )
    variables: dict[str, str] = Field(default={}, description="Call variables.")


class CallCommands:
    """The routes. Only an identity that may command calls gets in."""

    def __init__(
        self, registry: CallRegistry, authenticator: Authenticator, gate: CallGate
    ) -> None:
        self._registry = registry
        self._authenticator = authenticator
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """The routes; other methods are 405."""
        return [
            web.post(PATH, self.create),
            web.post(PATH + "/{call}/verbs", self.perform),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST of a NewCall: 201 with its id, as soon as it rings. Its events tell the rest."""
        identity = await self._identify(request)
        try:
            wanted = NewCall.model_validate(await json_body(request))
        except ValidationError as error:
            raise GatewayError(BAD_REQUEST, told(error)) from None
        if (wanted.callee is None) == (wanted.program is None):
            raise GatewayError(BAD_REQUEST, "write what to dial then (callee), or a program")
        dial = Dial(**wanted.to.model_dump(exclude_unset=True))
        action = None
        if wanted.program is not None:
            if wanted.program not in self._registry.programs:
                raise GatewayError(NOT_FOUND, f"no program {wanted.program!r}")
            action = RunProgram(wanted.program)
        with self._gate.key(identity, dial, wanted.callee) as admission:
            asked = replace(admission.request, variables=wanted.variables)
            call = self._registry.call_out(dial, asked, action)
            admission.follow(call)
        location = f"{PATH}/{call}"
        return web.json_response({"id": call}, status=201, headers={"Location": location})

    async def perform(self, request: web.Request) -> web.Response:
        """POST of a step, `{verb: parameters}`: 200 with its outcome when it has ended, 202 when it
        goes on after `?wait=` seconds (0 to 300)."""
        identity = await self._identify(request)
        wait = _wait(request)
        verb = verb_from(await json_body(request))
        call = self._gate.command(identity, CallId(request.match_info["call"]), verb)
        done = call.perform(verb)
        finished, _ = await asyncio.wait([done], timeout=wait)
        if not finished:
            done.add_done_callback(_seen)
            return web.json_response({"state": "running"}, status=202)
        return web.json_response({"state": "done", "outcome": _outcome(done.result())})

    async def _identify(self, request: web.Request) -> Identity:
        identity = await self._authenticator.authenticate(request)
        return self._authenticator.command(identity, Scope.CALLS_WRITE)


def _seen(done: asyncio.Future[Outcome | None]) -> None:
    """Nobody waits for a verb's failure any more: it counts as told."""
    if not done.cancelled():
        done.exception()


def _outcome(outcome: Outcome | None) -> dict[str, str]:
    return {} if outcome is None else dict(outcome.variables)


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", str(WAIT_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise GatewayError(BAD_REQUEST, f"wait is 0 to {LONGEST_WAIT:g} seconds")
    return seconds

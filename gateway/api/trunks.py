"""Owns the trunks over HTTP: what they are, and how they do."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import Field

from gateway.api.operations import Answer, Asked, Operation
from gateway.calls.trunks import TrunkHealth, TrunkState
from gateway.clock import Clock, Instant
from gateway.config.identity import Scope
from gateway.config.model import Codec, Trunk
from gateway.errors import NOT_FOUND, GatewayError

PATH = "/v1/trunks"
TAG = "trunks"


class TrunkFailure(Answer):
    """A call that the trunk failed."""

    at: datetime = Field(description="When its leg ended.")
    code: str = Field(description="`peer_unreachable`, `peer_refused`.")
    sip_status: int = Field(description="Of the final response, or what it counts as.")


class LiveLegs(Answer):
    """Legs of live calls."""

    incoming: int = Field(description="Calls that came from it.")
    outgoing: int = Field(description="Legs that it was asked for.")


class TrunkView(Answer):
    """A trunk. Its health follows from the calls that were sent to it, since the node's start."""

    name: str = Field(description="What dialplans call it.")
    host: str = Field(description="Its name or address.")
    port: int = Field(description="Of SIP.")
    transport: str = Field(description="`udp` or `tcp`.")
    codecs: list[Codec] = Field(description="In the order of preference.")
    project: str = Field(description="Whose its incoming calls are.")
    state: TrunkState = Field(
        description="`failing`: the last three calls failed, or all there were. `unknown`: nobody "
        "called for an hour."
    )
    last_success: datetime | None = Field(
        description="When it last answered, or told that the callee was busy or the like."
    )
    last_failure: TrunkFailure | None = Field(description="null: none since the node's start.")
    failures_in_row: int = Field(description="Since the last success.")
    answered: int = Field(description="Calls, in the last 5 minutes.")
    failed: int = Field(description="Calls that it failed, in the last 5 minutes.")
    live: LiveLegs = Field(description="What it carries now.")


class Trunks(Answer):
    """The trunks, in the order of the configuration."""

    trunks: list[TrunkView] = Field(description="Those that the identity may see.")


class TrunkEndpoint:
    """The operations. An identity sees its project's trunks; with the scope `admin`, all."""

    def __init__(
        self,
        trunks: Sequence[Trunk],
        health: Callable[[str, Instant], TrunkHealth],
        clock: Clock,
    ) -> None:
        self._trunks = trunks
        self._health = health
        self._clock = clock

    def operations(self) -> builtins.list[Operation]:
        """All of them."""
        return [
            Operation(
                "GET", PATH, "listTrunks", "The trunks", TAG, Scope.TRUNKS_READ, self.list,
                answer=Trunks,
            ),
            Operation(
                "GET", PATH + "/{trunk}", "getTrunk", "One trunk", TAG, Scope.TRUNKS_READ,
                self.show, answer=TrunkView,
            ),
        ]  # fmt: skip

    async def list(self, asked: Asked) -> Trunks:
        """Their passwords are told to nobody."""
        return Trunks(trunks=[self._view(trunk) for trunk in self._own(asked)])

    async def show(self, asked: Asked) -> TrunkView:
        """Also how it does."""
        for trunk in self._own(asked):
            if trunk.name == asked.path["trunk"]:
                return self._view(trunk)
        raise GatewayError(NOT_FOUND, "No such trunk")

    def _own(self, asked: Asked) -> builtins.list[Trunk]:
        everything = asked.identity.may(Scope.ADMIN)
        return [each for each in self._trunks if everything or each.project == asked.project]

    def _view(self, trunk: Trunk) -> TrunkView:
        health = self._health(trunk.name, self._clock.now())
        failure = health.last_failure
        return TrunkView(
            name=trunk.name,
            host=trunk.host,
            port=trunk.port,
            transport=trunk.transport,
            codecs=trunk.codecs,
            project=trunk.project,
            state=health.state,
            last_success=health.last_success,
            last_failure=None
            if failure is None
            else TrunkFailure(at=failure.at.wall, code=failure.code, sip_status=failure.sip_status),
            failures_in_row=health.failures_in_row,
            answered=health.answered,
            failed=health.failed,
            live=LiveLegs(incoming=health.incoming, outgoing=health.outgoing),
        )

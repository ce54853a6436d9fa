"""Owns the trunks over HTTP: what they are, and how they do."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import Field

from gateway.api.operations import Answer, Asked, Operation
from gateway.calls.pinging import Pinging
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


class TrunkOptions(Answer):
    """What a trunk answers when it is asked whether it lives (OPTIONS, RFC 3261 11). Any final
    response but 408 and 503 proves that it does."""

    interval: float = Field(description="Seconds from one to the next, a tenth more or less.")
    last_asked: datetime | None = Field(description="null: not yet.")
    last_answered: datetime | None = Field(description="When it last proved to live.")
    last_status: int | None = Field(
        description="Of the last response; 408 and 503 also where none came in time, or could."
    )
    last_reason: str | None = Field(description="What goes with the status.")
    rtt_ms: float | None = Field(
        description="From the request to the last response, with the connection's set-up by TCP."
    )
    misses_in_row: int = Field(description="Since it last proved to live.")


class TrunkView(Answer):
    """A trunk. Its health follows from the calls that were sent to it, since the node's start, and
    from what it answers to OPTIONS; the newer finding holds."""

    name: str = Field(description="What dialplans call it.")
    host: str = Field(description="Its name or address.")
    port: int = Field(description="Of SIP.")
    transport: str = Field(description="`udp` or `tcp`.")
    codecs: list[Codec] = Field(description="In the order of preference.")
    project: str = Field(description="Whose its incoming calls are.")
    state: TrunkState = Field(
        description="`down`: it left three OPTIONS in a row without a proof of life, and no call "
        "came through since. `failing`: the last three calls failed, or all there were. `unknown`: "
        "it answered no OPTIONS, and nobody called for an hour."
    )
    last_success: datetime | None = Field(
        description="When it last answered, or told that the callee was busy or the like."
    )
    last_failure: TrunkFailure | None = Field(description="null: none since the node's start.")
    failures_in_row: int = Field(description="Since the last success.")
    answered: int = Field(description="Calls, in the last 5 minutes.")
    failed: int = Field(description="Calls that it failed, in the last 5 minutes.")
    live: LiveLegs = Field(description="What it carries now.")
    options: TrunkOptions | None = Field(description="null: it is not asked by OPTIONS.")


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
            options=None if health.pings is None else _options(health.pings),
        )


def _options(pings: Pinging) -> TrunkOptions:
    asked, answered, last = pings.asked, pings.answered, pings.last
    return TrunkOptions(
        interval=pings.interval,
        last_asked=None if asked is None else asked.wall,
        last_answered=None if answered is None else answered.wall,
        last_status=None if last is None else last.status,
        last_reason=None if last is None else last.reason,
        rtt_ms=None if pings.rtt is None else round(pings.rtt * 1000, 1),
        misses_in_row=pings.misses,
    )

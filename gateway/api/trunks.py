"""Owns the trunks over HTTP: what they are, and how they do."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence

from gateway.api.operations import Asked, Operation
from gateway.calls.trunks import TrunkHealth
from gateway.clock import Clock, Instant
from gateway.config.identity import Scope
from gateway.config.model import Trunk
from gateway.contract.trunks import LiveLegs, TrunkFailure, Trunks, TrunkView
from gateway.errors import NOT_FOUND, GatewayError

PATH = "/v1/trunks"
TAG = "trunks"


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

"""Owns the node over HTTP: how it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.api.operations import Answer, Asked, Operation
from gateway.config.identity import Scope

PATH = "/v1/node"
TAG = "node"


class ListeningView(Answer):
    """Where SIP is spoken, as bound."""

    transport: str = Field(description="`udp` or `tcp`.")
    address: str = Field(description="Of the socket.")
    port: int = Field(description="Also where the configuration leaves the choice.")


class MediaClock(Answer):
    """How punctual the media plane's clock is, since the node's start."""

    ticks: int = Field(description="Of 20 ms.")
    late_ticks: int = Field(description="That began more than 5 ms late.")
    skipped_ticks: int = Field(description="That were given up: the clock was 200 ms behind.")


class NodeView(Answer):
    """How the node does: figures of all projects together."""

    node: str = Field(description="Its name, as in the records of calls.")
    version: str = Field(description="The gateway's.")
    started_at: datetime = Field(description="Since when it is up.")
    state: Literal["ready", "draining"] = Field(description="`draining`: it takes no new calls.")
    live_calls: int = Field(description="Of all projects.")
    max_calls: int = Field(description="As many as there may be at once.")
    signed_in: int = Field(description="Browsers that can be called.")
    media_ports: int = Field(description="Of legs, players, recorders.")
    media_clock: MediaClock = Field(description="Lateness is heard.")
    sip: list[ListeningView] = Field(description="Its SIP transports.")
    recordings: int = Field(description="That are being written, or finished.")
    records_waiting: int = Field(description="Records of calls that wait for the database.")
    records_lost: int = Field(description="Records of calls that it never took.")


class NodeEndpoint:
    """The operation."""

    def __init__(self, look: Callable[[], NodeView]) -> None:
        self._look = look

    def operations(self) -> list[Operation]:
        """There is one."""
        return [
            Operation(
                "GET", PATH, "getNode", "How the node does", TAG, Scope.NODE_READ, self.show,
                answer=NodeView,
            )
        ]  # fmt: skip

    async def show(self, _asked: Asked) -> NodeView:
        """Of this node alone: others that share its database answer for themselves."""
        return self._look()

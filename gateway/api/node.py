"""Owns the node over HTTP: how it does."""

from __future__ import annotations

from collections.abc import Callable

from gateway.api.operations import Asked, Operation
from gateway.config.identity import Scope
from gateway.contract.node import NodeView

PATH = "/v1/node"
TAG = "node"


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

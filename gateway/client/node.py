"""Owns the client's methods for the node itself."""

from __future__ import annotations

from gateway.api.metrics import PATH
from gateway.client.operation import operation
from gateway.client.transport import Asking, Transport


class Node:
    """The node that answers. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("readMetrics")
    async def metrics(self) -> str:
        """The metrics of the node, all projects together, as Prometheus reads them."""
        return await self._transport.text(Asking("GET", PATH))

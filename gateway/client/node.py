"""Owns the client's methods for the node: what is configured, who is signed in, how it does."""

from __future__ import annotations

import builtins

from gateway.client.operation import operation
from gateway.client.transport import Asking, Transport, place
from gateway.contract.node import NodeView
from gateway.contract.trunks import Trunks as TrunkList
from gateway.contract.trunks import TrunkView
from gateway.contract.users import User
from gateway.contract.users import Users as UserList

METRICS = "/metrics"
"""Where Prometheus looks, without a version."""


class Node:
    """The node that answers. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("getNode")
    async def get(self) -> NodeView:
        """How it does: figures of all projects together."""
        return await self._transport.ask(Asking("GET", place("node")), NodeView)

    async def document(self) -> str:
        """The OpenAPI document of the gateway, JSON."""
        return await self._transport.text(Asking("GET", place("openapi.json")))

    @operation("readMetrics")
    async def metrics(self) -> str:
        """The metrics of the node, all projects together, as Prometheus reads them."""
        return await self._transport.text(Asking("GET", METRICS))


class Trunks:
    """Trunks. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("listTrunks")
    async def list(self) -> builtins.list[TrunkView]:
        """The trunks and how they do, in the order of the configuration."""
        found = await self._transport.ask(Asking("GET", place("trunks")), TrunkList)
        return found.trunks

    @operation("getTrunk")
    async def get(self, trunk: str) -> TrunkView:
        """One trunk."""
        return await self._transport.ask(Asking("GET", place("trunks", trunk)), TrunkView)


class Users:
    """Users who are signed in. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("listUsers")
    async def list(self) -> builtins.list[User]:
        """Who is signed in on this node, by name."""
        found = await self._transport.ask(Asking("GET", place("users")), UserList)
        return found.users

    @operation("getUser")
    async def get(self, user: str) -> User:
        """One user and the sessions."""
        return await self._transport.ask(Asking("GET", place("users", user)), User)

    @operation("signOut")
    async def sign_out(self, user: str, session: str) -> None:
        """Ends a session and its calls."""
        path = place("users", user, "sessions", session)
        await self._transport.tell(Asking("DELETE", path))

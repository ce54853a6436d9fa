"""Owns the client's methods for the dialplan in force, and for tokens."""

from __future__ import annotations

from gateway.api.plans import Changes
from gateway.api.tokens import NewToken, Token
from gateway.client.operation import operation
from gateway.client.transport import Asking, Transport, place


class Dialplan:
    """The dialplan. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("reloadDialplan")
    async def reload(self) -> Changes:
        """Reads the file again; what is different now. An error's `problem["problems"]` has all
        that is wrong with the file."""
        return await self._transport.ask(Asking("POST", place("dialplan", "reload")), Changes)


class Tokens:
    """Tokens for browsers. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("createToken")
    async def create(self, wanted: NewToken, *, idempotency_key: str | None = None) -> Token:
        """A token for the browser of a user, and the ICE servers that go with it."""
        asking = Asking("POST", place("tokens"), body=wanted, again=idempotency_key)
        return await self._transport.ask(asking, Token)

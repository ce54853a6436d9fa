"""Owns the client's methods for the dialplan in force, and for tokens."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.client.operation import operation
from gateway.client.transport import Asking, Transport, place
from gateway.contract.dialplan import (
    Changes,
    DialplanProblem,
    DialplanView,
    Explanation,
    Question,
    Source,
    Validation,
)
from gateway.contract.tokens import NewToken, Token


class Dialplan:
    """The dialplan. Every method raises GatewayApiError; of a dialplan that has problems the
    error's `problem["problems"]` has all of them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("getDialplan")
    async def get(self) -> DialplanView:
        """The one in force."""
        return await self._transport.ask(Asking("GET", place("dialplan")), DialplanView)

    @operation("validateDialplan")
    async def validate(self, source: str) -> list[DialplanProblem]:
        """All that is wrong with a dialplan; nothing: it could be used."""
        asking = Asking("POST", place("dialplan", "validate"), body=Source(source=source))
        return (await self._transport.ask(asking, Validation)).problems

    @operation("diffDialplan")
    async def diff(self, source: str) -> Changes:
        """What a dialplan would change."""
        asking = Asking("POST", place("dialplan", "diff"), body=Source(source=source))
        return await self._transport.ask(asking, Changes)

    @operation("explainDialplan")
    async def explain(
        self,
        to: str,
        *,
        from_: str = "",
        context: str | None = None,
        trunk: str | None = None,
        key: str | None = None,
        at: str | None = None,
        headers: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Explanation:
        """What would become of a call, and why. Nobody is called."""
        body = Question.model_validate(
            {
                "to": to, "from": from_, "context": context, "trunk": trunk, "key": key, "at": at,
                "headers": dict(headers or {}), "variables": dict(variables or {}),
            }
        )  # fmt: skip
        asking = Asking("POST", place("dialplan", "explain"), body=body)
        return await self._transport.ask(asking, Explanation)

    @operation("reloadDialplan")
    async def reload(self) -> Changes:
        """Reads the file again; what is different now."""
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

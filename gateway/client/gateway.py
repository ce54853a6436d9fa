"""Owns `GatewayClient`: everything that the API can do, as methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

from gateway.client.calls import Calls
from gateway.client.captures import Captures
from gateway.client.dialplan import Dialplan, Tokens
from gateway.client.events import CallEvent, follow
from gateway.client.node import Node, Trunks, Users
from gateway.client.operation import operation
from gateway.client.records import Cdrs, Recordings
from gateway.client.transport import ATTEMPTS, Transport
from gateway.client.webhooks import Webhooks


class GatewayClient:
    """A gateway's API.

        async with GatewayClient("https://gateway.example", key) as gateway:
            call = await gateway.calls.create(Target(user="alice"), callee="2125550100")

    What may have failed on the way is asked again, also what changes something: each POST has an
    Idempotency-Key. Retry-After is honoured. Every method raises GatewayApiError.
    """

    def __init__(self, url: str, token: str | None = None, *, attempts: int = ATTEMPTS) -> None:
        """url: where the gateway is, without `/v1`. token: an API key, or a token of a trusted
        issuer; None: demo mode. attempts: how often a request is sent at most. Raises ValueError:
        no URL of http or https, or no token."""
        self._transport = Transport(url, token, attempts)
        self.calls = Calls(self._transport)
        self.dialplan = Dialplan(self._transport)
        self.captures = Captures(self._transport)
        self.cdrs = Cdrs(self._transport)
        self.recordings = Recordings(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.trunks = Trunks(self._transport)
        self.users = Users(self._transport)
        self.node = Node(self._transport)
        self.tokens = Tokens(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends everything that is under way."""
        await self._transport.close()

    @operation("streamEvents")
    def events(
        self, *, call: str | None = None, types: Iterable[str] = (), since: int | None = None
    ) -> AsyncIterator[CallEvent]:
        """What happens, as it happens, without end; with `call`, from the beginning of that call to
        its end.

        types: names, or their beginnings with the dot (`call.`). since: also what came after this
        sequence number. A connection that breaks is made again, and nothing is missed.
        """
        return follow(self._transport, call, types, since)

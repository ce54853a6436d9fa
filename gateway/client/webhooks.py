"""Owns the client's methods for receivers of events."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Sequence

from gateway.client.operation import PAGE, operation, paged
from gateway.client.transport import Asking, Transport, place
from gateway.contract.webhooks import (
    Deliveries,
    DeliveryFilter,
    DeliveryQuery,
    DeliveryView,
    MadeWebhook,
    NewWebhook,
    PingResult,
    WebhookChange,
    WebhookList,
    WebhookView,
)


class Webhooks:
    """Receivers of events. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("listWebhooks")
    async def list(self) -> builtins.list[WebhookView]:
        """All of the project, the oldest first."""
        found = await self._transport.ask(Asking("GET", place("webhooks")), WebhookList)
        return found.webhooks

    @operation("createWebhook")
    async def create(
        self, url: str, *, types: Iterable[str] = (), idempotency_key: str | None = None
    ) -> MadeWebhook:
        """A receiver of what happens from now on. Its secret is shown here and never again."""
        body = NewWebhook(url=url, types=[*types])
        asking = Asking("POST", place("webhooks"), body=body, again=idempotency_key)
        return await self._transport.ask(asking, MadeWebhook)

    @operation("getWebhook")
    async def get(self, webhook: str) -> WebhookView:
        """Whether it is enabled, and why not."""
        return await self._transport.ask(Asking("GET", place("webhooks", webhook)), WebhookView)

    @operation("changeWebhook")
    async def change(
        self,
        webhook: str,
        *,
        url: str | None = None,
        types: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> WebhookView:
        """Changes what is given."""
        given = {
            "url": url, "types": None if types is None else [*types], "enabled": enabled,
        }  # fmt: skip
        wanted = {name: value for name, value in given.items() if value is not None}
        body = WebhookChange.model_validate(wanted)
        asking = Asking("PATCH", place("webhooks", webhook), body=body)
        return await self._transport.ask(asking, WebhookView)

    @operation("deleteWebhook")
    async def delete(self, webhook: str) -> None:
        """Deletes it, with all that waits for it."""
        await self._transport.tell(Asking("DELETE", place("webhooks", webhook)))

    @operation("enableWebhook")
    async def enable(self, webhook: str) -> WebhookView:
        """Lets what waits be delivered, and what happens from now on."""
        return await self._transport.ask(
            Asking("POST", place("webhooks", webhook, "enable")), WebhookView
        )

    @operation("pingWebhook")
    async def ping(self, webhook: str) -> PingResult:
        """Tries it out at once."""
        return await self._transport.ask(
            Asking("POST", place("webhooks", webhook, "ping")), PingResult
        )

    @operation("listDeliveries")
    def deliveries(
        self, webhook: str, *, state: DeliveryFilter | None = None
    ) -> AsyncIterator[DeliveryView]:
        """What it got, and did not, newest first."""

        async def page(cursor: str | None) -> tuple[Sequence[DeliveryView], str | None]:
            query = DeliveryQuery(state=state, limit=PAGE, cursor=cursor)
            asking = Asking("GET", place("webhooks", webhook, "deliveries"), query=query)
            found = await self._transport.ask(asking, Deliveries)
            return found.deliveries, found.cursor

        return paged(page)

    @operation("replayDelivery")
    async def replay(self, webhook: str, delivery: str) -> None:
        """Delivers an event again, also one that was given up."""
        path = place("webhooks", webhook, "deliveries", delivery, "replay")
        await self._transport.tell(Asking("POST", path))

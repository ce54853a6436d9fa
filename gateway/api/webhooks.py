"""Owns webhooks over HTTP: made, changed, tried out; their deliveries seen and replayed."""

from __future__ import annotations

import builtins
import json
import re
import secrets

from gateway.api.operations import Asked, Operation, Reply
from gateway.api.problems import UNPROCESSABLE
from gateway.clock import Clock
from gateway.config.identity import Scope
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
from gateway.errors import NOT_FOUND, Blame, GatewayError, Verdict
from gateway.storage.webhooks import TOO_MANY_WEBHOOKS, WebhookRecord, Webhooks
from gateway.terms import DeliveryState
from gateway.web.webhooks import new_secret
from gateway.webhooks import Deliverer
from gateway.webhooks.lane import SECONDS, Sender

PATH = "/v1/webhooks"
TAG = "webhooks"
PING = "webhook.ping"
NOT_KEPT = Verdict(
    "webhooks_not_kept", 500, 501, 41, Blame.GATEWAY,
    "This node keeps no events: its configuration has no `records` section, or one in memory",
)  # fmt: skip
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class WebhookEndpoint:
    """The operations. An identity sees the webhooks of its project, and no others."""

    def __init__(
        self, store: Webhooks | None, deliverer: Deliverer | None, sender: Sender, clock: Clock
    ) -> None:
        """store, deliverer None: the node keeps nothing, and refuses."""
        self._kept = store
        self._deliverer = deliverer
        self._sender = sender
        self._clock = clock

    def operations(self) -> builtins.list[Operation]:
        """All of them."""
        hook, scope = PATH + "/{webhook}", Scope.WEBHOOKS_WRITE
        sent = hook + "/deliveries"
        return [
            Operation("GET", PATH, "listWebhooks", "All webhooks", TAG, scope, self.list,
                      answer=WebhookList),
            Operation("POST", PATH, "createWebhook", "Make a webhook", TAG, scope, self.create,
                      body=NewWebhook, answer=MadeWebhook, status=201,
                      problems=(NOT_KEPT, TOO_MANY_WEBHOOKS)),
            Operation("GET", hook, "getWebhook", "One webhook", TAG, scope, self.show,
                      answer=WebhookView),
            Operation("PATCH", hook, "changeWebhook", "Change a webhook", TAG, scope, self.change,
                      body=WebhookChange, answer=WebhookView),
            Operation("DELETE", hook, "deleteWebhook", "Delete a webhook", TAG, scope, self.delete),
            Operation("POST", hook + "/enable", "enableWebhook", "Enable a webhook", TAG, scope,
                      self.enable, answer=WebhookView),
            Operation("POST", hook + "/ping", "pingWebhook", "Try a webhook out", TAG, scope,
                      self.ping, answer=PingResult),
            Operation("GET", sent, "listDeliveries", "What a webhook got, and did not", TAG, scope,
                      self.deliveries, query=DeliveryQuery, answer=Deliveries),
            Operation("POST", sent + "/{delivery}/replay", "replayDelivery", "Deliver it again",
                      TAG, scope, self.replay, status=202),
        ]  # fmt: skip

    @property
    def _store(self) -> Webhooks:
        """Raises GatewayError(NOT_KEPT)."""
        if self._kept is None:
            raise GatewayError(NOT_KEPT)
        return self._kept

    async def list(self, asked: Asked) -> WebhookList:
        """The secrets are not told again."""
        if self._kept is None:
            return WebhookList(webhooks=[])
        found = await self._kept.all(asked.project)
        return WebhookList(webhooks=[_view(hook) for hook in found])

    async def create(self, asked: Asked) -> MadeWebhook:
        """It gets what happens from now on. Keep the secret: it is not shown again."""
        body: NewWebhook = asked.body
        hook = WebhookRecord(
            id=f"wh_{secrets.token_urlsafe(12)}",
            project=asked.project,
            url=body.url,
            secret=new_secret(),
            types=tuple(body.types),
            enabled=True,
            reason=None,
            created_at=self._clock.now().wall,
        )
        await self._store.add(hook)
        return MadeWebhook(**_shown(hook), secret=hook.secret)

    async def show(self, asked: Asked) -> WebhookView:
        """Whether it is enabled, and why not."""
        return _view(await self._store.get(asked.project, _id(asked, "webhook")))

    async def change(self, asked: Asked) -> WebhookView:
        """What is under way may still go to the old URL."""
        body: WebhookChange = asked.body
        if not body.model_fields_set:
            raise GatewayError(UNPROCESSABLE, "Nothing to change")
        store, project, hook = self._store, asked.project, _id(asked, "webhook")
        await store.get(project, hook)
        types = None if body.types is None else tuple(body.types)
        await store.change(project, hook, body.url, types)
        if body.enabled is True:
            await self._enable(store, project, hook)
        elif body.enabled is False:
            await store.disable(project, hook, "Disabled over the API")
            self._changed(hook)
        return _view(await store.get(project, hook))

    async def delete(self, asked: Asked) -> None:
        """With all that waits for it."""
        hook = _id(asked, "webhook")
        await self._store.delete(asked.project, hook)
        self._changed(hook)

    async def enable(self, asked: Asked) -> WebhookView:
        """What waited when it was disabled is delivered, and what happens from now on; what
        happened in between is not: read it from the log of events."""
        store, project, hook = self._store, asked.project, _id(asked, "webhook")
        await self._enable(store, project, hook)
        return _view(await store.get(project, hook))

    async def _enable(self, store: Webhooks, project: str, hook: str) -> None:
        await store.enable(project, hook, self._clock.now().wall)
        self._changed(hook)

    async def ping(self, asked: Asked) -> PingResult:
        """Sends `webhook.ping` at once, signed, and tells what the receiver answered."""
        hook = await self._store.get(asked.project, _id(asked, "webhook"))
        now = self._clock.now().wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = json.dumps({"type": PING, "timestamp": now, "data": {"webhook": hook.id}})
        message = f"msg_{secrets.token_hex(12)}"
        sent = await self._sender.send(hook.url, hook.secret, message, body, SECONDS)
        return PingResult(delivered=sent.error is None, status=sent.status, error=sent.error)

    async def deliveries(self, asked: Asked) -> Deliveries:
        """What was delivered can be seen for an hour; dead letters as long as their events."""
        query: DeliveryQuery = asked.query
        store = self._store
        hook = await store.get(asked.project, _id(asked, "webhook"))
        failed = query.state is DeliveryFilter.FAILED
        state = None if failed or query.state is None else DeliveryState(query.state)
        found, cursor = await store.deliveries(hook.id, state, failed, query.limit, query.cursor)
        return Deliveries(
            deliveries=[DeliveryView.model_validate(item, from_attributes=True) for item in found],
            cursor=cursor,
        )

    async def replay(self, asked: Asked) -> Reply:
        """With the same `webhook-id`, and all attempts anew; also of what was delivered."""
        store = self._store
        hook = await store.get(asked.project, _id(asked, "webhook"))
        await store.replay(hook.id, _id(asked, "delivery"), self._clock.now().wall)
        self._changed(hook.id)
        return Reply(None, 202)

    def _changed(self, hook: str) -> None:
        if self._deliverer is not None:
            self._deliverer.begin_anew(hook)


def _id(asked: Asked, name: str) -> str:
    """An id of the path. Raises GatewayError(NOT_FOUND): none can be like this."""
    if not _ID.fullmatch(asked.path[name]):
        raise GatewayError(NOT_FOUND, f"No such {name}")
    return asked.path[name]


def _view(hook: WebhookRecord) -> WebhookView:
    return WebhookView(**_shown(hook))


def _shown(hook: WebhookRecord) -> dict[str, object]:
    return {
        "id": hook.id,
        "url": hook.url,
        "types": builtins.list(hook.types),
        "enabled": hook.enabled,
        "reason": hook.reason,
        "created_at": hook.created_at,
    }

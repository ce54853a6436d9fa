"""The client against a node that keeps events: receivers and their deliveries."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from gateway.client import GatewayApiError, GatewayClient
from gateway.contract.webhooks import DeliveryFilter
from tests.api.conftest import StartApi
from tests.api.telling import HOOKS, told
from tests.storage.calls import begin
from tests.support.processes import wait_until
from tests.webhooks.conftest import Receiver, receiver

__all__ = ["receiver"]  # a fixture


async def test_from_making_to_deleting(
    start_api: StartApi,
    tmp_path: Path,
    receiver: Receiver,
) -> None:
    receiver.answer = lambda _: web.Response(status=503, headers={"Retry-After": "60"})
    async with told(start_api, tmp_path) as node:
        key = (await node.key(HOOKS))["Authorization"].removeprefix("Bearer ")
        async with GatewayClient(str(node.api.server.make_url("/")), key) as gateway:
            made = await gateway.webhooks.create(receiver.url, types=["call.created"])
            receiver.secret = made.secret
            assert [hook.id for hook in await gateway.webhooks.list()] == [made.id]
            begin(node.log, "c-1")

            async def failed() -> list[str]:
                found = gateway.webhooks.deliveries(made.id, state=DeliveryFilter.FAILED)
                return [each.id async for each in found]

            await wait_until(failed, 5, "a failure")
            [delivery] = await failed()
            assert (await gateway.webhooks.change(made.id, enabled=False)).enabled is False
            assert (await gateway.webhooks.get(made.id)).types == ["call.created"]
            receiver.answer = lambda _: web.Response()
            assert (await gateway.webhooks.enable(made.id)).enabled
            assert (await gateway.webhooks.ping(made.id)).delivered
            await gateway.webhooks.replay(made.id, delivery)
            await wait_until(lambda: "call.created" in [n.type for n in receiver.taken], 5, "it")
            await gateway.webhooks.delete(made.id)
            with pytest.raises(GatewayApiError, match="404"):
                await gateway.webhooks.get(made.id)

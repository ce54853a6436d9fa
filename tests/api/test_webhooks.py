"""Webhooks over HTTP: made and tried, seen and replayed, by nobody but their project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.identity import Scope
from tests.api.conftest import StartApi
from tests.api.telling import HOOKS, Told, told
from tests.storage.calls import begin, end
from tests.support.processes import wait_until
from tests.webhooks.conftest import Receiver, receiver

__all__ = ["receiver"]


async def made(node: Told, key: dict[str, str], to: Receiver, **more: Any) -> str:
    """A new webhook's id; the receiver knows its secret."""
    status, hook = await node.ask("POST", "/v1/webhooks", key, json={"url": to.url, **more})
    assert status == 201, hook
    to.secret = hook["secret"]
    return f"/v1/webhooks/{hook['id']}"


async def test_from_making_to_deleting(
    start_api: StartApi, tmp_path: Path, receiver: Receiver
) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(HOOKS)
        hook = await made(node, key, receiver, types=["call.", "leg.added"])
        assert receiver.secret.startswith("whsec_")
        _, shown = await node.ask("GET", hook, key)
        assert (shown["url"], shown["types"]) == (receiver.url, ["call.", "leg.added"])
        assert (shown["enabled"], shown["reason"]) == (True, None)
        assert "secret" not in shown
        assert (await node.ask("GET", "/v1/webhooks", key))[1] == {"webhooks": [shown]}
        begin(node.log, "c-1")
        await wait_until(lambda: len(receiver.taken) == 5, 5, "its events")
        _, changed = await node.ask("PATCH", hook, key, json={"types": ["call.ended"]})
        assert changed == shown | {"types": ["call.ended"]}
        end(node.log, "c-1")
        await wait_until(lambda: len(receiver.taken) == 6, 5, "the end")
        assert receiver.taken[-1].type == "call.ended"
        assert (await node.ask("DELETE", hook, key))[0] == 204
        for method, path in (("GET", hook), ("DELETE", hook), ("POST", f"{hook}/ping")):
            assert (await node.ask(method, path, key))[0] == 404


async def test_a_ping_tells_what_the_receiver_says(
    start_api: StartApi, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: web.Response(status=418)
    async with told(start_api, tmp_path) as node:
        key = await node.key(HOOKS)
        hook = await made(node, key, receiver)
        status, result = await node.ask("POST", f"{hook}/ping", key)
        assert (status, result["delivered"], result["status"]) == (200, False, 418)
        receiver.answer = lambda _: web.Response()
        status, result = await node.ask("POST", f"{hook}/ping", key)
        assert result == {"delivered": True, "status": 200, "error": None}
    assert [notice.type for notice in receiver.seen] == ["webhook.ping"] * 2


async def test_deliveries_are_seen_and_replayed(
    start_api: StartApi, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: web.Response(status=503, headers={"Retry-After": "60"})
    async with told(start_api, tmp_path) as node:
        key = await node.key(HOOKS)
        hook = await made(node, key, receiver, types=["call.created"])

        async def listed(state: str) -> list[dict[str, Any]]:
            _, page = await node.ask("GET", f"{hook}/deliveries?state={state}", key)
            found: list[dict[str, Any]] = page["deliveries"]
            return found

        begin(node.log, "c-1")
        await wait_until(lambda: listed("failed"), 5, "a failure")
        [failed] = await listed("failed")
        assert failed == (await listed("pending"))[0]
        assert (failed["call"], failed["type"], failed["status"]) == ("c-1", "call.created", 503)
        assert failed["next_at"] > failed["created_at"]
        assert await listed("dead") == await listed("delivered") == []
        receiver.answer = lambda _: web.Response()
        # It asked for a minute, which a user who knows better need not wait for.
        await node.ask("PATCH", hook, key, json={"enabled": False})
        await wait_until(lambda: not node.telling.deliverer._lanes, 5, "it is left alone")  # type: ignore[union-attr]
        _, enabled = await node.ask("POST", f"{hook}/enable", key)
        assert enabled["enabled"] is True
        await wait_until(lambda: listed("delivered"), 5, "its delivery")
        status, _ = await node.ask("POST", f"{hook}/deliveries/{failed['id']}/replay", key)
        assert status == 202
        await wait_until(lambda: len(receiver.taken) == 2, 5, "once more")
        assert {notice.id for notice in receiver.seen} == {failed["id"]}
        status, _ = await node.ask("POST", f"{hook}/deliveries/msg_none/replay", key)
        assert status == 404


async def test_another_project_sees_and_changes_nothing(
    start_api: StartApi, tmp_path: Path, receiver: Receiver
) -> None:
    async with told(start_api, tmp_path) as node:
        hook = await made(node, await node.key(HOOKS), receiver)
        theirs = await node.key(HOOKS, project="sales")
        assert (await node.ask("GET", "/v1/webhooks", theirs))[1] == {"webhooks": []}
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"enabled": False}),
            ("DELETE", "", None),
            ("POST", "/enable", None),
            ("POST", "/ping", None),
            ("GET", "/deliveries", None),
            ("POST", "/deliveries/msg_x/replay", None),
        ):
            status, _ = await node.ask(method, f"/v1/webhooks/%00{path}", theirs, json=body)
            assert status == 404
            status, problem = await node.ask(method, hook + path, theirs, json=body)
            assert (status, problem["code"]) == (404, "not_found"), (method, path)
        begin(node.log, "c-1")
        await wait_until(lambda: len(receiver.taken) == 5, 5, "it is as it was")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://example.org/x"},
        {"url": "https://user:pw@example.org/"},
        {"url": "https://example.org/", "types": ["no.such"]},
        {"url": "https://example.org/", "secret": "mine"},
        {"url": "https://" + "x" * 3000},
    ],
)
async def test_what_makes_no_sense_is_refused(
    start_api: StartApi, tmp_path: Path, body: dict[str, Any]
) -> None:
    async with told(start_api, tmp_path) as node:
        key = await node.key(HOOKS)
        status, problem = await node.ask("POST", "/v1/webhooks", key, json=body)
        assert status in (400, 422), problem
        others = await node.key(*(set(Scope) - {HOOKS, Scope.ADMIN}))
        assert (await node.ask("GET", "/v1/webhooks", others))[0] == 403


async def test_a_node_that_keeps_nothing_says_so(
    start_api: StartApi, tmp_path: Path, receiver: Receiver
) -> None:
    async with told(start_api, tmp_path, url="sqlite://") as node:
        key = await node.key(HOOKS)
        status, problem = await node.ask("POST", "/v1/webhooks", key, json={"url": receiver.url})
        assert (status, problem["code"]) == (501, "webhooks_not_kept")
        assert (await node.ask("GET", "/v1/webhooks", key))[1] == {"webhooks": []}

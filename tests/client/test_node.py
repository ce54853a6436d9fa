"""The client against a running API: trunks, users, the dialplan, the node, tokens, events."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client import CallEvent, GatewayApiError, GatewayClient
from gateway.config.identity import Scope
from gateway.contract.tokens import NewToken
from tests.api.steps import until
from tests.client.conftest import Clients


async def test_trunks_and_the_node(gateway: GatewayClient) -> None:
    assert [trunk.name for trunk in await gateway.trunks.list()] == ["carrier", "theirs"]
    assert (await gateway.trunks.get("theirs")).transport == "tcp"
    assert (await gateway.node.get()).state == "ready"


async def test_users_are_seen_and_signed_out(clients: Clients, gateway: GatewayClient) -> None:
    token = await gateway.tokens.create(NewToken(user="alice"))
    assert token.user == "alice"
    browser = await clients.stand.browser(token.token)
    [user] = await gateway.users.list()
    assert await gateway.users.get("alice") == user
    await gateway.users.sign_out("alice", user.sessions[0].id)
    assert await browser.closed() == 4001
    with pytest.raises(GatewayApiError, match="404"):
        await gateway.users.get("alice")


async def test_the_dialplan_is_shown_and_tried_out(gateway: GatewayClient) -> None:
    plan = await gateway.dialplan.get()
    assert "browser" in [context.name for context in plan.contexts]
    assert await gateway.dialplan.validate(plan.source) == []
    [problem] = await gateway.dialplan.validate("contexts: {browser: [{match: 1}]}")
    assert problem.line == 1
    with pytest.raises(GatewayApiError) as refused:
        await gateway.dialplan.diff("contexts: {browser: [{match: 1}]}")
    assert refused.value.problem["problems"][0]["message"] == problem.message
    assert (await gateway.dialplan.diff(plan.source)).changes == []
    told = await gateway.dialplan.explain("support", from_="alice", variables={"tier": "gold"})
    assert told.steps[0]["dial"]["number"] == "+12125550199"
    assert (await gateway.dialplan.reload()).changes == ["+ browser: 3"]


async def test_events_of_a_call_from_its_beginning_to_its_end(
    clients: Clients, gateway: GatewayClient
) -> None:
    leg, call = clients.phone()
    clients.phone()
    await until(lambda: leg.port)
    seen: list[CallEvent] = []

    async def follow() -> None:
        async for event in gateway.events(call=call.id):
            seen.append(event)  # noqa: PERF401  # what came is looked at meanwhile

    following = asyncio.create_task(follow())
    await until(lambda: len(seen) > 1)
    call.hangup()
    async with asyncio.timeout(5):  # only ever reached by a failing test
        await following
    assert (seen[0].type, seen[-1].type) == ("call.created", "call.ended")
    assert {event.call for event in seen} == {call.id}
    assert seen[0].data["callee"] == "wait"
    assert [event async for event in gateway.calls.events(call.id)] == seen
    other = await clients.client(Scope.EVENTS_READ, project="sales")
    with pytest.raises(GatewayApiError, match="404"):
        await anext(other.calls.events(call.id))
    with pytest.raises(GatewayApiError, match=r"there is no event no\.such"):
        await anext(gateway.events(types=["no.such"]))


async def test_a_node_that_keeps_nothing_has_no_webhooks(gateway: GatewayClient) -> None:
    assert await gateway.webhooks.list() == []
    with pytest.raises(GatewayApiError, match="webhooks_not_kept"):
        await gateway.webhooks.create("https://crm.example/events", types=["call."])

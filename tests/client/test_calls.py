"""The client against a running API: live calls, verbs, and what is refused."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from gateway.client import (
    Bridge,
    GatewayApiError,
    GatewayClient,
    Gather,
    Hangup,
    Pause,
    SendDtmf,
    Set,
    Target,
)
from gateway.config.identity import Scope
from gateway.contract.calls import Done, Running
from gateway.terms import Phase
from tests.api.steps import until
from tests.client.conftest import Clients


async def test_a_call_is_made_commanded_and_ended(clients: Clients, gateway: GatewayClient) -> None:
    browser = await clients.stand.browser(clients.stand.token("alice"))
    made = await gateway.calls.create(
        Target(user="alice"), callee="+12125550100", variables={"tier": "gold"}
    )
    assert (await browser.receive("call"))["call"] == made.id
    shown = await gateway.calls.get(made.id)
    assert (shown.phase, shown.callee) == (Phase.NEW, "+12125550100")
    await gateway.calls.hang_up(made.id)
    await browser.receive("hangup")
    with pytest.raises(GatewayApiError) as refused:
        await gateway.calls.get(made.id)
    assert (refused.value.code, refused.value.status) == ("not_found", 404)


async def test_verbs_end_or_go_on(clients: Clients, gateway: GatewayClient) -> None:
    leg, call = clients.phone()
    await until(lambda: leg.port)
    asked = asyncio.create_task(gateway.calls.perform(call.id, Gather(max_digits=2)))
    await until(lambda: any(leg.withheld for leg in call._supervisor.state.legs))
    assert leg.port is not None
    clients.stand.node.media.press(leg.port, "42")
    gathered = await asked
    assert isinstance(gathered, Done)
    assert gathered.outcome["digits"] == "42"
    assert await gateway.calls.perform(call.id, Set(variables={"tier": "gold"})) == Done(outcome={})
    assert await gateway.calls.perform(call.id, Pause(seconds=60), wait=0) == Running()
    [shown] = (await gateway.calls.get(call.id)).legs
    await gateway.calls.perform_on_leg(call.id, shown.id, SendDtmf(digits="7"))
    assert [sent.digit for sent in clients.stand.node.media.sent] == ["7"]
    await gateway.calls.perform(call.id, Hangup(reason="Bye"))
    await until(lambda: leg.ended)
    assert leg.verdict is not None
    assert leg.verdict.text == "Bye"


async def test_two_calls_are_joined(clients: Clients, gateway: GatewayClient) -> None:
    (one, first), (other, second) = clients.phone(), clients.phone()
    await until(lambda: one.port and other.port)
    assert await gateway.calls.bridge(first.id, second.id) == Running()
    pair = (one.port, other.port)
    await until(lambda: pair in clients.stand.node.media.connections)


async def test_a_list_is_read_page_by_page(
    clients: Clients, gateway: GatewayClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.calls.PAGE", 2)
    calls = [clients.phone()[1].id for _ in range(5)]
    found = [call.id async for call in gateway.calls.list()]
    assert sorted(found) == sorted(calls)
    assert [call async for call in gateway.calls.list(callee="elsewhere")] == []
    assert len([call async for call in gateway.calls.list(context="carrier")]) == 5


async def test_a_refusal_says_everything_that_the_gateway_said(
    clients: Clients, gateway: GatewayClient
) -> None:
    with pytest.raises(GatewayApiError) as refused:
        await gateway.calls.create(Target(user="nobody"), callee="1", program="also")
    error = refused.value
    assert (error.code, error.status) == ("unprocessable", 422)
    assert error.detail == "write what to dial then (callee), or a program"
    assert error.request_id is not None
    assert error.problem["instance"] == f"urn:gateway:request:{error.request_id}"
    assert str(error) == f"422 unprocessable: {error.detail}"
    reader = await clients.client(Scope.CALLS_READ)
    with pytest.raises(GatewayApiError, match="403 forbidden"):
        await reader.calls.create(Target(user="alice"), callee="1")
    with pytest.raises(GatewayApiError, match="404 not_found: No such call"):
        await gateway.calls.perform(clients.phone()[1].id, Bridge(call="c-none"))


async def test_another_projects_calls_are_not_there(clients: Clients) -> None:
    _, call = clients.phone()
    other = await clients.client(project="sales")
    assert [found async for found in other.calls.list()] == []
    with pytest.raises(GatewayApiError) as refused:
        await other.calls.hang_up(call.id)
    assert refused.value.status == 404
    assert not call.ended


@pytest.mark.parametrize("call", ["", ".", ".."])
async def test_what_no_call_is_called_by_is_not_asked_for(
    gateway: GatewayClient, call: str
) -> None:
    with pytest.raises(ValueError, match="is no name"):
        await gateway.calls.hang_up(call)


async def test_any_text_is_one_segment_of_the_path(gateway: GatewayClient) -> None:
    for call in ("c/../../tokens", "c?x=1", "c#x", "c%2f..", "Zoë"):
        with pytest.raises(GatewayApiError) as refused:
            await gateway.calls.get(call)
        assert refused.value.code == "not_found"


async def test_what_the_api_would_refuse_is_not_sent(gateway: GatewayClient) -> None:
    with pytest.raises(ValidationError):
        await gateway.calls.create(Target(user="alice"), program="no program name")

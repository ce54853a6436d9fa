"""The example examples/click_to_call.py against a running API: what tabs and phones notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from examples.click_to_call import click_to_call, main
from gateway.api.commands import CallCommands
from gateway.client import GatewayClient
from tests.api.conftest import Api, Browser, StartApi
from tests.api.doubles import OFFER
from tests.api.registry import Node
from tests.api.steps import until
from tests.api.test_node import NodeWebRtc


@dataclass
class Running:
    """A node whose API is up, and the example's client of it."""

    api: Api
    node: Node
    webrtc: NodeWebRtc
    gateway: GatewayClient

    @property
    def url(self) -> str:
        return str(self.api.server.make_url("/"))


@pytest.fixture
async def running(start_api: StartApi) -> AsyncIterator[Running]:
    node = Node()
    webrtc = NodeWebRtc(node)
    operations = CallCommands(node.registry, node.gate).operations()
    api = await start_api(
        calls=node.calls, webrtc=webrtc, directory=node.directory, operations=operations
    )
    async with GatewayClient(str(api.server.make_url("/"))) as gateway:
        yield Running(api, node, webrtc, gateway)
    await node.close()


async def answered(running: Running, browser: Browser) -> str:
    """alice's tab rings, and she answers; the call's id."""
    ringing = await browser.receive("call")
    call = str(ringing["call"])
    await browser.request("answer", "answer", call=call, sdp=OFFER)
    running.webrtc.legs[0].answers()
    return call


async def test_the_tabs_ring_and_who_answers_is_connected(running: Running) -> None:
    browser, other = await running.api.browser("alice"), await running.api.browser("alice")
    told = await click_to_call(running.gateway, "alice", "3000")
    assert not running.node.sip.legs
    call = await answered(running, browser)
    assert told == f"alice rings, then 3000: call {call}"
    await other.receive("call")
    assert (await other.receive("hangup"))["reason"]["text"] == "Answered elsewhere"
    await until(lambda: running.node.sip.legs)
    [target], [phone] = running.node.sip.targets, running.node.sip.legs
    assert (target.trunk, target.number, target.caller) == ("carrier", "3000", "+4930100")
    leg = running.webrtc.legs[0]
    port = phone.answers()
    await until(lambda: {(leg.port, port), (port, leg.port)} <= running.node.media.connections)

    await running.gateway.calls.hang_up(call)
    await until(lambda: phone.ended and leg.ended)


async def test_a_number_without_a_route_ends_the_call_when_the_tab_answered(
    running: Running,
) -> None:
    browser = await running.api.browser("alice")
    await click_to_call(running.gateway, "alice", "1000")
    await answered(running, browser)
    state = await browser.receive("state")
    while state["state"] != "ended":
        state = await browser.receive("state")
    assert state["reason"]["code"] == "not_found"
    assert not running.node.sip.targets


async def test_a_user_is_told_what_to_do(running: Running) -> None:
    assert await main(running.url, "alice", "3000") == "alice has no tab open."
    await running.api.browser("alice")
    assert (await main(running.url, "alice", "3000")).startswith("alice rings, then 3000: call c-")
    running.node.registry.drain()
    said = "The gateway is restarting. Try again in a minute."
    assert await main(running.url, "alice", "3000") == said
    nowhere = f"http://127.0.0.1:{unused_port()}"
    assert await main(nowhere, "alice", "3000") == "The gateway does not answer."


async def test_a_proxys_page_is_no_problem_document() -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(status=502, text="<h1>Bad Gateway</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/v1/calls", page)
    async with TestServer(app) as server:
        said = await main(str(server.make_url("/")), "alice", "3000")
        assert said == "The gateway does not answer."

"""Calls that our own client and command line drive, on a real node."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.client import CallEvent, GatewayClient
from tests.client.test_package import LEFT_OUT, described, methods
from tests.e2e.our_clients import CommandLine, OurClient
from tests.e2e.phone_page import PhonePage
from tests.e2e.site import Site
from tests.e2e.test_clients import drive
from tests.support.browsers import Browser

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]


async def test_our_client_drives_a_call(site: Site, browser: Browser, page: PhonePage) -> None:
    seen: list[CallEvent] = []

    async with GatewayClient(site.gateway.url) as gateway:

        async def follow() -> None:
            async for event in gateway.events(types=["call."]):
                seen.append(event)  # noqa: PERF401  # until it is cancelled

        following = asyncio.create_task(follow())
        await drive(OurClient(gateway), "ours", site, browser, page)
        created = next(event for event in seen if event.type == "call.created")
        kinds = [event.type async for event in gateway.events(call=created.call)]
        timeline = await gateway.calls.timeline(created.call)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert (kinds[0], kinds[-1]) == ("call.created", "call.ended")
    assert [e.type for e in seen if e.call == created.call] == [
        kind for kind in kinds if kind.startswith("call.")
    ]
    assert "sip" in {entry.kind for entry in timeline.entries}


async def test_the_command_line_drives_a_call(
    site: Site, browser: Browser, page: PhonePage
) -> None:
    commands = CommandLine(site.gateway.url)
    await drive(commands, "command", site, browser, page)
    shown = await commands.told("top")
    assert site.gateway.url in shown
    assert " ports | " in shown


async def test_the_client_has_every_operation_of_a_node(site: Site) -> None:
    async with GatewayClient(site.gateway.url) as gateway:
        node = await gateway.node.get()
        document: dict[str, Any] = json.loads(await gateway.node.document())
    assert node.state == "ready"
    assert set(described(document)) == {name for name, _ in methods()} | set(LEFT_OUT)

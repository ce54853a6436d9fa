"""`gateway trunks` against a running API."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.calls import pinging
from gateway.client import GatewayClient, Target
from gateway.errors import PEER_UNREACHABLE
from gateway.ports import OptionsReply
from tests.api.steps import until
from tests.cli.conftest import Commands


async def test_trunks_and_how_they_do(commands: Commands) -> None:
    head, *rows = (await commands.good("trunks")).splitlines()
    assert head.split()[:3] == ["name", "address", "state"]
    assert [row.split()[0] for row in rows] == ["carrier", "theirs"]
    assert rows[0].split()[2] == "unknown"
    environment = commands.environment
    stand = commands.clients.stand
    async with GatewayClient(environment["GATEWAY_URL"], environment["GATEWAY_KEY"]) as gateway:
        await gateway.calls.create(Target(trunk="carrier", number="2125550100"), program="echo")
    stand.node.sip.legs[0].ends(PEER_UNREACHABLE)
    await until(lambda: not stand.node.registry.calls)
    row = (await commands.good("trunks")).splitlines()[1]
    assert row.split()[2:6] == ["failing", "0", "0", "1"]
    assert row.endswith("peer_unreachable")
    told = [json.loads(line) for line in (await commands.good("trunks", "--json")).splitlines()]
    assert told[0]["last_failure"]["code"] == "peer_unreachable"


async def test_what_they_answer_when_they_are_asked(commands: Commands) -> None:
    def row(told: str) -> str:
        return told.splitlines()[1]

    assert "not asked" in row(await commands.good("trunks"))
    pings, now = commands.clients.stand.pings, commands.clients.stand.clock.now()
    sent, _ = pinging.tick(pinging.begin(30, now.monotonic, 0), now, 0.5)
    pings["carrier"] = pinging.replied(sent, 1, OptionsReply(200, "OK", 0.0123), now)
    assert row(await commands.good("trunks")).split()[2] == "up"
    assert "200 in 12.3 ms" in row(await commands.good("trunks"))
    assert "1 of 2 trunks are up: theirs unknown" in await commands.good("top")
    silent = OptionsReply(408, "Request Timeout")
    pings["carrier"] = replace(
        sent, reach=pinging.Reach.DOWN, since=now.monotonic, misses=3, last=silent
    )
    assert row(await commands.good("trunks")).split()[2] == "down"
    assert "408, 3 missed" in row(await commands.good("trunks"))
    assert "0 of 2 trunks are up: carrier down, theirs unknown" in await commands.good("top")

"""`gateway trunks` against a running API."""

from __future__ import annotations

import json

from gateway.client import GatewayClient, Target
from gateway.errors import PEER_UNREACHABLE
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

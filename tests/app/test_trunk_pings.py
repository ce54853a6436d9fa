"""A node asks its trunks by OPTIONS: what it tells while a peer goes and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.gateway import Gateway, TrunkTo
from tests.support.options_peer import OptionsPeer, options_peer
from tests.support.processes import wait_until

WITHIN = 12.0  # seconds: three pings of a second, and the machine's slowness


class Site:
    """A gateway that asks one trunk, and what it tells of it."""

    def __init__(self, gateway: Gateway, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self._http = http

    async def trunk(self) -> dict[str, Any]:
        async with self._http.get(f"{self.gateway.url}/v1/trunks/far") as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def becomes(self, state: str) -> dict[str, Any]:
        """Waits for the state; the trunk then."""

        async def there() -> dict[str, Any] | None:
            found = await self.trunk()
            return found if found["state"] == state else None

        found = await wait_until(there, WITHIN, state)
        assert found is not None
        return found

    async def metric(self, name: str) -> float:
        async with self._http.get(f"{self.gateway.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = f'{name}{{trunk="far"}} '
        return next(float(line[len(wanted) :]) for line in lines if line.startswith(wanted))


@asynccontextmanager
async def site(folder: Path, peer: OptionsPeer, **settings: Any) -> AsyncIterator[Site]:
    far = TrunkTo("far", peer.port, settings={"options_interval": 1, **settings})
    async with aiohttp.ClientSession() as http:
        gateway = Gateway(folder, [far])
        await gateway.start()
        try:
            yield Site(gateway, http)
        finally:
            await gateway.stop()
        gateway.assert_clean()


async def test_a_peer_that_goes_is_down_and_up_again_when_it_comes_back(tmp_path: Path) -> None:
    peer = options_peer()
    async with site(tmp_path, peer) as node:
        async with peer.up():
            there = await node.becomes("up")
            asked = there["options"]
            assert (asked["last_status"], asked["last_reason"]) == (200, "OK")
            assert (asked["interval"], asked["misses_in_row"]) == (1, 0)
            assert 0 < asked["rtt_ms"] < 1000
            assert asked["last_answered"] >= asked["last_asked"]
            assert await node.metric("gateway_trunk_up") == 1
            assert 0 < await node.metric("gateway_trunk_options_rtt_seconds") < 1
        gone = await node.becomes("down")
        assert gone["options"]["misses_in_row"] >= 3
        assert gone["options"]["last_status"] == 408
        assert gone["options"]["last_answered"] < gone["options"]["last_asked"]
        assert await node.metric("gateway_trunk_up") == 0
        async with peer.up():
            back = await node.becomes("up")
            assert back["options"]["misses_in_row"] == 0
        log = node.gateway.log
    changes = [line for line in log.splitlines() if "trunk.up" in line or "trunk.down" in line]
    assert len(changes) == 3, changes
    assert "rtt_ms" in changes[0]
    assert "No answer" in changes[1]
    assert log.count("pjsip:") == 0, "one line for each change, and no more"


async def test_a_refusal_of_the_method_is_an_answer_and_503_is_none(tmp_path: Path) -> None:
    peer = options_peer("405 Method Not Allowed")
    async with site(tmp_path, peer) as node, peer.up():
        assert (await node.becomes("up"))["options"]["last_status"] == 405
        peer.status = "503 Service Unavailable"
        down = await node.becomes("down")
        assert down["options"]["last_status"] == 503
        assert down["options"]["last_reason"] == "Service Unavailable"


async def test_a_port_where_nobody_listens_is_down_and_the_node_is_ready(tmp_path: Path) -> None:
    async with site(tmp_path, options_peer(), transport="tcp") as node:
        down = await node.becomes("down")
        assert down["options"]["last_reason"] == "Connection refused"
        assert down["options"]["last_answered"] is None
        assert down["options"]["rtt_ms"] is None
        async with aiohttp.ClientSession() as http, http.get(f"{node.gateway.url}/readyz") as ready:
            assert ready.status == 200
        log = node.gateway.log
    assert log.count("trunk.down") == 1
    assert log.count("pjsip:") == 0, "one line for each change, and no more"

"""Owns a gateway that calls itself by a trunk to its own SIP port; another trunk is down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import yaml

from gateway.legs.webrtc.peer import ProbePeer
from tests.calls.test_programs_live import until
from tests.support.gateway import Gateway
from tests.support.processes import HOST, free_ports

PLAN = """
version: "1"
contexts:
  browser:
    - {match: _60X, name: through, dial: {trunk: loop, number: "${callee}"}}
    - {match: "700", name: nowhere, dial: {trunk: gone, number: "${callee}", ring_timeout: 1}}
  loop:
    - match: _60X
      name: asks
      steps:
        - answer:
        - gather: {question: {text: "Your card number?"}, max_digits: 16, secure: true}
        - echo:
"""


@asynccontextmanager
async def looped(folder: Path, *options: str, **more: Any) -> AsyncIterator[Gateway]:
    """The gateway as a process; `more` of its configuration, and options of `gateway run`."""
    gateway = Gateway(folder)
    gateway.arguments += options
    file = folder / "gateway.yaml"
    config = yaml.safe_load(file.read_text())
    loop = {"name": "loop", "host": HOST, "port": gateway.sip_port, "allow": [f"{HOST}/32"]}
    gone = {"name": "gone", "host": HOST, "port": free_ports()}
    config["sip"]["trunks"] = [loop, gone]
    config["records"] = {"url": "sqlite:///records.sqlite3"}
    file.write_text(yaml.safe_dump(config | more))
    (folder / "dialplan.yaml").write_text(PLAN)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def talk(gateway: Gateway, to: str = "600", **headers: str) -> None:
    """A browser's leg calls through the trunk, is heard, and presses a key; then it goes. headers:
    of its request."""
    peer = ProbePeer()
    try:
        await call(peer, gateway, to, headers)
        peer.start_tone(600)
        await until(lambda: peer.stats.received > 100)
        await peer.send_digits("5", duration_ms=100, gap_ms=100)
        await until(lambda: peer.stats.received > 200)
    finally:
        await peer.close()
    await until(lambda: gateway.log.count("call.ended") == 2)


async def call(
    peer: ProbePeer, gateway: Gateway, to: str, headers: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The browser's leg calls (WHIP); the call's id."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{gateway.url}/v1/webrtc/calls",
            params={"to": to},
            data=await peer.offer(),
            headers={"Content-Type": "application/sdp", **headers},
        ) as response,
    ):
        text = await response.text()
        assert response.status == 201, text
        found = response.headers["Location"].rpartition("/")[2]
    await peer.accept(text)
    return found


async def scraped(gateway: Gateway) -> str:
    """`/metrics` as Prometheus gets it."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{gateway.url}/metrics") as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        return await response.text()

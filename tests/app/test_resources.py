"""The API's resources on a real node: a recorded call through a trunk that is the node itself."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.legs.webrtc.peer import ProbePeer
from tests.calls.test_programs_live import call, until
from tests.support.gateway import Gateway
from tests.support.processes import HOST, wait_until

PLAN = """
version: "1"
contexts:
  browser:
    - match: "600"
      steps:
        - record: {consent: true}
        - dial: {trunk: loop, number: echo}
    - {match: "601", dial: {trunk: dead, number: echo}}
  loop:
    - {match: echo, echo: }
"""


class Client:
    """Asks the node."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        async with self._http.request(method, self._url + path, **more) as response:
            return response.status, await response.read()

    async def get(self, path: str) -> dict[str, Any]:
        status, body = await self.ask("GET", path)
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with records and recordings, one trunk that is itself and one that is nobody."""
    gateway = Gateway(tmp_path)
    file = tmp_path / "gateway.yaml"
    config = yaml.safe_load(file.read_text())
    loop = {"name": "loop", "host": HOST, "port": gateway.sip_port, "allow": [f"{HOST}/32"]}
    dead = {"name": "dead", "host": HOST, "port": 9, "transport": "tcp"}
    config["sip"]["trunks"] = [loop, dead]
    config["records"] = {"url": "sqlite:///records.sqlite3", "node": "here"}
    config["recordings"] = {"folder": "recordings"}
    file.write_text(yaml.safe_dump(config))
    (tmp_path / "dialplan.yaml").write_text(PLAN)
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(http, gateway.url)


async def test_a_call_is_seen_in_every_resource(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    idle = await client.get("/v1/node")
    assert (idle["node"], idle["state"], idle["live_calls"]) == ("here", "ready", 0)
    assert {each["port"] for each in idle["sip"]} == {gateway.sip_port}
    peer = ProbePeer()
    try:
        await call(peer, gateway, "600")
        peer.start_tone(600)
        await until(lambda: peer.stats.received > 50)
        busy = await client.get("/v1/node")
        assert (busy["live_calls"], busy["recordings"]) == (2, 1)
        assert busy["media_clock"]["ticks"] > idle["media_clock"]["ticks"]
        loop = await client.get("/v1/trunks/loop")
        assert (loop["state"], loop["answered"]) == ("up", 1)
        assert loop["live"] == {"incoming": 1, "outgoing": 1}
        [live] = (await client.get("/v1/recordings"))["recordings"]
        assert live["state"] == "recording"
        assert (await client.ask("DELETE", f"/v1/recordings/{live['name']}"))[0] == 409
    finally:
        await peer.close()
    await until(lambda: gateway.log.count("call.ended") == 2)
    await finished(client, live["name"])
    await check_recording(client, live["name"], tmp_path / "recordings")
    await check_records(client, live["call"])
    peer = ProbePeer()
    sdp = {"Content-Type": "application/sdp"}
    path = "/v1/webrtc/calls?to=601"
    assert (await client.ask("POST", path, data=await peer.offer(), headers=sdp))[0] == 201
    await until(lambda: gateway.log.count("call.ended") == 3)
    await peer.close()
    dead = await client.get("/v1/trunks/dead")
    assert (dead["state"], dead["last_failure"]["code"]) == ("failing", "peer_unreachable")
    plan = await client.get("/v1/dialplan")
    assert (plan["source"], plan["file"], plan["rules"]) == (PLAN, "dialplan.yaml", 3)
    gateway.assert_clean()


async def finished(client: Client, name: str) -> None:
    async def whole() -> bool:
        return bool((await client.get(f"/v1/recordings/{name}"))["state"] == "finished")

    await wait_until(whole, 20, "the recording is finished")


async def check_recording(client: Client, name: str, folder: Path) -> None:
    """It can be fetched whole and in part, and deleted."""
    told = await client.get(f"/v1/recordings/{name}")
    path = f"/v1/recordings/{name}/audio"
    status, body = await client.ask("GET", path)
    assert (status, len(body)) == (200, told["bytes"])
    with wave.open(io.BytesIO(body)) as file:
        assert file.getnchannels() == told["channels"] == 2
        assert abs(file.getnframes() / file.getframerate() - told["seconds"]) < 0.01
    assert await client.ask("GET", path, headers={"Range": "bytes=44-99"}) == (206, body[44:100])
    assert (await client.ask("DELETE", f"/v1/recordings/{name}"))[0] == 204
    assert not await asyncio.to_thread(lambda: list(folder.iterdir()))


async def check_records(client: Client, call_id: str) -> None:
    """Both calls are there, as JSON and CSV, until they are deleted."""

    async def records() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.get("/v1/cdrs?state=ended"))["calls"]
        return found

    async def both() -> bool:
        return len(await records()) == 2

    await wait_until(both, 20, "the records are written")
    record = await client.get(f"/v1/cdrs/{call_id}")
    assert (record["callee"], record["recorded"], record["code"]) == ("600", True, "normal")
    _, csv = await client.ask("GET", "/v1/cdrs.csv")
    assert len(csv.splitlines()) == 3
    assert (await client.ask("DELETE", f"/v1/cdrs/{call_id}"))[0] == 204
    assert await client.ask("DELETE", "/v1/cdrs?trunk=loop") == (200, b'{"deleted":1}')
    assert await records() == []

"""Prometheus itself, with the deployed configuration, scrapes a node that wants a key."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.observability.test_scrape import ALERTS, CONFIG
from tests.support.identified import gateway, running, written
from tests.support.processes import HOST, Program, free_ports, wait_until

PATIENCE = 20.0
OF_THE_MACHINE = {"GatewayMediaClockSkips", "GatewayMediaClockLate", "GatewayEventLoopLate"}
"""Alerts about processors that come late: on a machine that others use too, the first seconds may
give them reason to look whether it lasts. test_scrape.py tests them on made-up samples."""


async def key_of(config: str, scope: str) -> str:
    """A new key with one scope."""
    name = scope.partition(":")[0]
    command = ("keys", "create", config, "--name", name, "--scope", scope)
    made = await asyncio.to_thread(gateway, *command)  # it has a loop of its own
    assert made.exit_code == 0, made.stderr
    return re.findall(r"gw_[0-9a-f]{12}_[\w-]+", made.stdout)[0]


def configured(folder: Path, key: str, target: str) -> Path:
    """The deployed files, for this node, this key and no patience."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    [job] = config["scrape_configs"]
    (folder / "gateway.key").write_text(key + "\n")
    job["authorization"]["credentials_file"] = str(folder / "gateway.key")
    job["static_configs"] = [{"targets": [target]}]
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus-alerts.yml").write_text(ALERTS.read_text())
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


async def test_who_may_read_metrics(tmp_path: Path) -> None:
    config = written(tmp_path, trunks=[{"name": "carrier", "host": HOST, "port": free_ports()}])
    async with running(config, tmp_path) as (url, _), aiohttp.ClientSession() as http:

        async def status(headers: dict[str, str]) -> int:
            async with http.get(f"{url}/metrics", headers=headers) as response:
                return response.status

        assert await status({}) == 401
        for scope, expected in (("metrics:read", 200), ("calls:read", 403), ("admin", 200)):
            key = await key_of(config, scope)
            assert await status({"Authorization": f"Bearer {key}"}) == expected
        reader = {"Authorization": f"Bearer {await key_of(config, 'metrics:read')}"}
        async with http.get(f"{url}/v1/calls", headers=reader) as response:
            assert response.status == 403  # and nothing else


@pytest.mark.slow
async def test_prometheus_scrapes_with_a_key_and_loads_the_alerts(tmp_path: Path) -> None:
    trunk = {"name": "carrier", "host": HOST, "port": free_ports(), "options_interval": 0}
    config = written(tmp_path, trunks=[trunk])
    port = free_ports()
    api = f"http://{HOST}:{port}/api/v1"
    async with running(config, tmp_path) as (url, _), aiohttp.ClientSession() as http:
        target = url.removeprefix("http://")
        file = configured(tmp_path, await key_of(config, "metrics:read"), target)
        arguments = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={tmp_path}/tsdb"]
        arguments += [f"--web.listen-address={HOST}:{port}"]

        async def value(query: str) -> float | None:
            try:
                async with http.get(f"{api}/query", params={"query": query}) as response:
                    found = (await response.json())["data"]["result"]
            except (aiohttp.ClientConnectionError, aiohttp.ContentTypeError):
                return None
            return float(found[0]["value"][1]) if found else None

        async def scraped() -> bool:
            return await value('up{job="gateway"}') == 1

        async with Program(arguments, tmp_path, "prometheus") as prometheus:
            await prometheus.ready(scraped, PATIENCE)
            assert await value("gateway_build_info") == 1
            assert await value("gateway_calls_live") == 0

            async def counted() -> bool:
                # Its own scrapes, by the pattern of the route.
                count = 'gateway_http_requests_total{route="/metrics", status="200"}'
                return (await value(count) or 0) >= 2

            await wait_until(counted, PATIENCE, "scrapes are counted")
            async with http.get(f"{api}/rules") as response:
                [group] = (await response.json())["data"]["groups"]
            assert len(group["rules"]) == 15
            assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
            states = {rule["name"]: rule["state"] for rule in group["rules"]}
            assert states.keys() >= OF_THE_MACHINE
            assert {name for name, state in states.items() if state == "firing"} == set()
            alarms = {name for name, state in states.items() if state != "inactive"}
            assert alarms <= OF_THE_MACHINE

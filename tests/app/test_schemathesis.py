"""schemathesis, which knows the OpenAPI document and nothing else, finds nothing wrong."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.identified import SECRET, gateway, running, written

pytestmark = pytest.mark.slow

RULES = """
# 422: what the schema allows and yet cannot be, such as an Idempotency-Key of another request.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "501"]
"""
CARRIER = {"name": "carrier", "host": "127.0.0.1", "port": 9}
STREAMS = ("streamEvents", "streamEventsOverWebSocket")
"""Answers without an end."""
EXAMPLES = 10
PATIENCE = 400.0


async def test_it_finds_nothing_wrong(tmp_path: Path) -> None:
    config = _unhurried(written(tmp_path, trunks=[CARRIER]))
    wanted = ("keys", "create", config, "--name", "crm", "--scope", "admin")
    made = await asyncio.to_thread(gateway, *wanted)
    key = re.search(r"gw_[0-9a-f]{12}_[\w-]+", made.output)
    assert key is not None, made.output
    rules = tmp_path / "schemathesis.toml"
    rules.write_text(RULES)
    async with running(config, tmp_path) as (url, node):
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(rules), "run", f"{url}/v1/openapi.json",
            "--header", f"Authorization: Bearer {key[0]}",
            "--max-examples", str(EXAMPLES), "--checks", "all", "--continue-on-failure",
            "--seed", "1", "--generation-database", "none", "--no-color", "--warnings", "off",
            *(f"--exclude-operation-id={name}" for name in STREAMS),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()[-12_000:]
        assert "Traceback" not in node.log
    assert SECRET not in told.decode()


def _unhurried(config: str) -> str:
    """The same node, which lets one client ask as often as it likes."""
    path = Path(config)
    node = json.loads(path.read_text())
    node["recordings"] = {"folder": "recordings"}
    node["http"] |= {"requests_per_second": 10_000, "burst": 100_000}
    path.write_text(json.dumps(node))
    return config

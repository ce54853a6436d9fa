"""Records of real calls: a browser through a SIP trunk, its audio's quality, and the command."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.legs.webrtc.peer import ProbePeer
from tests.calls.test_programs_live import call, until
from tests.support.gateway import Gateway
from tests.support.processes import HOST

PLAN = """
version: "1"
contexts:
  browser:
    - {match: "600", name: through, dial: {trunk: loop, number: echo}}
    - {match: echo, echo: }
  loop:
    - {match: echo, echo: }
"""


def command(config: Path, *options: str) -> Result:
    """`gateway cdr`."""
    return CliRunner().invoke(app, ["cdr", str(config), *options])


def listed(config: Path, *options: str) -> list[dict[str, Any]]:
    done = command(config, "--json", *options)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with records in a file, whose trunk is itself."""
    gateway = Gateway(tmp_path)
    config = yaml.safe_load((tmp_path / "gateway.yaml").read_text())
    loop = {"name": "loop", "host": HOST, "port": gateway.sip_port, "allow": [f"{HOST}/32"]}
    config["sip"]["trunks"] = [loop]
    config["records"] = {"url": "sqlite:///records.sqlite3"}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "dialplan.yaml").write_text(PLAN)
    await gateway.start()
    yield gateway
    await gateway.stop()


async def test_records_of_a_call_through_a_trunk(gateway: Gateway, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    peer = ProbePeer()
    try:
        await call(peer, gateway, "600")
        peer.start_tone(600)
        await until(lambda: peer.stats.received > 50)
        await peer.send_digits("5", duration_ms=100, gap_ms=100)
        await until(lambda: len(peer.received_digits) == 1)
        await asyncio.to_thread(command, config)  # the database is not the node's alone
    finally:
        await peer.close()
    await until(lambda: gateway.log.count("call.ended") == 2)
    await gateway.stop()
    gateway.assert_clean()
    await asyncio.to_thread(check, config)


def check(config: Path) -> None:
    """What the records of that call are, and how the command shows them."""
    outer, inner = sorted(listed(config), key=lambda found: found["context"])
    assert (outer["context"], inner["context"]) == ("browser", "loop")
    assert (outer["rule"], outer["callee"], inner["trunk"]) == (
        "browser[1] through",
        "600",
        "loop",
    )
    assert (inner["program"], inner["dtmf_received"]) == ("echo", 1)
    for record in (outer, inner):
        assert (record["state"], record["code"]) == ("ended", "normal")
        assert (record["hung_up_by"], record["blame"]) == ("caller", "nobody")
        assert 1_000 < record["talk_ms"] <= record["duration_ms"] < 20_000
        for leg in record["legs"]:
            assert leg["quality"]["rx_packets"] > 50
            assert leg["quality"]["tx_packets"] > 50
            assert 3.5 < leg["quality"]["mos"] <= 4.5
    browser, trunk = outer["legs"]
    assert (browser["kind"], browser["quality"]["codec"]) == ("webrtc", "opus/48000")
    assert (trunk["kind"], trunk["quality"]["codec"]) == ("sip", "pcmu/8000")
    assert (trunk["trunk"], trunk["number"]) == ("loop", "echo")

    rows = list(csv.DictReader(io.StringIO(command(config, "--csv").stdout)))
    assert {row["id"] for row in rows} == {outer["id"], inner["id"]}
    assert float(rows[0]["caller_mos"]) > 3.5
    assert "through" not in command(config).stdout
    assert "echo" in command(config).stdout
    assert len(listed(config, "--limit", "1")) == 1
    assert listed(config, "--since", "2099-01-01") == []
    assert listed(config, "--project", "another") == []


def test_what_the_command_says_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("demo: true\ndialplan: plan.yaml\n")
    assert "in memory" in command(config).stderr
    config.write_text("dialplan: plan.yaml\nrecords: {url: mysql://x}\n")
    assert "gateway.yaml:2" in command(config).stderr
    config.write_text("dialplan: plan.yaml\nrecords: {url: 'sqlite:////nowhere/x.sqlite3'}\n")
    failed = command(config)
    assert (failed.exit_code, "did the node run?" in failed.stderr) == (1, True)
    assert "Traceback" not in failed.stderr

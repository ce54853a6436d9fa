"""Records of real calls: a browser through a SIP trunk, its audio's quality, and the command."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.app.records import Records, open_database
from gateway.cli.main import app
from gateway.config.document import parse_document
from gateway.config.loader import config_from
from gateway.config.model import NumbersKept, RecordsConfig
from gateway.legs.webrtc.peer import ProbePeer
from gateway.storage.event_log import EventLog
from gateway.storage.queries import Filters, list_calls
from gateway.testing import ManualClock
from tests.calls.test_programs_live import call, until
from tests.storage.calls import begin, whole
from tests.support.gateway import Gateway
from tests.support.processes import HOST, wait_until

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


async def test_a_nodes_settings_are_obeyed(tmp_path: Path) -> None:
    """Old records go when the node starts, and numbers are masked."""
    settings = RecordsConfig(keep_days=30, numbers=NumbersKept.MASK, node="n-1")
    clock = ManualClock()
    log = EventLog(clock)
    before = Records(settings, tmp_path, log, clock)
    await before.start()
    whole(log, "c-old")
    begin(log, "c-live")
    await before.stop()
    clock.advance(31 * 24 * 3600)
    log = EventLog(clock)
    after = Records(settings, tmp_path, log, clock)
    await after.start()
    try:

        async def purged() -> bool:
            return not (await list_calls(after.database, Filters())).records

        await wait_until(purged, 5, "the old ones are gone")
        whole(log, "c-new")
    finally:
        await after.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as stored:
        rows = stored.execute("SELECT id, node, caller FROM call_records").fetchall()
    assert rows == [("c-new", "n-1", "+1415555xxxx")]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("demo: true", "sqlite://"),
        ("demo: false", "sqlite:///gateway.sqlite3"),
        ("demo: true\nrecords: {keep_days: 3}", "sqlite:///gateway.sqlite3"),
        ("records: {url: 'postgresql://a@b/c', password: '${ENV:PW}'}", "postgresql://a@b/c"),
    ],
)
def test_where_records_are_kept(text: str, url: str) -> None:
    document = parse_document(f"dialplan: plan.yaml\n{text}\n")
    config = config_from(document, {"PW": "s3cret"}).kept_records
    assert config.url == url
    assert "s3cret" not in str(open_database(config, Path("/folder")))

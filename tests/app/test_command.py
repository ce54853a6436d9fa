"""The `gateway` command as a user types it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def gateway(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("bridge", [8000, 16000, 48000])
def test_selftest_holds_at_every_bridge_rate(bridge: int) -> None:
    done = gateway("selftest", "--json", "--bridge", str(bridge))
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["problems"] == []
    assert report["ok"]
    assert done.returncode == 0
    digits = report["digits"]
    assert len(digits) == 96
    assert {d["sent_ms"] for d in digits} >= {40, 100, 500}
    assert len({(d["direction"], d["digit"]) for d in digits}) == 32
    assert all(abs(d["received_ms"] - d["sent_ms"]) <= 20 and d["ok"] for d in digits)
    assert report["lost_percent"] == 0
    assert 0 < report["setup_ms"] < 10_000
    assert 0 < report["round_trip_ms"] < 1000


@pytest.mark.parametrize("name", ["demo", "gateway"])
def test_check_accepts_the_shipped_configurations(name: str) -> None:
    done = gateway("check", f"config/{name}.yaml", PROVIDER_PASSWORD="secret")
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid" in done.stdout


def test_check_locates_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("contexts:\n  browser:\n    - match: echo\n      dail: x\n")
    config = tmp_path / "node.yaml"
    config.write_text("demo: true\ndialplan: plan.yaml\nhttp:\n  port: seventy\n")
    done = gateway("check", str(config))
    assert done.returncode == 1
    assert f"{config}:4:9: http.port" in done.stderr or f"{config}:4:9:" in done.stderr
    config.write_text("demo: true\ndialplan: plan.yaml\n")
    done = gateway("check", str(config))
    assert done.returncode == 1
    assert f"{tmp_path / 'plan.yaml'}:4:7:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("contexts: {}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = tmp_path / "node.yaml"
        config.write_text(
            f"demo: true\ndialplan: plan.yaml\nhttp: {{port: {port}}}\n"
            "sip: {listen: [{transport: udp, port: 0}]}\n"
        )
        done = gateway("run", str(config))
    assert done.returncode == 1
    assert f"cannot listen on http://127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_option_is_refused() -> None:
    done = gateway("selftest", "--bridge", "44100")
    assert done.returncode == 2
    assert "8000, 16000 or 48000" in done.stderr

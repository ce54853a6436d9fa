"""`gateway dialplan` as a user types it, and the pytest plugin as pytest runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "gateway.testing.pytest_plugin"
PLAN = """
zone: Europe/Berlin
contexts:
  browser:
    numbers: {country: DE}
    rules:
      - {name: night, match: _+., time: {hours: 20:00-06:00}, reject: {status: 480}}
      - {name: gold, match: _+., headers: {X-Tier: gold}, vars: {a: b}, echo: }
      - {name: day, match: _+., dial: {trunk: t, number: "${callee}"}, ring_timeout: 9}
  t: [{name: in, match: _., dial: {user: alice}}]
"""
CASES = """
cases:
  - {name: by day, callee: "030123456", time: 2026-12-24T10:00, expect: {rule: day}}
  - {name: by night, callee: "030123456", time: 2026-12-24T21:00, expect: {rule: day}}
"""


def dialplan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["dialplan", *map(str, arguments)])


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    return file


def test_explain_tells_rule_by_rule(plan: Path) -> None:
    done = dialplan(
        "explain",
        "--plan",
        plan,
        "--from",
        "alice",
        "--to",
        "030123456",
        "--at",
        "2026-12-24T18:00",
    )
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "callee   +4930123456",
        "caller   alice",
        "context  browser",
        "  - browser[1] night: time: outside the hours",
        "  - browser[2] gold: no header x-tier",
        "  + browser[3] day: matches",
        "rule     browser[3] day",
        "step     dial: {trunk: t, number: +4930123456, caller: alice}",
        "rings    9 s at most",
    ]


def test_explain_takes_the_plans_zone_headers_variables_and_origins(plan: Path) -> None:
    night = dialplan("explain", "--plan", plan, "--to", "+4930123", "--at", "2026-12-24T20:30")
    assert "refused  480 no_answer" in night.stdout
    utc = dialplan("explain", "--plan", plan, "--to", "+4930123", "--at", "2026-12-24T18:30Z")
    assert "rule     browser[3] day" in utc.stdout
    gold = dialplan(
        "explain", "--plan", plan, "--to", "+4930123", "--at", "2026-12-24T12:00",
        "--header", "x-tier=gold", "--var", "a=b",
    )  # fmt: skip
    assert "rule     browser[2] gold" in gold.stdout
    assert "step     echo:" in gold.stdout
    trunk = dialplan("explain", "--plan", plan, "--to", "1", "--trunk", "t")
    assert "step     dial: {user: alice}" in trunk.stdout
    nobody = dialplan("explain", "--plan", plan, "--to", "1", "--key", "crm")
    assert "no context 'crm' in the dialplan" in nobody.stdout
    forced = dialplan("explain", "--plan", plan, "--to", "1", "--key", "crm", "--context", "t")
    assert "rule     t[1] in" in forced.stdout


def test_explain_speaks_json(plan: Path) -> None:
    done = dialplan(
        "explain", "--plan", plan, "--to", "030123456", "--at", "2026-12-24T18:00", "--json"
    )
    told = json.loads(done.stdout)
    assert told["rule"] == "browser[3] day"
    assert told["callee"] == "+4930123456"
    assert told["steps"] == [{"dial": {"trunk": "t", "number": "+4930123456"}}]
    assert told["looked_at"][0] == {
        "rule": "browser[1] night",
        "matched": False,
        "reason": "time: outside the hours",
    }
    assert told["refused"] is None
    assert told["ring_timeout"] == 9


def test_mistakes_are_told_in_words(plan: Path, tmp_path: Path) -> None:
    assert dialplan("explain", "--plan", plan, "--to", "1", "--at", "noon").exit_code == 2
    assert dialplan("explain", "--plan", plan, "--to", "1", "--header", "gold").exit_code == 2
    plan.write_text("contexts:\n  browser: [{match: a, ecco: }]\n")
    done = dialplan("explain", "--plan", plan, "--to", "1")
    assert done.exit_code == 1
    assert f"{plan}:2:24: unknown key 'ecco' (did you mean 'echo'?)" in done.stderr
    done = dialplan("test", tmp_path)
    assert done.exit_code == 1
    assert "name them *.cases.yaml" in done.stderr


def test_test_runs_cases_and_fails_with_what_differs(plan: Path) -> None:
    cases = plan.with_suffix(".cases.yaml")
    cases.write_text(CASES)
    done = dialplan("test", plan.parent)
    assert done.exit_code == 1
    assert f"ok      {cases}:3: by day" in done.stdout
    assert f"FAILED  {cases}:4: by night" in done.stdout
    assert "rule: expected 'day', got 'browser[1] night'" in done.stdout
    assert f"{plan}: 2 of 4 rules reached, 50 %" in done.stdout
    assert "not reached: t[1] in" in done.stdout
    assert done.stdout.endswith("1 passed, 1 failed\n")


def test_a_call_that_was_tried_out_is_told_to_its_end(tmp_path: Path) -> None:
    plan = tmp_path / "menu.yaml"
    plan.write_text(
        "contexts:\n  browser:\n    - match: _.\n      steps:\n"
        "        - gather: {question: Well?, max_digits: 1}\n"
        "        - dial: {targets: [{user: a}, {trunk: t, number: '7${vars.digits}'}]}\n"
        "        - say: Sorry, ${vars.dial_status}.\n"
    )
    plan.with_suffix(".cases.yaml").write_text(
        "cases:\n  - {name: busy, callee: '1', digits: '5', answers: {user:a: 486, trunk:t: 503},"
        " expect: {dialled: [user:a], cause: busy}}\n"
    )
    done = dialplan("test", tmp_path)
    assert done.exit_code == 1
    assert [line.strip() for line in done.stdout.splitlines()[1:3]] == [
        "dialled: expected ['user:a'], got ['user:a', 'trunk:t/75']",
        "cause: expected 'busy', got 200 normal",
    ]
    assert "did      dial: {targets: [{user: a}, {trunk: t, number: 75}]}" in done.stdout
    assert "did      say: Sorry, busy." in done.stdout
    assert "called   trunk:t/75" in done.stdout
    assert "ended    200 normal: The script ended" in done.stdout


def test_coverage_can_be_asked_for(plan: Path) -> None:
    cases = plan.with_suffix(".cases.yaml")
    cases.write_text(CASES.replace("T21:00", "T11:00"))
    assert dialplan("test", cases).exit_code == 0
    assert dialplan("test", cases, "--cover", "20").exit_code == 0
    assert dialplan("test", cases, "--cover", "100").exit_code == 1


def test_schema_and_reference_are_printed() -> None:
    assert json.loads(dialplan("schema").stdout)["title"] == "Dialplan"
    assert json.loads(dialplan("schema", "cases").stdout)["title"] == "Dialplan cases"
    assert "### A plan" in dialplan("reference").stdout


def test_pytest_collects_cases(plan: Path) -> None:
    plan.with_suffix(".cases.yaml").write_text(CASES)
    (plan.parent / "bad.cases.yaml").write_text("cases:\n  - {name: x}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            PLUGIN,
            "--continue-on-collection-errors",
            "-v",
            ".",
        ],
        cwd=plan.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plan.cases.yaml::by day PASSED" in done.stdout
    assert "plan.cases.yaml::by night FAILED" in done.stdout
    assert "rule: expected 'day', got 'browser[1] night'" in done.stdout
    assert "bad.cases.yaml:2:5: 'callee' is missing" in done.stdout
    assert "Traceback" not in done.stdout
    assert "1 failed, 1 passed, 1 error" in done.stdout


def test_pytest_finds_the_plugin_by_itself_once_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}

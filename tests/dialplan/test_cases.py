"""Dialplan tests: what a case may expect, how it fails, and which rules were reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.document import ConfigError
from gateway.testing.cases import coverage, find, load, run_all

ROOT = Path(__file__).resolve().parents[2]
PLAN = """
zone: Europe/Berlin
emergency: {numbers: "112", trunk: t}
contexts:
  browser:
    numbers: {country: DE}
    rules:
      - {name: gold, headers: {X-Tier: gold}, dial: {user: vip}, ring_timeout: 5}
      - {name: day, match: _+., time: {hours: 09:00-18:00}, set: {a: "${callee:3}"},
         dial: {trunk: t, number: "${callee}"}}
      - {name: fax, vars: {kind: fax}, reject: {status: 488}}
  t: [{name: in, match: _., echo: }]
"""


def outcome(folder: Path, case: str, plan: str = PLAN) -> list[str]:
    """What is wrong with one case."""
    (folder / "p.yaml").write_text(plan)
    file = folder / "p.cases.yaml"
    file.write_text(f"cases:\n  - {{name: it, {case}}}\n")
    (result,) = run_all(load(file))
    return list(result.failures)


@pytest.mark.parametrize(
    "case",
    [
        "callee: 030123456, time: 2026-11-24T10:00, expect: {rule: day, callee: '+4930123456'}",
        "callee: 030123456, time: 2026-11-24T10:00, expect: {rule: 'browser[2] day'}",
        "callee: 030123456, time: '2026-11-24T09:00Z', expect: {vars: {a: '30123456'}}",
        "callee: 030123456, time: 2026-11-24T08:00, expect: {refused: {status: 404}}",
        "callee: 1, headers: {X-Tier: gold}, expect: {steps: [dial: {user: vip}], ring_timeout: 5}",
        "callee: 1, vars: {kind: fax}, expect: {refused: {status: 488, code: no_common_codec}}",
        "callee: 1, vars: {kind: fax}, expect: {steps: [reject: {status: 488}]}",
        "callee: 1, trunk: t, caller: 030123456, expect: {steps: [echo: ], caller: 030123456}",
        "callee: 1, context: t, caller: 030123456, expect: {rule: in}",
        "callee: 112, expect: {rule: emergency, steps: [dial: {trunk: t, number: 112}]}",
        "callee: 1, key: nobody, expect: {refused: {}}",
    ],
)
def test_cases_that_hold(tmp_path: Path, case: str) -> None:
    assert outcome(tmp_path, case) == []


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        ("callee: 112, expect: {rule: day}", "rule: expected 'day', got 'emergency'"),
        ("callee: 1, trunk: t, expect: {rule: i}", "rule: expected 'i', got 't[1] in'"),
        ("callee: 1, expect: {callee: '2'}", "callee: expected '2', got '1'"),
        ("callee: 1, caller: a, expect: {caller: b}", "caller: expected 'b', got 'a'"),
        ("callee: 1, trunk: t, expect: {steps: [ivr: ]}",
         "steps: expected [{'ivr': {}}], got [{'echo': {}}]"),
        ("callee: 1, trunk: t, expect: {refused: {}}", "refused: expected, but the call goes on"),
        ("callee: 1, expect: {refused: {status: 403}}", "refused status: expected 403, got 404"),
        ("callee: 1, expect: {refused: {code: busy}}",
         "refused code: expected 'busy', got 'not_found'"),
        ("callee: 1, expect: {callee: '1'}", "refused: 404 not_found, which is not expected"),
        ("callee: 1, trunk: t, expect: {ring_timeout: 5}", "ring_timeout: expected 5, got None"),
        ("callee: 1, trunk: t, expect: {vars: {a: b}}", "vars a: expected 'b', got None"),
    ],
)  # fmt: skip
def test_cases_that_do_not_hold_say_what_differs(tmp_path: Path, case: str, failure: str) -> None:
    assert failure in outcome(tmp_path, case)


@pytest.mark.parametrize(
    ("case", "place", "message"),
    [
        ("callee: 1, expcet: {}", "2:27", "unknown key 'expcet' (did you mean 'expect'?)"),
        ("callee: 1", "2:5", "'expect' is missing"),
        ("callee: 1, expect: {}", "2:27", "nothing is expected"),
        ("callee: 1, answers: {bob: 486}, expect: {rule: a}", "2:42", "no target"),
        ("callee: 1, answers: {user:b: 200}, expect: {rule: a}", "2:45", "no answer"),
        ("callee: 1, http: [[{jump: a}]], expect: {rule: a}", "2:34", "no verbs (no verb 'jump'"),
        ("callee: 1, digits: ['1', x], expect: {rule: a}", "2:41", "no keys"),
        ("callee: 1, expect: {verbs: echo}", "2:43", "write a list"),
        ("callee: 1, time: noon, expect: {rule: a}", "2:33", "no time"),
        ("callee: 1, trunk: t, key: k, expect: {rule: a}", "2:5", "a trunk and a key"),
    ],
)
def test_cases_that_cannot_be_read_are_located(
    tmp_path: Path, case: str, place: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        outcome(tmp_path, case)
    told = [str(problem) for problem in refused.value.problems]
    assert any(f"p.cases.yaml:{place}: " in line and message in line for line in told), told


def test_a_plan_that_is_not_there_or_not_good_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'nope'"):
        outcome(tmp_path, "callee: 1, expect: {rule: a}", "nope: 1\ncontexts: {}\n")
    (tmp_path / "p.yaml").unlink()
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "p.cases.yaml")


def test_several_files_may_test_one_plan(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PLAN)
    for name, case in (("day", "callee: 1, trunk: t"), ("night", "callee: 112")):
        (tmp_path / f"{name}.cases.yaml").write_text(
            f"plan: p.yaml\ncases: [{{name: it, {case}, expect: {{refused: {{}}}}}}]\n"
        )
    runs = [(suite, run_all(suite)) for suite in map(load, find(tmp_path))]
    (found,) = coverage(runs)
    assert found.rules[0] == "emergency"
    assert found.missed == ("browser[1] gold", "browser[2] day", "browser[3] fax")
    assert found.percent == 40


def test_a_directory_without_cases_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no files of dialplan cases"):
        find(tmp_path)


# ---- what ships -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan", [p for p in (ROOT / "dialplans").glob("*.yaml") if ".cases" not in p.name],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_every_example_has_cases_that_hold_and_reach_every_rule(plan: Path) -> None:
    suite = load(plan.with_suffix(".cases.yaml"))
    results = run_all(suite)
    assert [(r.case.case.name, r.failures) for r in results if r.failures] == []
    (found,) = coverage([(suite, results)])
    assert found.missed == ()

"""What is generated from the models: schemas agree with the reader, the reference is current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.config.loader import read_plan
from gateway.dialplan import plan_from
from gateway.dialplan.reference import reference
from gateway.dialplan.schema import cases_schema, plan_schema
from gateway.dialplan.steps import SHORT, Step
from gateway.testing.cases import load, run_all
from gateway.verbs import MODELS
from tests.dialplan import test_contexts, test_dialling, test_policy, test_steps, test_times
from tests.dialplan.plans import problems

ROOT = Path(__file__).resolve().parents[2]


def errors(schema: dict[str, Any], text: str) -> list[str]:
    """What an editor would underline. It reads YAML 1.1 with types, as editors do."""
    value = json.loads(json.dumps(yaml.safe_load(text), default=str))
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def test_the_schemas_are_schemas() -> None:
    for schema in (plan_schema(), cases_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", sorted((ROOT / "dialplans").glob("*.yaml")), ids=str)
def test_what_ships_pleases_editors(file: Path) -> None:
    schema = cases_schema() if file.name.endswith(".cases.yaml") else plan_schema()
    assert errors(schema, file.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        test_contexts.ENTRY,
        test_contexts.INCLUDE,
        test_contexts.GOTO,
        test_policy.TRUNK,
        test_policy.EMERGENCY,
        test_times.PLAN.format(time="office"),
        "version: 1\ncontexts: {browser: }\n",
        test_steps.EVERY_VERB,
        test_steps.FILLED_IN,
        test_dialling.COSTS,
    ],
)
def test_what_the_gateway_takes_the_schema_takes(text: str) -> None:
    assert errors(plan_schema(), text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "contexts: {browser: [{match: a, ecco: }]}",
        "contexts: {browser: [{match: a, dial: {trunk: t, nummer: 1}}]}",
        "contexts: {browser: [{match: a, reject: {status: 200}}]}",
        "contexts: {browser: [{match: a, steps: [{jump: x}]}]}",
        "contexts: {browser: [{match: a, steps: [{pause: soon}]}]}",
        "contexts: {browser: [{match: a, steps: [{pause: 1, answer: }]}]}",
        "contexts: {browser: [{match: a, steps: [{say: {text: a, loud: '${vars.x}'}}]}]}",
        "contexts: {browser: [{match: a, steps: [{play: {file: a.wav, loop: -1}}]}]}",
        "contexts: {browser: [{match: a, dial: {trunk: t, number: 1, strategy: all}}]}",
        "contexts: {browser: [{match: a, goto: '${vars.next}'}]}",
        "contexts: {browser: [{match: a, callee: {type: moble}, echo: }]}",
        "contexts: {'a b': []}\nx: 1",
    ],
)
def test_what_the_schema_refuses_the_gateway_refuses(text: str) -> None:
    assert errors(plan_schema(), text)
    assert problems(text)


def test_every_verb_can_stand_in_a_list_of_steps_and_the_short_ones_in_a_rule() -> None:
    definitions = plan_schema()["$defs"]
    assert MODELS.keys() | {"echo", "ivr", "app", "include"} == Step.model_fields.keys()
    assert definitions["Step"]["properties"].keys() == Step.model_fields.keys()
    assert definitions["Rule"]["properties"].keys() >= set(SHORT)


def test_the_reference_on_the_page_is_current() -> None:
    page = (ROOT / "docs" / "dialplan.md").read_text()
    _, begin, rest = page.partition("<!-- reference:begin -->\n")
    shown, end, _ = rest.partition("<!-- reference:end -->\n")
    assert begin
    assert end
    assert shown == reference(), "run: gateway dialplan reference, and paste it"


def test_the_tutorials_plans_are_good_and_its_cases_hold(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "dialplan.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    plans = [block for block in blocks if "contexts:" in block]
    assert len(plans) >= 5
    file, tried = tmp_path / "office.yaml", 0
    for block in blocks:
        if "contexts:" in block:
            file.write_text(block)
            plan_from(read_plan(file))
            assert errors(plan_schema(), block) == []
        elif "cases:" in block:  # of the plan above it
            (tmp_path / "office.cases.yaml").write_text(block)
            assert errors(cases_schema(), block) == []
            results = run_all(load(tmp_path / "office.cases.yaml"))
            assert [failure for result in results for failure in result.failures] == []
            tried += len(results)
    assert tried == 5

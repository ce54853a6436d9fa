"""Owns the reference in docs/dialplan.md: every field of plans and cases, from the models. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialplan.cases import CaseFile
from gateway.dialplan.model import PlanFile
from gateway.verbs import MODELS
from gateway.verbs.tables import Schema, Tables, object_of

_PLAN_ORDER = (
    "Rule", "NumberTest", "ValueTest", "Window", "Context", "Numbers", "Callers", "Destinations",
    "Selection", "Entry", "Trunk", "Emergency",
)  # fmt: skip
_CASES_ORDER = ("Case", "Expect", "Refused")
_NAMED = {"NumberType": "type of number", "Nothing": "nothing"}


def reference() -> str:
    """Every field that a plan or a file of cases may have, in Markdown."""
    lines = [*_of_plan(PlanFile.model_json_schema()), *_of_cases(CaseFile.model_json_schema())]
    return "\n".join(lines).rstrip() + "\n"


def _of_plan(schema: Schema) -> Iterator[str]:
    tables = Tables(schema["$defs"], _NAMED)
    yield from tables.section("### A plan", schema)
    for name in _PLAN_ORDER:
        yield from tables.section(f"#### {name}", schema["$defs"][name])
    types = schema["$defs"]["NumberType"]["enum"]
    yield "Types of numbers:"
    yield from (f"`{kind}`{',' if kind != types[-1] else '.'}" for kind in types)
    yield ""
    yield from _steps(tables, schema["$defs"])
    for model in MODELS.values():
        if model.model_fields and model.verb != "set":
            of_model = schema["$defs"][model.__name__]
            yield from tables.section(f"#### {model.__name__}", of_model)
            if model.short is not None:
                yield f"`{model.verb}: value` alone gives `{model.short}`."
                yield ""
    yield from tables.section("#### Target", schema["$defs"]["Target"])


def _of_cases(schema: Schema) -> Iterator[str]:
    tables = Tables(schema["$defs"], _NAMED)
    yield from tables.section("### A file of cases", schema)
    for name in _CASES_ORDER:
        yield from tables.section(f"#### {name}", schema["$defs"][name])


def _steps(tables: Tables, definitions: Schema) -> Iterator[str]:
    """All steps in one table."""
    yield "#### Step"
    yield ""
    yield "One verb, with its parameters; every text of them may hold `${...}`."
    yield ""
    yield "| step | value | meaning |"
    yield "| --- | --- | --- |"
    for verb, told in definitions["Step"]["properties"].items():
        name = str(told.get("$ref", "")).rpartition("/")[2]
        meaning = told.get("description")
        if meaning is None:
            meaning = object_of(definitions[name])["description"].partition("\n\n")[0]
        one_line = meaning.replace("\n", " ").replace("|", "\\|")
        yield f"| `{verb}` | {tables.value(told)} | {one_line} |"
    yield ""

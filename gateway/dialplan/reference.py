"""Owns the reference in docs/dialplan.md: every field of plans and cases, from the models. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.dialplan.cases import CaseFile
from gateway.dialplan.model import PlanFile
from gateway.verbs import MODELS

_PLAN_ORDER = (
    "Rule", "NumberTest", "ValueTest", "Window", "Context", "Numbers", "Callers", "Destinations",
    "Selection", "Entry", "Trunk", "Emergency",
)  # fmt: skip
_CASES_ORDER = ("Case", "Expect", "Refused")
_TITLES = {"PlanFile": "A plan", "CaseFile": "A file of cases"}
_WORDS = {"string": "text", "null": "nothing", "integer": "whole number"}

Schema = dict[str, Any]


def reference() -> str:
    """Every field that a plan or a file of cases may have, in Markdown."""
    lines = [*_of_plan(PlanFile.model_json_schema()), *_of_cases(CaseFile.model_json_schema())]
    return "\n".join(lines).rstrip() + "\n"


def _of_plan(schema: Schema) -> Iterator[str]:
    tables = _Tables(schema["$defs"])
    yield from tables.section("PlanFile", schema)
    for name in _PLAN_ORDER:
        yield from tables.section(name, schema["$defs"][name])
    types = schema["$defs"]["NumberType"]["enum"]
    yield "Types of numbers:"
    yield from (f"`{kind}`{',' if kind != types[-1] else '.'}" for kind in types)
    yield ""
    yield from tables.steps()
    for model in MODELS.values():
        if model.model_fields and model.verb != "set":
            yield from tables.section(model.__name__, schema["$defs"][model.__name__])
            if model.short is not None:
                yield f"`{model.verb}: value` alone gives `{model.short}`."
                yield ""
    yield from tables.section("Target", schema["$defs"]["Target"])


def _of_cases(schema: Schema) -> Iterator[str]:
    tables = _Tables(schema["$defs"])
    yield from tables.section("CaseFile", schema)
    for name in _CASES_ORDER:
        yield from tables.section(name, schema["$defs"][name])


class _Tables:
    """Tables of models that refer to each other."""

    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions

    def section(self, name: str, schema: Schema) -> Iterator[str]:
        """A model with its fields."""
        told = _object(schema)
        yield f"{'###' if name in _TITLES else '####'} {_TITLES.get(name, name)}"
        yield ""
        yield told.get("description", "").replace("\n\n", " ").replace("\n", " ")
        yield ""
        yield "| field | value | default | meaning |"
        yield "| --- | --- | --- | --- |"
        required = told.get("required", [])
        for field, of_field in told["properties"].items():
            default = "required" if field in required else _default(of_field.get("default"))
            meaning = of_field.get("description", "").replace("\n", " ").replace("|", "\\|")
            yield f"| `{field}` | {self._value(of_field)} | {default} | {meaning} |"
        yield ""

    def steps(self) -> Iterator[str]:
        """All steps in one table."""
        yield "#### Step"
        yield ""
        yield "One verb, with its parameters; every text of them may hold `${...}`."
        yield ""
        yield "| step | value | meaning |"
        yield "| --- | --- | --- |"
        for verb, told in self._definitions["Step"]["properties"].items():
            name = str(told.get("$ref", "")).rpartition("/")[2]
            meaning = told.get("description")
            if meaning is None:
                meaning = _object(self._definitions[name])["description"].partition("\n\n")[0]
            one_line = meaning.replace("\n", " ").replace("|", "\\|")
            yield f"| `{verb}` | {self._value(told)} | {one_line} |"
        yield ""

    def _value(self, told: Schema) -> str:
        """What may stand there, in a few words."""
        if "$ref" in told:
            return self._named(str(told["$ref"]).rpartition("/")[2])
        if "allOf" in told:
            return self._value(told["allOf"][0])
        for union in ("anyOf", "oneOf"):
            if union in told:
                members = dict.fromkeys(map(self._value, told[union]))
                members.pop("nothing", None)
                return " or ".join(members) or "nothing"
        if "enum" in told or "const" in told:
            return ", ".join(f"`{value}`" for value in told.get("enum", [told.get("const")]))
        if told.get("type") == "array":
            return f"list of {self._value(told['items'])}"
        if told.get("type") == "object":
            inside = told.get("additionalProperties") or next(
                iter(told.get("patternProperties", {}).values()), None
            )
            return f"by name: {self._value(inside)}" if isinstance(inside, dict) else "mapping"
        examples = ", ".join(f"`{example}`" for example in told.get("examples", []))
        written = str(told.get("type", "anything"))
        kind = _WORDS.get(written, written)
        return f"{kind} ({examples})" if examples else kind

    def _named(self, name: str) -> str:
        known = {"NumberType": "type of number", "Nothing": "nothing"}
        told = self._definitions[name]
        if name in known:
            return known[name]
        if "enum" in told:
            return self._value(told)
        return f"[{name}](#{name.lower()})" if _object(told)["properties"] else "nothing"


def _object(told: Schema) -> Schema:
    """The long form of a verb that has a short one too."""
    found: Schema = next((one for one in told.get("anyOf", ()) if "properties" in one), told)
    return found


def _default(value: Any) -> str:
    if value in (None, [], "") or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"

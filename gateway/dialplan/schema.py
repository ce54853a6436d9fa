"""Owns what is generated from the models: JSON Schemas for editors, the reference. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.dialplan.cases import CaseFile
from gateway.dialplan.fields import Model
from gateway.dialplan.model import PlanFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAN_ORDER = (
    "Rule", "NumberTest", "ValueTest", "Window", "Dial", "Reject", "Goto", "Context", "Numbers",
    "Callers", "Destinations", "Selection", "Entry", "Trunk", "Emergency",
)  # fmt: skip
_CASES_ORDER = ("Case", "Expect", "Refused")


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan."""
    return {"$schema": _DIALECT, **_as_yaml(PlanFile.model_json_schema()), "title": "Dialplan"}


def cases_schema() -> dict[str, Any]:
    """The JSON Schema of a file of cases."""
    schema = _as_yaml(CaseFile.model_json_schema())
    return {"$schema": _DIALECT, **schema, "title": "Dialplan cases"}


def _as_yaml(node: Any) -> Any:
    """Editors read `100` and `no` in YAML as no text; to the gateway every value is text."""
    if isinstance(node, list):
        return [_as_yaml(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _as_yaml(value) for key, value in node.items()}
    if found.get("type") == "string" and "enum" not in found:
        found["type"] = ["string", "number", "boolean"]
    if found.get("const") == "1":
        found = {"enum": ["1", 1]}
    return found


# ---- reference ------------------------------------------------------------------------------


def reference() -> str:
    """Every field that a plan or a file of cases may have, in Markdown."""
    lines: list[str] = []
    for model, order in ((PlanFile, _PLAN_ORDER), (CaseFile, _CASES_ORDER)):
        lines += _section(model.__name__, model.model_json_schema(), model)
        definitions = model.model_json_schema()["$defs"]
        for name in order:
            lines += _section(name, definitions[name])
        if model is PlanFile:
            lines += _steps(definitions)
    return "\n".join(lines).rstrip() + "\n"


_TITLES = {"PlanFile": "A plan", "CaseFile": "A file of cases"}


def _section(name: str, schema: dict[str, Any], model: type[Model] | None = None) -> Iterator[str]:
    yield f"{'###' if model else '####'} {_TITLES.get(name, name)}"
    yield ""
    yield schema.get("description", "").replace("\n", " ")
    yield ""
    yield "| field | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    required = schema.get("required", [])
    for field, told in schema["properties"].items():
        default = "required" if field in required else _default(told.get("default"))
        meaning = told.get("description", "").replace("\n", " ").replace("|", "\\|")
        yield f"| `{field}` | {_value(told)} | {default} | {meaning} |"
    yield ""


def _steps(definitions: dict[str, Any]) -> Iterator[str]:
    types = definitions["NumberType"]["enum"]
    yield "Types of numbers:"
    yield from (f"`{kind}`{',' if kind != types[-1] else '.'}" for kind in types)
    yield ""
    yield "#### Steps"
    yield ""
    yield "| step | value | meaning |"
    yield "| --- | --- | --- |"
    for told in definitions.values():
        if len(told.get("properties", {})) == 1 and "required" in told:
            ((verb, value),) = told["properties"].items()
            yield f"| `{verb}` | {_value(value)} | {told['description']} |"
    yield ""


def _default(value: Any) -> str:
    if value in (None, [], "") or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _value(told: dict[str, Any]) -> str:
    """What may stand there, in a few words."""
    if "$ref" in told:
        name = str(told["$ref"]).rpartition("/")[2]
        known: dict[str, str] = {"NumberType": "type of number", "Nothing": "nothing"}
        return known.get(name) or f"[{name}](#{name.lower()})"
    if "allOf" in told:
        return _value(told["allOf"][0])
    for union in ("anyOf", "oneOf"):
        if union in told:
            if any(kind.get("$ref", "").endswith("SetStep") for kind in told[union]):
                return "[steps](#steps)"
            members = dict.fromkeys(_value(kind) for kind in told[union])
            members.pop("nothing", None)
            return " or ".join(members) or "nothing"
    if "enum" in told or "const" in told:
        return ", ".join(f"`{value}`" for value in told.get("enum", [told.get("const")]))
    if told.get("type") == "array":
        return f"list of {_value(told['items'])}"
    if told.get("type") == "object":
        inside = told.get("additionalProperties") or next(
            iter(told.get("patternProperties", {}).values()), None
        )
        return f"by name: {_value(inside)}" if isinstance(inside, dict) else "mapping"
    examples = ", ".join(f"`{example}`" for example in told.get("examples", []))
    kinds = {"string": "text", "null": "nothing", "integer": "whole number"}
    written = str(told.get("type", "anything"))
    kind = kinds.get(written, written)
    return f"{kind} ({examples})" if examples else kind

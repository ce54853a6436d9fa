"""Owns the JSON Schemas of plans and cases, for editors; made from the models. Pure."""

from __future__ import annotations

from typing import Any

from gateway.dialplan.cases import CaseFile
from gateway.dialplan.model import PlanFile
from gateway.dialplan.written import FIXED
from gateway.verbs import MODELS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FILLED_IN = {"type": "string", "pattern": r"\$\{"}
_ABOUT = ("title", "description", "default", "examples")
_OF_VERBS = ("Target", "Side", "Sides", "Kind", "Strategy", "AfterTalk")
"""What verbs are made of."""


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan."""
    schema = _as_yaml(PlanFile.model_json_schema())
    definitions = schema["$defs"]
    for name in (*(model.__name__ for model in MODELS.values()), *_OF_VERBS):
        if name in definitions:
            definitions[name] = _fillable(definitions[name])
    return {"$schema": _DIALECT, **schema, "title": "Dialplan"}


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


def _fillable(node: dict[str, Any]) -> dict[str, Any]:
    """A verb's schema where `${...}` may stand for what is not any text."""
    found = dict(node)
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _fillable(found[key])
    for key in ("properties", "patternProperties"):
        if key in found:
            found[key] = {
                name: inner if name in FIXED else _fillable(inner)
                for name, inner in found[key].items()
            }
    for key in ("anyOf", "oneOf"):
        if key in found:
            found[key] = [
                inner if inner.get("title") in FIXED else _fillable(inner) for inner in found[key]
            ]
    kind = found.get("type")
    narrow = "pattern" in found or "enum" in found
    if not (narrow or kind in ("integer", "number", "boolean")):
        return found
    about = {key: found.pop(key) for key in _ABOUT if key in found}
    return {"anyOf": [found, _FILLED_IN], **about}

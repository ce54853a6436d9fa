"""Owns the reference in docs/events.md: every event and its fields. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from gateway.storage.event_schema import COMMON, event_models
from gateway.verbs.tables import Tables


def event_reference() -> str:
    """Every event, in Markdown."""
    models = event_models()
    _, schema = models_json_schema([(model, "validation") for model in models.values()])
    definitions = schema["$defs"]
    values = Tables(definitions, {"Verdict": "a [verdict](#verdict)"})
    lines = [*_table("### Every event", _common(definitions), values)]
    for name, model in models.items():
        told = definitions[model.__name__]
        own = {
            field: about
            for field, about in told["properties"].items()
            if field not in COMMON and field != "type"
        }
        lines += _table(f"### {name}", {**told, "properties": own}, values)
    lines += _table("### Verdict", definitions["Verdict"], values)
    return "\n".join(lines).rstrip() + "\n"


def _common(definitions: dict[str, Any]) -> dict[str, Any]:
    """What all of them have."""
    first = next(iter(event_models().values())).__name__
    properties = definitions[first]["properties"]
    found = {name: properties[name] for name in COMMON}
    about = {"type": "string", "description": "what happened: one of those below"}
    return {"description": "Every event has these.", "properties": {**found, "type": about}}


def _table(heading: str, told: dict[str, Any], values: Tables) -> Iterator[str]:
    yield from (heading, "", " ".join(told.get("description", "").split()), "")
    if not told["properties"]:
        return
    described = any("description" in about for about in told["properties"].values())
    yield "| field | value |" + (" meaning |" if described else "")
    yield "| --- | --- |" + (" --- |" if described else "")
    for name, about in told["properties"].items():
        value = values.value({key: about[key] for key in about if key != "description"})
        if any(form == {"type": "null"} for form in about.get("anyOf", ())):
            value += ", or null"
        yield f"| `{name}` | {value} |" + (f" {about['description']} |" if described else "")
    yield ""

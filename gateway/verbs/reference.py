"""Owns the reference in docs/verbs.md: every verb, its fields and its spellings. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydantic.json_schema import models_json_schema

from gateway.verbs.dialling import Target
from gateway.verbs.examples import EXAMPLES, Example
from gateway.verbs.fields import Verb
from gateway.verbs.step import MODELS
from gateway.verbs.tables import Schema, Tables, object_of

OUTCOMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "dial": {
            "dial_status": "`answered`, or why not: `busy`, `no_answer`, `declined`, "
            "`unavailable`, `peer_unreachable`, ...",
            "dial_code": "the SIP status of the last answer, such as 486",
        },
        "gather": {
            "digits": "what was keyed in, without the terminator",
            "gather_reason": "`complete`, `terminated` or `timeout`; `invalid`: the digits are not "
            "good; `nothing`: none came",
        },
        "record": {"recording": "the recording's id"},
        "http": {"http_status": "`ok`, or why the fallback was performed: `fetch_failed`, ..."},
    }
)
"""The call variables that verbs leave behind."""


def reference() -> str:
    """Every verb, in Markdown."""
    models: list[type[Verb] | type[Target]] = [*MODELS.values(), Target]
    _, schema = models_json_schema([(model, "validation") for model in models])
    definitions = schema["$defs"]
    tables = Tables(definitions, with_ranges=True)
    lines = [*_summary(definitions)]
    for name, model in MODELS.items():
        lines += _verb(tables, name, model, definitions[model.__name__])
    lines += tables.section("### Target", definitions["Target"])
    return "\n".join(lines).rstrip() + "\n"


def _summary(definitions: Schema) -> Iterator[str]:
    yield "| verb | does |"
    yield "| --- | --- |"
    for name, model in MODELS.items():
        does = object_of(definitions[model.__name__])["description"].partition("\n\n")[0]
        yield f"| [`{name}`](#{name}) | {_line(does)} |"
    yield ""


def _verb(tables: Tables, name: str, model: type[Verb], schema: Schema) -> Iterator[str]:
    yield from tables.section(f"### {name}", schema)
    if model.short is not None:
        yield f"In short: `{name}: value` gives `{model.short}`."
        yield ""
    left = OUTCOMES.get(name, {})
    if left:
        yield "Leaves these variables:"
        yield ""
        yield from (f"- `{variable}`: {meaning}" for variable, meaning in left.items())
        yield ""
    yield from _spellings(EXAMPLES[name])


def _spellings(example: Example) -> Iterator[str]:
    yield from ("```yaml", f"- {example.yaml}", "```")
    yield from ("```python", example.python, "```")
    yield from ("```json", json.dumps(example.step), "```")
    yield ""


def _line(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")

"""Owns JSON Schemas as people read them: in words, as tables, and by example. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from gateway.console.markup import Piece, element, paragraphs, words

Schema = Mapping[str, Any]

_REFERENCE = "#/components/schemas/"
_MOST = 6
"""How deep examples and inline objects go."""


def anchor(name: str) -> str:
    """Where a schema is on the page."""
    return f"schema-{name}"


def value(schema: Schema, depth: int = 0) -> list[Piece]:
    """What may stand there, in a few words."""
    if "$ref" in schema:
        name = _name(schema)
        return [element("a", name, href=f"#{anchor(name)}")]
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return value(schema["allOf"][0], depth)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _joined([value(one, depth) for one in _not_null(schema[union])])
    if "const" in schema:
        return [element("code", json.dumps(schema["const"]))]
    if "enum" in schema:
        return _joined([[element("code", json.dumps(one))] for one in schema["enum"]], ", ")
    kind = schema.get("type", "anything")
    if kind == "array":
        return ["list of ", *value(schema.get("items", {}), depth)]
    if kind == "object":
        return _object(schema, depth)
    return [str(kind), *_limits(schema)]


def table(properties: Sequence[tuple[str, Schema, bool, str]], head: str) -> Element:
    """A table of named values: name, schema, whether it must be there, what it is about."""
    rows = [
        element(
            "tr",
            element("th", element("code", name), scope="row"),
            element("td", value(schema)),
            element("td", "required" if required else _default(schema)),
            element("td", words(about or str(schema.get("description", "")))),
        )
        for name, schema, required, about in properties
    ]
    names = [element("th", name, scope="col") for name in (head, "value", "default", "meaning")]
    whole = element("table", element("thead", element("tr", names)), element("tbody", rows))
    return element("div", whole, class_="wide")


def section(name: str, schema: Schema) -> Element:
    """All about one schema."""
    heading = element("h3", element("a", name, href=f"#{anchor(name)}"))
    inside: list[Piece] = [heading, *paragraphs(str(schema.get("description", "")))]
    long = _long(schema)
    properties = long.get("properties", {})
    if long is not schema:
        inside += paragraphs(str(long.get("description", "")))
        shorts = [one for one in _not_null(schema["anyOf"]) if one is not long]
        if shorts:
            inside.append(element("p", "In short: ", _joined([value(one) for one in shorts])))
    if properties:
        required = long.get("required", ())
        rows = [(field, told, field in required, "") for field, told in properties.items()]
        inside.append(table(rows, "field"))
    elif "oneOf" in schema:
        inside.append(element("ul", [element("li", value(one)) for one in schema["oneOf"]]))
    else:
        inside.append(element("p", value({k: v for k, v in long.items() if k != "$ref"})))
    return element("article", inside, id=anchor(name), class_="card")


def example(schema: Schema, known: Mapping[str, Schema], depth: int = 0) -> Any:
    """A value that fits: the first of the schema's own examples, or as little as may be."""
    if "$ref" in schema:
        return example(known[_name(schema)], known, depth)
    if schema.get("examples"):
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    for union in ("allOf", "anyOf", "oneOf"):
        if union in schema:
            return example(_not_null(schema[union])[0], known, depth)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    match schema.get("type"):
        case "object" if depth < _MOST:
            required = schema.get("required", ())
            return {
                name: example(told, known, depth + 1)
                for name, told in schema.get("properties", {}).items()
                if name in required
            }
        case "array":
            return [example(schema["items"], known, depth + 1)] if schema.get("minItems") else []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            return "..."
    return {}


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix(_REFERENCE)


def _long(schema: Schema) -> Schema:
    """The form with fields of what has a short form too."""
    forms = schema.get("anyOf", ())
    found: Schema = next((one for one in forms if "properties" in one), schema)
    return found


def _not_null(forms: Sequence[Schema]) -> list[Schema]:
    return [one for one in forms if one.get("type") != "null"] or list(forms)


def _joined(parts: Sequence[Sequence[Piece]], between: str = " or ") -> list[Piece]:
    return [
        piece
        for number, part in enumerate(parts)
        for piece in ([between] if number else []) + list(part)
    ]


def _object(schema: Schema, depth: int) -> list[Piece]:
    fields = schema.get("properties", {})
    if fields and depth < _MOST:
        inside = [[element("code", name), ": ", *value(told, depth + 1)]
                  for name, told in fields.items()]  # fmt: skip
        return ["{", *_joined(inside, ", "), "}"]
    named = schema.get("additionalProperties") or next(
        iter(schema.get("patternProperties", {}).values()), None
    )
    return ["by name: ", *value(named, depth + 1)] if isinstance(named, Mapping) else ["object"]


def _limits(schema: Schema) -> list[Piece]:
    """What a value may be, as far as its type does not say it."""
    found: list[Piece] = []
    if "format" in schema:
        found.append(f" ({schema['format']})")
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        found.append(f", {low:g} to {high:g}")
    elif low is not None:
        found.append(f", {'more than' if 'minimum' not in schema else 'from'} {low:g}")
    elif high is not None:
        found.append(f", up to {high:g}")
    if "maxLength" in schema:
        found.append(f", up to {schema['maxLength']} characters")
    if "pattern" in schema:
        found += [", ", element("code", str(schema["pattern"]))]
    return found


def _default(schema: Schema) -> list[Piece]:
    default = schema.get("default")
    if default in (None, "", [], {}):
        return []
    return [element("code", json.dumps(default))]

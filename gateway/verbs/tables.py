"""Owns the tables of a reference, in Markdown: fields of models, by their JSON Schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

_WORDS = {"string": "text", "null": "nothing", "integer": "whole number"}


class Tables:
    """Tables of models that refer to each other."""

    def __init__(
        self,
        definitions: Schema,
        named: Mapping[str, str] | None = None,
        *,
        with_ranges: bool = False,
    ) -> None:
        """definitions: the schema's `$defs`. named: what to call some of them, without a link.
        with_ranges: numbers tell from where to where they go, choices what they are about."""
        self._definitions = definitions
        self._known = named or {}
        self._with_ranges = with_ranges

    def section(self, heading: str, schema: Schema) -> Iterator[str]:
        """A model with its fields, if it has any."""
        told = object_of(schema)
        yield heading
        yield ""
        yield told.get("description", "").replace("\n\n", " ").replace("\n", " ")
        yield ""
        if not told["properties"]:
            return
        yield "| field | value | default | meaning |"
        yield "| --- | --- | --- | --- |"
        required = told.get("required", [])
        for field, of_field in told["properties"].items():
            default = "required" if field in required else default_of(of_field.get("default"))
            meaning = self._meaning(of_field).replace("\n", " ").replace("|", "\\|")
            yield f"| `{field}` | {self.value(of_field)} | {default} | {meaning} |"
        yield ""

    def value(self, told: Schema) -> str:
        """What may stand there, in a few words."""
        if "$ref" in told:
            return self._named(str(told["$ref"]).rpartition("/")[2])
        if "allOf" in told:
            return self.value(told["allOf"][0])
        for union in ("anyOf", "oneOf"):
            if union in told:
                members = dict.fromkeys(map(self.value, told[union]))
                members.pop("nothing", None)
                return " or ".join(members) or "nothing"
        if "enum" in told or "const" in told:
            return ", ".join(f"`{value}`" for value in told.get("enum", [told.get("const")]))
        if told.get("type") == "array":
            return f"list of {self.value(told['items'])}"
        if told.get("type") == "object":
            inside = told.get("additionalProperties") or next(
                iter(told.get("patternProperties", {}).values()), None
            )
            return f"by name: {self.value(inside)}" if isinstance(inside, dict) else "mapping"
        examples = ", ".join(f"`{example}`" for example in told.get("examples", []))
        written = str(told.get("type", "anything"))
        kind = _WORDS.get(written, written) + (_range(told) if self._with_ranges else "")
        return f"{kind} ({examples})" if examples else kind

    def _meaning(self, told: Schema) -> str:
        if "description" not in told and "$ref" in told and self._with_ranges:
            told = self._definitions[str(told["$ref"]).rpartition("/")[2]]
        return str(told.get("description", ""))

    def _named(self, name: str) -> str:
        told = self._definitions[name]
        if name in self._known:
            return self._known[name]
        if "enum" in told:
            return self.value(told)
        return f"[{name}](#{name.lower()})" if object_of(told)["properties"] else "nothing"


def _range(told: Schema) -> str:
    if "maximum" not in told:
        return ""
    below = f"{told['minimum']:g} to " if "minimum" in told else "up to "
    return f", {below}{told['maximum']:g}"


def object_of(told: Schema) -> Schema:
    """The long form of a verb that has a short one too."""
    found: Schema = next((one for one in told.get("anyOf", ()) if "properties" in one), told)
    return found


def default_of(value: Any) -> str:
    """A default as a table shows it."""
    if value in (None, [], "") or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"

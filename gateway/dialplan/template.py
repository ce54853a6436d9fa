"""Owns `${variable}` in dialplan values: filled in once, as data; their contents are not parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLES = frozenset({"callee", "caller", "context"})
_REFERENCE = re.compile(r"\$\{([a-z_]+)(?::([0-9]{1,3}))?\}")


class TemplateError(ValueError):
    """A template that refers to nothing; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable without its first `skip` characters."""

    variable: str
    skip: int


@dataclass(frozen=True, slots=True)
class Template:
    """Literal text and references, in order."""

    parts: tuple[str | Reference, ...]

    def fill(self, variables: Mapping[str, str]) -> str:
        """The text with its variables filled in."""
        return "".join(
            part if isinstance(part, str) else variables[part.variable][part.skip :]
            for part in self.parts
        )


def parse_template(source: str) -> Template:
    """Parses `${callee}`, `${callee:1}` (without the first character) and plain text.

    Raises TemplateError.
    """
    parts: list[str | Reference] = []
    end = 0
    for found in _REFERENCE.finditer(source):
        if found[1] not in VARIABLES:
            known = ", ".join(f"${{{name}}}" for name in sorted(VARIABLES))
            raise TemplateError(f"no variable {found[1]!r}: use one of {known}")
        parts += [source[end : found.start()], Reference(found[1], int(found[2] or 0))]
        end = found.end()
    parts.append(source[end:])
    if any(isinstance(part, str) and "$" in part for part in parts):
        raise TemplateError("a $ that begins no variable: write ${callee} or ${callee:1}")
    return Template(tuple(part for part in parts if part))

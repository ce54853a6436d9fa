"""Owns `${variable}` in dialplan values: filled in once, as data; their contents are not parsed."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLES = frozenset({"callee", "caller", "context", "dialled"})
_REFERENCE = re.compile(
    r"\$\{([a-z_]+|[1-9]|vars\.[A-Za-z_][A-Za-z0-9_]{0,63})(?::([0-9]{1,3}))?\}"
)


class TemplateError(ValueError):
    """A template that refers to nothing; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable without its first `skip` characters."""

    variable: str
    skip: int

    def __str__(self) -> str:
        return f"${{{self.variable}:{self.skip}}}" if self.skip else f"${{{self.variable}}}"


@dataclass(frozen=True, slots=True)
class Template:
    """Literal text and references, in order."""

    parts: tuple[str | Reference, ...]
    captures: int = 0  # the highest ${1} to ${9} that it refers to

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that it refers to."""
        return tuple(part.variable for part in self.parts if isinstance(part, Reference))

    def fill(self, variables: Mapping[str, str]) -> str:
        """The text with its variables filled in; one that nobody has set is empty."""
        return "".join(
            part if isinstance(part, str) else variables.get(part.variable, "")[part.skip :]
            for part in self.parts
        )

    def known(self, variables: Mapping[str, str]) -> str:
        """The text with the variables that there are filled in, and the others as written."""
        return "".join(
            part
            if isinstance(part, str)
            else variables[part.variable][part.skip :]
            if part.variable in variables
            else str(part)
            for part in self.parts
        )


@functools.lru_cache(maxsize=1024)
def parse_template(source: str) -> Template:
    """Parses `${callee}`, `${callee:1}` (without the first character), `${1}` (a capture),
    `${vars.name}` (a call variable) and plain text. Raises TemplateError.
    """
    parts: list[str | Reference] = []
    end = 0
    for found in _REFERENCE.finditer(source):
        name = found[1]
        if not (name in VARIABLES or name.isdigit() or "." in name):
            known = ", ".join(f"${{{name}}}" for name in sorted(VARIABLES))
            raise TemplateError(f"no variable {name!r}: use one of {known}, ${{1}}, ${{vars.NAME}}")
        parts += [source[end : found.start()], Reference(name, int(found[2] or 0))]
        end = found.end()
    parts.append(source[end:])
    if any(isinstance(part, str) and "$" in part for part in parts):
        raise TemplateError("a $ that begins no variable: write ${callee} or ${callee:1}")
    names = [part.variable for part in parts if isinstance(part, Reference)]
    captures = max((int(name) for name in names if name.isdigit()), default=0)
    return Template(tuple(part for part in parts if part), captures)

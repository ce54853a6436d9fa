"""Owns guard expressions: CEL, compiled and checked at load; callers' values are only ever data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cel

from gateway.dialplan.request import Facts
from gateway.numbers.facts import facts_of

MAX_LENGTH = 500
_SAMPLE: Mapping[str, Any] = {
    "callee": "", "caller": "", "dialled": "", "context": "", "origin": "", "source": "",
    "country": "", "type": "", "headers": {}, "vars": {},
}  # fmt: skip
VARIABLES = tuple(_SAMPLE)
_NO_SUCH_ENTRY = (KeyError, ZeroDivisionError, OverflowError, IndexError)
_WRONG_TYPES = (TypeError, ValueError, RuntimeError)


class GuardError(ValueError):
    """No guard; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A compiled expression."""

    source: str
    _program: Any = field(repr=False, compare=False)
    _needs: frozenset[str] = field(repr=False, compare=False)

    def mismatch(self, facts: Facts) -> str | None:
        """Why the guard does not hold; None: it does. An expression that fails does not hold."""
        try:
            result = self._program.execute(self._environment(facts))
        except _NO_SUCH_ENTRY:
            return "the guard needs a value that this call does not have"
        except _WRONG_TYPES:
            return "the guard cannot be computed for this call"
        if not isinstance(result, bool):
            return "the guard gives neither true nor false"
        return None if result else "the guard is false"

    def _environment(self, facts: Facts) -> dict[str, Any]:
        values: dict[str, Any] = {
            "callee": facts.callee,
            "caller": facts.caller,
            "dialled": facts.request.callee,
            "context": facts.context,
            "origin": str(facts.request.origin),
            "source": facts.request.source,
            "headers": dict(facts.headers),
            "vars": dict(facts.variables),
        }
        if self._needs & {"country", "type"}:
            known = facts_of(facts.callee)
            values["country"] = known.country if known else ""
            values["type"] = str(known.type) if known else "unknown"
        return values


def parse_guard(source: str) -> Guard:
    """Compiles `source`, and tries it out on an empty call. Raises GuardError."""
    if not source or len(source) > MAX_LENGTH:
        raise GuardError(f"an empty guard or one longer than {MAX_LENGTH}: write a short one")
    try:
        program = cel.compile(source)
    except ValueError as error:
        first = str(error).partition("ERROR: <input>:")[2].splitlines() or ["not CEL"]
        raise GuardError(f"no CEL expression ({first[0]}): correct it") from None
    # Names that comprehensions bind, `x` in [1].all(x, x > 0), are listed among the variables too.
    unknown = sorted(set(program.variables()) - set(VARIABLES))
    known = ", ".join(VARIABLES)
    if unknown and not any(macro in source for macro in (".all(", ".exists", ".map(", ".filter(")):
        raise GuardError(f"the guard's {unknown[0]!r} is no variable: use {known}")
    try:
        result = program.execute(dict(_SAMPLE))
    except _NO_SUCH_ENTRY:
        result = True  # depends on the call
    except RuntimeError as error:
        if "Undefined" in str(error):
            raise GuardError(f"the guard uses an unknown name: use {known} and CEL's own") from None
        result = True
    except (TypeError, ValueError):
        raise GuardError(
            "the guard mixes types: compare text with text, see the CEL guide"
        ) from None
    if not isinstance(result, bool):
        raise GuardError("the guard gives neither true nor false: compare something")
    return Guard(source, program, frozenset(program.variables()))

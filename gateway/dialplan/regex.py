"""Owns regular expressions: RE2's, whose matching time is linear in what callers send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import re2

MAX_LENGTH = 512
MAX_GROUPS = 9

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1024 * 1024  # bytes, each: (((x{100}){100}){100}) is refused, not built


class RegexError(ValueError):
    """No regular expression; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled expression; it has to match the whole text."""

    source: str
    groups: int
    _compiled: Any = field(repr=False, compare=False)

    def matches(self, text: str) -> bool:
        """Whether all of `text` matches."""
        return self._compiled.fullmatch(text) is not None

    def captures(self, text: str) -> tuple[str, ...]:
        """What the groups hold in a text that matches; empty for one that took no part."""
        found = self._compiled.fullmatch(text)
        assert found is not None
        return tuple(group or "" for group in found.groups())


def parse_regex(source: str) -> Regex:
    """Compiles `source`. Raises RegexError."""
    if not source or len(source) > MAX_LENGTH:
        raise RegexError(f"an empty expression or one longer than {MAX_LENGTH}: write a short one")
    try:
        compiled = re2.compile(source, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise RegexError(
            f"no RE2 expression ({text}): see the RE2 syntax; it has no look-around and no "
            "back-references"
        ) from None
    if compiled.groups > MAX_GROUPS:
        raise RegexError(f"more than {MAX_GROUPS} groups: write (?:...) for those not used")
    return Regex(source, compiled.groups, compiled)

"""Owns what a context or a trunk does with numbers: normalising, caller identities, allowed
destinations. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.dialplan.conditions import type_in
from gateway.numbers.facts import NumberType, facts_of
from gateway.numbers.normal import is_emergency, to_e164
from gateway.numbers.pattern import Pattern

ANONYMOUS = "anonymous"
"""User part of a caller who shows no identity (RFC 3323 4.1.1.3)."""


def _plain(text: str) -> bool:
    digits = text.removeprefix("+")
    return digits.isascii() and digits.isdigit()


@dataclass(frozen=True, slots=True)
class Numbers:
    """How numbers are written here. `country`: ISO 3166-1; empty: no country's number plan.

    `prefix` takes the place of what was stripped; without `strip` it goes before every number.
    """

    country: str = ""
    strip: tuple[str, ...] = ()
    prefix: str = ""

    def stripped(self, number: str) -> str:
        """Without the first of the prefixes that it begins with."""
        for prefix in self.strip:
            if number.startswith(prefix) and len(number) > len(prefix):
                return number[len(prefix) :]
        return number

    def normal(self, number: str, emergency: frozenset[str], *, strip: bool = True) -> str:
        """`number` in E.164 where it is one; names, emergency numbers and what begins with `+`
        stay as they are."""
        if not _plain(number) or number.startswith("+") or number in emergency:
            return number
        short = self.stripped(number) if strip else number
        if short in emergency or (self.country and is_emergency(short, self.country)):
            return short
        full = self._prefixed(number, short)
        return (to_e164(full, self.country) if self.country else None) or full

    def outgoing(self, number: str) -> str:
        """`number` as the trunk wants it."""
        return self._prefixed(number, self.stripped(number)) if _plain(number) else number

    def _prefixed(self, number: str, short: str) -> str:
        return self.prefix + short if short != number or not self.strip else number


@dataclass(frozen=True, slots=True)
class Callers:
    """Which identities may be shown to a trunk. No `allow`: any."""

    allow: tuple[Pattern, ...] | None = None
    default: str = ""  # shown instead of one that is not allowed; empty: the trunk's own
    refuse_withheld: bool = False

    def shown(self, caller: str) -> str:
        """The identity to show for `caller`."""
        if caller == ANONYMOUS or self.allow is None:
            return caller or self.default
        if any(pattern.mismatch(caller) is None for pattern in self.allow):
            return caller
        return self.default


@dataclass(frozen=True, slots=True)
class Selection:
    """Numbers by country, type, beginning and pattern."""

    countries: frozenset[str] = frozenset()
    types: frozenset[NumberType] = frozenset()
    prefixes: tuple[str, ...] = ()
    numbers: tuple[Pattern, ...] = ()

    def names(self, number: str) -> bool:
        """Whether `number` itself is listed, by beginning or pattern."""
        if self.prefixes and number.startswith(self.prefixes):
            return True
        return any(pattern.mismatch(number) is None for pattern in self.numbers)


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where trunks may be asked to call. With `allow`, all else is denied; premium-rate numbers
    are denied unless `allow` names their type."""

    allow: Selection | None = None
    deny: Selection = Selection()

    def refusal(self, number: str, country: str) -> str | None:
        """Why `number` may not be called, without quoting it; None: it may."""
        if country and is_emergency(number, country):
            return None
        full = number if number.startswith("+") else to_e164(number, country) if country else None
        known = facts_of(full) if full else None
        if any(self.deny.names(text) for text in (number, full) if text):
            return "the destination is on the deny list"
        if known and known.country in self.deny.countries:
            return "the destination's country is denied"
        if known and self.deny.types and type_in(known.type, self.deny.types):
            return "the destination's type of number is denied"
        if self.allow is None:
            premium = known is not None and known.type is NumberType.PREMIUM_RATE
            return "premium-rate numbers are denied unless allowed by type" if premium else None
        if any(self.allow.names(text) for text in (number, full) if text):
            return None
        if known is None:
            return "the destination is no E.164 number, and not allowed by name"
        if known.type is NumberType.PREMIUM_RATE and known.type not in self.allow.types:
            return "premium-rate numbers are denied unless allowed by type"
        if not (self.allow.countries or self.allow.types):
            return "the destination is not on the allow list"
        if self.allow.countries and known.country not in self.allow.countries:
            return "the destination's country is not allowed"
        if self.allow.types and not type_in(known.type, self.allow.types):
            return "the destination's type of number is not allowed"
        return None

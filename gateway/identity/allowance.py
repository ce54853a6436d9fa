"""Owns where an identity may call and what it may show, as the dialplan asks for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.config.identity import Caps
from gateway.dialplan.policy import Callers
from gateway.errors import BAD_REQUEST, GatewayError
from gateway.numbers.facts import COUNTRIES, facts_of
from gateway.numbers.normal import is_emergency, to_e164
from gateway.numbers.pattern import Pattern, PatternError, parse_pattern


@dataclass(frozen=True, slots=True)
class Allowance:
    """Where one may call. `strict`: `destinations` also limits the numbers that trunks are asked
    for, because whoever calls may name them; else they limit what is dialled."""

    destinations: tuple[Pattern, ...] | None = None
    callers: Callers = field(default_factory=Callers)
    countries: frozenset[str] | None = None
    strict: bool = False

    @classmethod
    def of(cls, caps: Caps) -> Allowance:
        """What `caps` say. Raises GatewayError(BAD_REQUEST) for what means nothing."""
        shown = _patterns(caps.caller_ids)
        usual = next((pattern.source for pattern in shown or () if pattern.exact), "")
        countries = None if caps.countries is None else frozenset(caps.countries)
        if countries is not None and not countries <= COUNTRIES:
            unknown = ", ".join(sorted(countries - COUNTRIES))
            raise GatewayError(BAD_REQUEST, f"no such country: {unknown}")
        return cls(_patterns(caps.destinations), Callers(shown, usual), countries)

    @property
    def restricts(self) -> bool:
        """Whether there is anywhere that may not be called."""
        return self.destinations is not None or self.countries is not None

    @property
    def says_something(self) -> bool:
        """Whether anything would be different without it."""
        return self.restricts or self.callers != Callers()

    def strictly(self) -> Allowance:
        """The same for who names trunks' numbers."""
        return replace(self, strict=True)

    def may_dial(self, forms: Sequence[str]) -> bool:
        """Whether what was dialled, in one of its forms, is allowed."""
        return self.destinations is None or _matches(self.destinations, forms)

    def refusal(self, number: str, country: str) -> str | None:
        """Why a trunk may not be asked for `number`, without quoting it; None: it may.

        `country`: whose number plan it is in, if it has no `+`.
        """
        if country and is_emergency(number, country):
            return None
        full = number if number.startswith("+") else to_e164(number, country) if country else None
        if self.strict and self.destinations is not None:
            forms = (number,) if full is None else (number, full)
            if not _matches(self.destinations, forms):
                return "the destination is not allowed for who calls"
        if self.countries is not None:
            known = facts_of(full) if full else None
            if known is None or known.country not in self.countries:
                return "the destination's country is not allowed for who calls"
        return None

    def shown(self, caller: str) -> str:
        """The identity to show where `caller` is asked for."""
        return self.callers.shown(caller)


@dataclass(frozen=True, slots=True)
class Allowances:
    """Several, which must all agree (gateway.dialplan.Allowing)."""

    each: tuple[Allowance, ...]

    def refusal(self, number: str, country: str) -> str | None:
        """See Allowance."""
        found = (one.refusal(number, country) for one in self.each)
        return next((reason for reason in found if reason is not None), None)

    def shown(self, caller: str) -> str:
        """What all of them let be shown; who grants most has the last word."""
        for one in self.each:
            caller = one.shown(caller)
        return caller


def _patterns(texts: Sequence[str] | None) -> tuple[Pattern, ...] | None:
    if texts is None:
        return None
    try:
        return tuple(parse_pattern(text) for text in texts)
    except PatternError as error:
        raise GatewayError(BAD_REQUEST, str(error)) from None


def _matches(patterns: Sequence[Pattern], forms: Sequence[str]) -> bool:
    return any(pattern.mismatch(form) is None for pattern in patterns for form in forms)

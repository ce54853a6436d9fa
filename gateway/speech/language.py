"""Owns what a language must know to speak values, and the words that CLDR and num2words have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Protocol

from babel import Locale
from babel.dates import get_day_names, get_month_names
from babel.numbers import get_currency_name, get_currency_precision
from num2words import num2words

from gateway.speech.values import Amount, Number, bad


class Language(Protocol):
    """The rules of one language."""

    @property
    def digits(self) -> Mapping[str, str]:
        """A word for each of 0-9, * and #, and for the DTMF keys A-D."""

    def number(self, value: Number) -> str:
        """Such as `minus one point five`."""

    def ordinal(self, value: int) -> str:
        """Such as `twenty-first`."""

    def date(self, value: date) -> str:
        """With the day of the week."""

    def time(self, value: time) -> str:
        """As people say it."""

    def amount(self, value: Amount) -> str:
        """Raises GatewayError(BAD_REQUEST): no such currency."""


@dataclass(frozen=True, slots=True)
class Words:
    """The vocabulary of a language: its name in num2words, its locale in CLDR."""

    spelling: str
    locale: str
    point: str
    minus: str

    def cardinal(self, value: int) -> str:
        """`value` >= 0 in words."""
        return str(num2words(value, lang=self.spelling))

    def ordinal(self, value: int) -> str:
        """`value` >= 1 in words."""
        return str(num2words(value, lang=self.spelling, to="ordinal"))

    def year(self, value: int) -> str:
        """As years are read, not as numbers are."""
        return str(num2words(value, lang=self.spelling, to="year"))

    def weekday(self, value: date) -> str:
        """Such as Thursday."""
        return str(get_day_names("wide", locale=self.locale)[value.weekday()])

    def month(self, value: date) -> str:
        """Such as December."""
        return str(get_month_names("wide", locale=self.locale)[value.month])

    def decimal(self, value: Number, whole: str, digits: Mapping[str, str]) -> str:
        """Sign, `whole` (the words of the integer part), and the fraction digit by digit."""
        parts = [self.minus] if value.negative else []
        parts.append(whole)
        if value.fraction:
            parts += [self.point, *(digits[digit] for digit in value.fraction)]
        return " ".join(parts)

    def currency(self, code: str, count: int) -> str:
        """Its name, such as `US dollars`. Raises GatewayError(BAD_REQUEST)."""
        if code not in Locale.parse(self.locale).currencies:
            raise bad(code, "no currency: write its code of ISO 4217, such as EUR")
        return get_currency_name(code, count, locale=self.locale)


def hundredths(value: Amount, minor_names: Collection[str]) -> int | None:
    """The cents of an amount that is said as whole units and cents (`12.5`: 50; `12`: 0).

    None: it is said as a decimal number, because the currency has no hundredths (ISO 4217), or
    their name is not among `minor_names`, or there are more places than two.
    """
    fraction = value.number.fraction
    if len(fraction) <= 2 and not fraction.strip("0"):
        return 0
    if len(fraction) > 2 or value.currency not in minor_names:
        return None
    return int(fraction.ljust(2, "0")) if get_currency_precision(value.currency) == 2 else None

"""Owns French."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time

from gateway.speech.language import Words, hundredths
from gateway.speech.values import Amount, Number

_NUMERALS = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf")
_CENTIME = ("centime", "centimes")
_CENT = ("cent", "cents")
_MINOR = {
    "AUD": _CENT,
    "CAD": _CENT,
    "CHF": _CENTIME,
    "EUR": _CENTIME,
    "GBP": ("penny", "pence"),
    "NZD": _CENT,
    "USD": _CENT,
}
_VOWELS = "aeiouéè"
_FEMININE_CURRENCIES = frozenset({"DKK", "EGP", "GBP", "INR", "ISK", "NOK", "SEK", "TRY"})
"""`une livre`, `une couronne`, `une roupie`; of the currencies of all days, no others are."""


@dataclass(frozen=True, slots=True)
class French:
    """French as spoken in France."""

    words: Words
    digits: Mapping[str, str]

    def number(self, value: Number) -> str:
        """`moins mille deux cent trente-quatre virgule cinq`."""
        return self.words.decimal(value, self.words.cardinal(value.whole), self.digits)

    def ordinal(self, value: int) -> str:
        """`vingt et unième`. num2words keeps the s of quatre-vingts and cents, which goes."""
        return self.words.ordinal(value).replace("tsième", "tième")

    def date(self, value: date) -> str:
        """`jeudi vingt-quatre décembre deux mille vingt-six`; the first of a month is `premier`."""
        day = "premier" if value.day == 1 else self.words.cardinal(value.day)
        parts = self.words.weekday(value), day, self.words.month(value), self.words.year(value.year)
        return " ".join(parts)

    def time(self, value: time) -> str:
        """On the clock of 24 hours: `dix-huit heures trente`, `midi`. Hours are feminine."""
        minute = _feminine(self.words.cardinal(value.minute)) if value.minute else ""
        if value.hour in (0, 12):
            hour = "midi" if value.hour else "minuit"
        else:
            name = "heure" if value.hour == 1 else "heures"
            hour = f"{_feminine(self.words.cardinal(value.hour))} {name}"
        return f"{hour} {minute}".rstrip()

    def amount(self, value: Amount) -> str:
        """`douze euros et cinquante centimes`."""
        cents = hundredths(value, _MINOR)
        if cents is None:
            name = self.words.currency(value.currency, value.number.whole)
            return f"{self.number(value.number)} {name}"
        parts = [self._units(value)] if value.number.whole or not cents else []
        if cents:
            # French counts from two on as plural.
            parts.append(f"{self.words.cardinal(cents)} {_MINOR[value.currency][cents >= 2]}")
        return (f"{self.words.minus} " if value.number.negative else "") + " et ".join(parts)

    def _units(self, value: Amount) -> str:
        """`vingt et une livres`; a noun follows `million` and `milliard` with `de`."""
        whole = value.number.whole
        name = self.words.currency(value.currency, whole)
        number = self.words.cardinal(whole)
        if value.currency in _FEMININE_CURRENCIES:
            number = _feminine(number)
        if whole and whole % 1_000_000 == 0:
            return f"{number} d'{name}" if name[0] in _VOWELS else f"{number} de {name}"
        return f"{number} {name}"


def _feminine(spelled: str) -> str:
    """`un` at the end agrees with its noun; `quatre-vingt-un` and the like do too."""
    return f"{spelled}e" if spelled.endswith("un") else spelled


FRENCH = French(
    Words("fr", "fr", "virgule", "moins"),
    {
        **{str(value): word for value, word in enumerate(_NUMERALS)},
        "*": "étoile",
        "#": "dièse",
        **{letter: letter for letter in "ABCD"},
    },
)

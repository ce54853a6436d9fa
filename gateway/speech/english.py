"""Owns English, as American and as British people say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time

from gateway.speech.language import Words, hundredths
from gateway.speech.values import Amount, Number

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CENT = ("cent", "cents")
_MINOR = {
    "AUD": _CENT,
    "CAD": _CENT,
    "EUR": _CENT,
    "GBP": ("penny", "pence"),
    "NZD": _CENT,
    "USD": _CENT,
    "ZAR": _CENT,
}


def _digits(hash_key: str) -> Mapping[str, str]:
    numerals = {str(value): word for value, word in enumerate(_ONES)}
    return {**numerals, "*": "star", "#": hash_key, **{letter: letter for letter in "ABCD"}}


@dataclass(frozen=True, slots=True)
class English:
    """words: its locale decides names; british: `and` after hundreds, the day before the month."""

    words: Words
    digits: Mapping[str, str]
    british: bool

    def _plain(self, spelled: str) -> str:
        return spelled if self.british else spelled.replace(" and ", " ")

    def _cardinal(self, value: int) -> str:
        return self._plain(self.words.cardinal(value))

    def number(self, value: Number) -> str:
        """`minus one thousand, two hundred thirty-four point five`."""
        return self.words.decimal(value, self._cardinal(value.whole), self.digits)

    def ordinal(self, value: int) -> str:
        """`one hundred first`, or with `and`."""
        return self._plain(self.words.ordinal(value))

    def date(self, value: date) -> str:
        """`Thursday, December twenty-fourth, twenty twenty-six`, or the day first."""
        day, month = self.ordinal(value.day), self.words.month(value)
        spoken = f"the {day} of {month}" if self.british else f"{month} {day}"
        return f"{self.words.weekday(value)}, {spoken}, {self._year(value.year)}"

    def _year(self, year: int) -> str:
        return self._plain(self.words.year(year))

    def time(self, value: time) -> str:
        """On the clock of twelve hours: `six thirty PM`, `six oh five PM`, `noon`."""
        if value.minute == 0 and value.hour in (0, 12):
            return "noon" if value.hour else "midnight"
        hour = self.words.cardinal(value.hour % 12 or 12)
        minute = self.words.cardinal(value.minute)
        if value.minute < 10:
            minute = f"oh {minute}" if value.minute else "o'clock"
        return f"{hour} {minute} {'AM' if value.hour < 12 else 'PM'}"

    def amount(self, value: Amount) -> str:
        """`twelve euros and fifty cents`."""
        cents = hundredths(value, _MINOR)
        if cents is None:
            return f"{self.number(value.number)} {self.words.currency(value.currency, 2)}"
        whole = value.number.whole
        units = f"{self._cardinal(whole)} {self.words.currency(value.currency, whole)}"
        parts = [units] if whole or not cents else []
        if cents:
            parts.append(f"{self.words.cardinal(cents)} {_MINOR[value.currency][cents != 1]}")
        return (f"{self.words.minus} " if value.number.negative else "") + " and ".join(parts)


AMERICAN = English(Words("en", "en", "point", "minus"), _digits("pound"), british=False)
BRITISH = English(Words("en", "en_GB", "point", "minus"), _digits("hash"), british=True)

"""Owns reading what is to be spoken: text in, checked values out. Nothing here may be large."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import date, time

from gateway.errors import BAD_REQUEST, GatewayError

MAX_DIGITS = 64
"""Of the kind `digits`."""
MAX_WHOLE = 15
"""Digits before the point: whoever says more wants them one by one."""
MAX_FRACTION = 10
SHOWN = 40
"""How much of a bad value an error repeats."""

_DIGITS = re.compile(rf"[0-9*#A-D]{{1,{MAX_DIGITS}}}")
_NUMBER = re.compile(rf"([+-]?)0*([0-9]{{1,{MAX_WHOLE}}})(?:\.([0-9]{{1,{MAX_FRACTION}}}))?")
_ORDINAL = re.compile(rf"0*([0-9]{{1,{MAX_WHOLE}}})")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2})")
_AMOUNT = re.compile(r"(\S{1,40}) ([A-Z]{3})")


class Kind(enum.StrEnum):
    """What a text may stand for."""

    DIGITS = "digits"
    NUMBER = "number"
    ORDINAL = "ordinal"
    DATE = "date"
    TIME = "time"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number. fraction: the digits behind the point, as they were written."""

    negative: bool
    whole: int
    fraction: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """Money. currency: ISO 4217."""

    number: Number
    currency: str


def digits(value: str) -> str:
    """Digits, * and #. Raises GatewayError(BAD_REQUEST), as all of these."""
    if not _DIGITS.fullmatch(value):
        raise bad(value, f"no digits: write at most {MAX_DIGITS} of 0-9, * and #")
    return value


def number(value: str) -> Number:
    """Such as -1234.5."""
    found = _NUMBER.fullmatch(value)
    if found is None:
        raise bad(
            value,
            f"no number: write it like -1234.5, with at most {MAX_WHOLE} digits before the point "
            f"and {MAX_FRACTION} behind it",
        )
    sign, whole, fraction = found.groups(default="")
    nothing = not int(whole) and not fraction.strip("0")
    return Number(sign == "-" and not nothing, int(whole), fraction)


def ordinal(value: str) -> int:
    """A whole number from 1 on."""
    found = _ORDINAL.fullmatch(value)
    if found is None or not int(found[1]):
        raise bad(value, f"no ordinal: write a whole number from 1 on, at most {MAX_WHOLE} digits")
    return int(found[1])


def day(value: str) -> date:
    """A calendar date of ISO 8601 (RFC 3339 5.6, full-date), from the year 1000 on."""
    found = _DATE.fullmatch(value)
    if found is None:
        raise bad(value, "no date: write it like 2026-12-24")
    year, month, of_month = map(int, found.groups())
    if year < 1000:
        raise bad(value, "no date that can be said: years begin with 1000")
    try:
        return date(year, month, of_month)
    except ValueError:
        raise bad(value, "no day of the calendar") from None


def time_of_day(value: str) -> time:
    """Hours and minutes, 00:00 to 23:59."""
    found = _TIME.fullmatch(value)
    if found is None:
        raise bad(value, "no time: write it like 18:30")
    hour, minute = map(int, found.groups())
    if hour > 23 or minute > 59:
        raise bad(value, "no time of a day: it ends with 23:59")
    return time(hour, minute)


def amount(value: str) -> Amount:
    """A number and a currency, such as 12.50 EUR."""
    found = _AMOUNT.fullmatch(value)
    if found is None:
        raise bad(value, "no amount: write it like 12.50 EUR")
    return Amount(number(found[1]), found[2])


def bad(value: str, reason: str) -> GatewayError:
    """The error for a value that cannot be spoken; it repeats no more than the beginning."""
    shown = value if len(value) <= SHOWN else value[:SHOWN] + "..."
    # A caller's text goes on into logs, JSON and SIP: nothing in it may end a line or break UTF-8.
    return GatewayError(BAD_REQUEST, f"{shown!a} is {reason}")

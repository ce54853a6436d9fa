"""Owns what a number in E.164 form says about itself: its country and its type."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass

import phonenumbers

# Metadata is otherwise loaded country by country, at the first number of each: a file access in the
# middle of routing. All of it takes 0.1 s and 10 MB, once.
phonenumbers.PhoneMetadata.load_all()

COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166-1 codes of the countries whose number plans are known."""


class NumberType(enum.StrEnum):
    """What a number is for, as libphonenumber tells numbers apart."""

    FIXED_LINE = "fixed_line"
    MOBILE = "mobile"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"  # North America does not tell them apart
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"  # "universal access", company numbers
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """Country (ISO 3166-1; empty: international or unknown) and type of a valid number."""

    country: str
    type: NumberType


_TYPES = {
    getattr(phonenumbers.PhoneNumberType, kind.name): kind
    for kind in NumberType
    if hasattr(phonenumbers.PhoneNumberType, kind.name)
}


@functools.lru_cache(maxsize=4096)
def facts_of(number: str) -> NumberFacts | None:
    """Country and type of `number`, `+` and digits. None: no valid E.164 number."""
    if not (number.startswith("+") and number[1:].isascii() and number[1:].isdigit()):
        return None
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    region = phonenumbers.region_code_for_number(parsed) or ""
    kind = _TYPES.get(phonenumbers.number_type(parsed), NumberType.UNKNOWN)
    return NumberFacts(region if region in COUNTRIES else "", kind)

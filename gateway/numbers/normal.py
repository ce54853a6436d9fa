"""Owns the way from what was dialled to E.164, and the numbers that must never go that way."""

from __future__ import annotations

import functools

import phonenumbers

WITHHELD = frozenset({"", "anonymous", "unavailable", "restricted", "private", "unknown"})
"""User parts under which callers hide (RFC 3323 4.1.1.3, and what trunks send)."""


def _plain(text: str) -> bool:
    """Only digits, perhaps after a plus: phonenumbers would read letters as keys of a telephone."""
    digits = text.removeprefix("+")
    return digits.isascii() and digits.isdigit()


@functools.lru_cache(maxsize=4096)
def to_e164(dialled: str, country: str) -> str | None:
    """`dialled` as a caller in `country` (ISO 3166-1) means it. None: no valid number there.

    Emergency numbers of the country are no E.164 numbers, whatever they look like.
    """
    if not _plain(dialled) or is_emergency(dialled, country):
        return None
    try:
        parsed = phonenumbers.parse(dialled, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def is_emergency(dialled: str, country: str) -> bool:
    """Whether `dialled` is exactly an emergency number of `country`."""
    return _plain(dialled) and bool(phonenumbers.is_emergency_number(dialled, country))


def is_withheld(caller: str) -> bool:
    """Whether the caller shows no identity."""
    return caller.lower() in WITHHELD

"""Telephone numbers: E.164, countries and types. Pure, and the only importer of phonenumbers."""

from gateway.numbers.facts import COUNTRIES, NumberFacts, NumberType, facts_of
from gateway.numbers.normal import is_emergency, is_withheld, to_e164

__all__ = [
    "COUNTRIES",
    "NumberFacts",
    "NumberType",
    "facts_of",
    "is_emergency",
    "is_withheld",
    "to_e164",
]

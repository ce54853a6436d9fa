"""Owns the table of languages, and the choice of one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.speech import values
from gateway.speech.english import AMERICAN, BRITISH
from gateway.speech.french import FRENCH
from gateway.speech.language import Language
from gateway.speech.values import Kind

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "en": AMERICAN,  # as CLDR has it: English of no country is American
        "en-GB": BRITISH,
        "en-US": AMERICAN,
        "fr": FRENCH,
    }
)


def languages() -> tuple[str, ...]:
    """The languages that values can be spoken in (BCP 47)."""
    return tuple(LANGUAGES)


def digit_words(language: str) -> Mapping[str, str] | None:
    """The words of 0-9, *, # and A-D; None: nobody has written that language yet."""
    found = _lookup(language)
    return None if found is None else found.digits


def spoken(kind: str, value: str, language: str) -> str:
    """`value` as words of `language`, which no speech engine can read in two ways.

    kind: see Kind. language: a tag of BCP 47; one that is not there is looked for without its last
    parts (RFC 4647 3.4): fr-CA is spoken as fr. Raises GatewayError(BAD_REQUEST): it says what is
    wrong with which of the three.
    """
    found = _lookup(language)
    if found is None:
        raise values.bad(language, f"no language that values are spoken in: {', '.join(LANGUAGES)}")
    match kind:
        case Kind.DIGITS:
            return " ".join(found.digits[digit] for digit in values.digits(value))
        case Kind.NUMBER:
            return found.number(values.number(value))
        case Kind.ORDINAL:
            return found.ordinal(values.ordinal(value))
        case Kind.DATE:
            return found.date(values.day(value))
        case Kind.TIME:
            return found.time(values.time_of_day(value))
        case Kind.AMOUNT:
            return found.amount(values.amount(value))
        case _:
            raise values.bad(kind, f"nothing that can be spoken: {', '.join(Kind)}")


def _lookup(language: str) -> Language | None:
    by_name = {name.lower(): found for name, found in LANGUAGES.items()}
    tag = language.lower().replace("_", "-")
    while tag and tag not in by_name:
        tag = tag.rpartition("-")[0]
    return by_name.get(tag)

"""Numbers: what people dial becomes E.164, and what is no number stays what it is."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.numbers.facts import NumberFacts, NumberType, facts_of
from gateway.numbers.normal import is_emergency, is_withheld, to_e164


@pytest.mark.parametrize(
    ("dialled", "country", "expected"),
    [
        ("4155550100", "US", "+14155550100"),
        ("14155550100", "US", "+14155550100"),
        ("011493012345678", "US", "+493012345678"),
        ("03012345678", "DE", "+493012345678"),
        ("004915112345678", "DE", "+4915112345678"),
        ("+14155550100", "DE", "+14155550100"),
        # Not numbers there, and no keys of a telephone either:
        ("200", "US", None),
        ("0123", "DE", None),
        ("echo", "US", None),
        ("1800FLOWERS", "US", None),
        ("+", "US", None),
        ("", "US", None),
        # Short enough to be misread, and too important:
        ("112", "DE", None),
        ("911", "US", None),
        ("999", "GB", None),
    ],
)
def test_e164(dialled: str, country: str, expected: str | None) -> None:
    assert to_e164(dialled, country) == expected


@pytest.mark.parametrize(
    ("number", "facts"),
    [
        ("+14155550100", NumberFacts("US", NumberType.FIXED_LINE_OR_MOBILE)),
        ("+4915112345678", NumberFacts("DE", NumberType.MOBILE)),
        ("+19005551234", NumberFacts("US", NumberType.PREMIUM_RATE)),
        ("+18005551234", NumberFacts("US", NumberType.TOLL_FREE)),
        ("+883510000000", NumberFacts("", NumberType.VOIP)),  # international networks
        ("4155550100", None),
        ("+1", None),
        ("+1415555010x", None),
        ("+\uff11\uff14", None),
        ("alice", None),
    ],
)
def test_facts(number: str, facts: NumberFacts | None) -> None:
    assert facts_of(number) == facts


def test_an_emergency_number_is_exact() -> None:
    assert is_emergency("112", "DE")
    assert not is_emergency("1122", "DE")
    assert not is_emergency("0112", "DE")


def test_withheld_callers() -> None:
    assert all(map(is_withheld, ["", "anonymous", "Anonymous", "Restricted"]))
    assert not is_withheld("alice")


@given(
    st.text(alphabet=string.printable + "٣１é", max_size=70), st.sampled_from(["US", "DE", "FR"])
)
def test_whatever_comes_out_is_a_plus_and_digits(text: str, country: str) -> None:
    number = to_e164(text, country)
    assert number is None or (number[0] == "+" and number[1:].isdigit() and number.isascii())
    facts_of(text)

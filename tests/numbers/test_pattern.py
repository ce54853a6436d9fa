"""Dialled-string patterns, against a regular expression as the reference."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.numbers.pattern import MAX_LENGTH, PatternError, parse_pattern

DIALLED = st.text(alphabet="0123456789*#+abXZN.!-[]_", max_size=8)

single = st.sampled_from(["X", "Z", "N", "0", "5", "9", "*", "#", "+", "a", "-"])
sets = st.sampled_from(["[13]", "[2-5]", "[1-37-9]", "[-1]", "[*#]", "[a-b]", "[X]", "[_.!]"])
patterns = st.builds(
    lambda parts, end: "_" + "".join(parts) + end,
    st.lists(st.one_of(single, sets), min_size=1, max_size=6),
    st.sampled_from(["", ".", "!"]),
)


def reference(pattern: str) -> re.Pattern[str]:
    """The same pattern as a regular expression."""
    if not pattern.startswith("_"):
        return re.compile(re.escape(pattern), re.DOTALL)
    out, at, body = "", 0, pattern[1:]
    while at < len(body):
        character = body[at]
        if character == "[":
            end = body.index("]", at)
            inside = body[at + 1 : end]
            out += "[" + re.sub(r"([\\^])", r"\\\1", inside) + "]"
            at = end + 1
            continue
        known = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}
        out += known.get(character, re.escape(character))
        at += 1
    return re.compile(out, re.DOTALL)


@given(patterns, DIALLED)
@settings(deadline=None)
def test_matching_agrees_with_the_reference(pattern: str, dialled: str) -> None:
    expected = reference(pattern).fullmatch(dialled) is not None
    assert (parse_pattern(pattern).mismatch(dialled) is None) == expected


@given(patterns, st.data())
@settings(deadline=None)
def test_what_the_reference_generates_matches(pattern: str, data: st.DataObject) -> None:
    dialled = data.draw(st.from_regex(reference(pattern), fullmatch=True))
    assert parse_pattern(pattern).mismatch(dialled) is None


@given(st.text(min_size=1, max_size=20).filter(lambda text: not text.startswith("_")), st.text())
@settings(deadline=None)
def test_without_underscore_only_the_exact_string_matches(source: str, other: str) -> None:
    pattern = parse_pattern(source)
    assert pattern.mismatch(source) is None
    assert (pattern.mismatch(other) is None) == (source == other)


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_is_a_pattern_or_a_clear_refusal(source: str) -> None:
    try:
        parse_pattern(source)
    except PatternError as error:
        what, _, remedy = str(error).partition(": ")
        assert what
        assert remedy


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("_NXX", ["200", "999"], ["100", "20", "2000", "20a", ""]),
        ("_ZX.", ["123", "10000"], ["12", "012", ""]),
        ("_9!", ["9", "911", "9abc"], ["", "8"]),
        ("_+1NXXNXXXXXX", ["+14155550100"], ["14155550100", "+11155550100"]),
        ("_[13-5]X", ["10", "39", "45", "57"], ["20", "60"]),
        ("_*98", ["*98"], ["98"]),
        ("echo", ["echo"], ["Echo", "echo ", "ech"]),
        ("_echo-N", ["echo-2"], ["echo-1"]),
        ("X", ["X"], ["1"]),
    ],
)
def test_examples(pattern: str, yes: list[str], no: list[str]) -> None:
    parsed = parse_pattern(pattern)
    assert [text for text in yes if parsed.mismatch(text) is not None] == []
    assert [text for text in no if parsed.mismatch(text) is None] == []


@pytest.mark.parametrize(
    "source", ["", "_", "_X.X", "_X!.", "_[12", "_[]", "_[5-2]", "9" * (MAX_LENGTH + 1)]
)
def test_patterns_that_mean_nothing(source: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(source)


def test_the_reason_quotes_nothing_that_was_dialled() -> None:
    pattern = parse_pattern("_NXX")
    assert pattern.mismatch("2x0") == "character 2 differs"
    assert pattern.mismatch("20") == "too short"
    assert pattern.mismatch("2000") == "too long"


def test_a_long_string_costs_no_more_than_its_length() -> None:
    pattern = parse_pattern("_" + "X" * 100 + ".")
    assert pattern.mismatch("1" * 1_000_000) is None

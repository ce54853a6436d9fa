"""What callers hear for digits, numbers, dates, times and amounts; and that hostile values are
refused in words."""

from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.speech.spoken import LANGUAGES, digit_words, languages, spoken
from gateway.speech.values import Kind

# What a speech engine reads in one way only: letters, and what joins words.
WORDS = re.compile(r"[^\W\d_]+(?:[-,' ]+[^\W\d_]+)*")


@pytest.mark.parametrize(
    ("kind", "value", "language", "words"),
    [
        ("digits", "4711", "en", "four seven one one"),
        ("digits", "*0#", "en-US", "star zero pound"),
        ("digits", "*0#", "en-GB", "star zero hash"),
        ("digits", "*9#", "fr", "étoile neuf dièse"),
        ("number", "-1234.5", "en", "minus one thousand, two hundred thirty-four point five"),
        (
            "number",
            "-1234.5",
            "en-GB",
            "minus one thousand, two hundred and thirty-four point five",
        ),
        ("number", "-1234.5", "fr", "moins mille deux cent trente-quatre virgule cinq"),
        ("number", "-0.05", "en", "minus zero point zero five"),
        ("number", "-0.0", "en", "zero point zero"),
        ("number", "0.10", "fr", "zéro virgule un zéro"),
        ("number", "+007", "en", "seven"),
        ("number", "71", "fr", "soixante et onze"),
        ("ordinal", "1", "en", "first"),
        ("ordinal", "112", "en-GB", "one hundred and twelfth"),
        ("ordinal", "112", "en-US", "one hundred twelfth"),
        ("ordinal", "1", "fr", "premier"),
        ("ordinal", "21", "fr", "vingt et unième"),
        ("ordinal", "80", "fr", "quatre-vingtième"),
        ("ordinal", "200", "fr", "deux centième"),
        ("ordinal", "3", "fr", "troisième"),
        ("date", "2026-12-24", "en", "Thursday, December twenty-fourth, twenty twenty-six"),
        (
            "date",
            "2026-12-24",
            "en-GB",
            "Thursday, the twenty-fourth of December, twenty twenty-six",
        ),
        ("date", "2026-12-24", "fr", "jeudi vingt-quatre décembre deux mille vingt-six"),
        ("date", "2005-05-01", "fr", "dimanche premier mai deux mille cinq"),
        ("date", "2005-05-01", "en", "Sunday, May first, two thousand five"),
        ("date", "1905-05-01", "en", "Monday, May first, nineteen oh-five"),
        ("time", "18:30", "en", "six thirty PM"),
        ("time", "00:05", "en-GB", "twelve oh five AM"),
        ("time", "12:00", "en", "noon"),
        ("time", "13:00", "en", "one o'clock PM"),
        ("time", "18:30", "fr", "dix-huit heures trente"),
        ("time", "21:01", "fr", "vingt et une heures une"),
        ("time", "01:00", "fr", "une heure"),
        ("time", "00:00", "fr", "minuit"),
        ("amount", "12.50 EUR", "en", "twelve euros and fifty cents"),
        ("amount", "1.01 GBP", "en-GB", "one British pound and one penny"),
        ("amount", "-0.99 USD", "en", "minus ninety-nine cents"),
        ("amount", "0 USD", "en", "zero US dollars"),
        ("amount", "5.00 JPY", "en", "five Japanese yen"),
        ("amount", "5.125 KWD", "en", "five point one two five Kuwaiti dinars"),
        ("amount", "12.50 EUR", "fr", "douze euros et cinquante centimes"),
        ("amount", "1.01 EUR", "fr", "un euro et un centime"),
        ("amount", "21 GBP", "fr", "vingt et une livres sterling"),
        ("amount", "2000000 EUR", "fr", "deux millions d'euros"),
        ("amount", "3000000 CHF", "fr", "trois millions de francs suisses"),
        ("amount", "0.80 EUR", "fr", "quatre-vingts centimes"),
    ],
)
def test_values_are_spoken_as_people_say_them(
    kind: str, value: str, language: str, words: str
) -> None:
    assert spoken(kind, value, language) == words


@pytest.mark.parametrize("language", ["fr-CA", "fr_FR", "FR", "fr-Latn-CH"])
def test_a_language_is_found_without_its_region(language: str) -> None:
    assert spoken("number", "2", language) == "deux"


@pytest.mark.parametrize("tag", languages())
def test_every_language_has_a_word_for_every_key_and_no_two_sound_alike(tag: str) -> None:
    words = digit_words(tag)
    assert words is not None
    assert "".join(words) == "0123456789*#ABCD"
    assert len(set(words.values())) == 16


@pytest.mark.parametrize(
    ("kind", "value", "language", "reason"),
    [
        ("digits", "12a", "en", "'12a' is no digits"),
        ("digits", "", "en", "is no digits"),
        ("digits", "٣", "en", "is no digits"),
        ("digits", "1" * 65, "en", "at most 64"),
        ("number", "1e9", "en", "'1e9' is no number"),
        ("number", "nan", "fr", "is no number"),
        ("number", "1" * 10_000, "en", "at most 15 digits"),
        ("number", "0." + "1" * 11, "en", "and 10 behind it"),
        ("ordinal", "0", "en", "from 1 on"),
        ("ordinal", "-1", "fr", "from 1 on"),
        ("date", "2026-02-30", "en", "no day of the calendar"),
        ("date", "24.12.2026", "en", "write it like 2026-12-24"),
        ("date", "0999-01-01", "en", "years begin with 1000"),
        ("time", "24:00", "en", "ends with 23:59"),
        ("time", "6pm", "fr", "write it like 18:30"),
        ("amount", "12.50", "en", "write it like 12.50 EUR"),
        ("amount", "12,50 EUR", "en", "'12,50' is no number"),
        ("amount", "1 ZZZ", "fr", "'ZZZ' is no currency"),
        ("colour", "red", "en", "digits, number, ordinal, date, time, amount"),
        ("number", "1", "tlh", "en, en-GB, en-US, fr"),
        ("number", "1", "", "no language"),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_reason(
    kind: str, value: str, language: str, reason: str
) -> None:
    with pytest.raises(GatewayError) as refused:
        spoken(kind, value, language)
    assert refused.value.verdict.code == "bad_request"
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300


_ANYTHING = st.text(max_size=80)
_NEARLY = st.text("0123456789+-.:*#AB EURGBPJXZ\n\0٣²", max_size=24)


@given(
    kind=st.sampled_from(list(Kind)) | _ANYTHING,
    value=_ANYTHING | _NEARLY,
    language=st.sampled_from(languages()) | _ANYTHING,
)
@example(kind="number", value="9" * 15 + "." + "9" * 10, language="fr")
@example(kind="digits", value="\ud800", language="\ud800")
@example(kind="time", value="18:30\n", language="en")
def test_hostile_input_is_spoken_or_refused(kind: str, value: str, language: str) -> None:
    try:
        words = spoken(kind, value, language)
    except GatewayError as error:
        refused, words = error.verdict, None
    if words is None:
        assert refused.code == "bad_request"
        assert refused.text.isprintable()
        assert refused.text.isascii()
    else:
        assert WORDS.fullmatch(words), words
        assert len(words) < 500


@given(
    st.sampled_from(languages()),
    st.dates(min_value=datetime.date(1000, 1, 1)),
    st.times(),
    st.integers(-(10**15) + 1, 10**15 - 1),
)
def test_every_date_time_and_number_is_words_alone(
    language: str, day: datetime.date, time: datetime.time, number: int
) -> None:
    for kind, value in (
        (Kind.DATE, day.isoformat()),
        (Kind.TIME, time.isoformat("minutes")),
        (Kind.NUMBER, str(number)),
        (Kind.ORDINAL, str(abs(number) or 1)),
        (Kind.AMOUNT, f"{number}.{time.minute:02} EUR"),
    ):
        assert WORDS.fullmatch(spoken(kind, value, language))


def test_the_languages_that_ship_are_listed() -> None:
    assert languages() == tuple(LANGUAGES) == ("en", "en-GB", "en-US", "fr")

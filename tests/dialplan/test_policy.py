"""Numbers, identities and destinations: what contexts, trunks and emergencies do with them."""

from __future__ import annotations

import pytest

from gateway.dialplan import DialTrunk, Origin, Route
from tests.dialplan.plans import ask, number, problems, rule, shown, status, target

ANY = 'rules: [{match: _., dial: {trunk: t, number: "${callee}"}}]'


def browser(settings: str, rest: str = "") -> str:
    """A plan that sends everything to the trunk t."""
    return f"contexts:\n  browser: {{{settings}, {ANY}}}\n{rest}"


# ---- normalising ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "dialled", "expected"),
    [
        ("{country: US}", "4155550100", "+14155550100"),
        ("{country: DE}", "03012345678", "+493012345678"),
        ("{country: DE}", "0044 2079460000".replace(" ", ""), "+442079460000"),
        ("{country: DE}", "+14155550100", "+14155550100"),
        ("{country: DE}", "200", "200"),  # an extension
        ("{country: DE}", "echo", "echo"),
        ("{country: DE}", "*98", "*98"),
        ("{country: DE}", "112", "112"),
        ("{country: US, strip: '9'}", "94155550100", "+14155550100"),
        ("{country: US, strip: ['91', '9']}", "914155550100", "+14155550100"),
        ("{country: US, strip: '9'}", "9911", "911"),
        ("{strip: '9'}", "9", "9"),  # nothing would be left
        ("{strip: '9', prefix: '+49'}", "930123", "+4930123"),
        ("{strip: '9', prefix: '+49'}", "230", "230"),  # no 9, no outside line
        ("{prefix: '+'}", "14155550100", "+14155550100"),
        ("{prefix: '+'}", "echo", "echo"),
    ],
)
def test_numbers_are_normalised_by_context(numbers: str, dialled: str, expected: str) -> None:
    found = ask(browser(f"numbers: {numbers}"), dialled)
    assert found.callee == expected
    assert number(found) == expected


def test_rules_see_the_normalised_number_and_templates_what_was_dialled() -> None:
    text = """
    contexts:
      browser:
        numbers: {country: US}
        rules: [{match: _+1N., dial: {trunk: t, number: "${callee}", caller: "${dialled}"}}]
    """
    found = ask(text, "4155550100", "4155550199")
    assert (number(found), shown(found)) == ("+14155550100", "4155550100")
    assert found.caller == "+14155550199"


TRUNK = """
trunks:
  de: {incoming: {country: DE, strip: "0049", prefix: "0"}}
  plus: {incoming: {prefix: "+"}, outgoing: {strip: "+", prefix: "00"}}
contexts:
  de: [{match: _., dial: {trunk: plus, number: "${callee}"}}]
  plus: [{match: _., dial: {trunk: de, number: "${callee}"}}]
"""


def test_trunks_write_numbers_their_own_way() -> None:
    came = {"origin": Origin.TRUNK}
    found = ask(TRUNK, "00493012345678", "015112345678", source="de", **came)
    assert (found.callee, found.caller) == ("+493012345678", "+4915112345678")
    assert number(found) == "00493012345678"
    found = ask(TRUNK, "493012345678", "14155550100", source="plus", **came)
    assert (number(found), shown(found)) == ("+493012345678", "+14155550100")


def test_a_trunk_that_is_not_configured_is_found() -> None:
    found = problems("contexts: {browser: {numbers: {country: XX}}}")
    assert "no country 'XX'" in found[0]


# ---- identities -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callers", "caller", "expected"),
    [
        ("{}", "alice", "alice"),
        ("{allow: _+1.}", "+14155550100", "+14155550100"),
        ("{allow: _+1.}", "alice", ""),
        ("{allow: _+1., default: '+14155550100'}", "alice", "+14155550100"),
        ("{allow: ['200', _3XX]}", "345", "345"),
        ("{default: '+14155550100'}", "", "+14155550100"),
        ("{default: '+14155550100'}", "alice", "alice"),
    ],
)
def test_which_identity_is_shown(callers: str, caller: str, expected: str) -> None:
    assert shown(ask(browser(f"callers: {callers}"), "1", caller)) == expected
    trunk = f"trunks: {{t: {{callers: {callers}}}}}\n"
    assert shown(ask(browser("numbers: {}", trunk), "1", caller)) == expected


def test_a_rules_own_caller_passes_the_policy_too() -> None:
    text = """
    contexts:
      browser:
        callers: {allow: "200", default: "201"}
        rules: [{match: _., dial: {trunk: t, number: "1", caller: "${caller}0"}}]
    """
    assert shown(ask(text, "1", "20")) == "200"
    assert shown(ask(text, "1", "99")) == "201"


def test_an_identity_can_be_withheld() -> None:
    text = "contexts: {browser: [{match: _., dial: {trunk: t, number: '1', withhold: true}}]}"
    assert shown(ask(text, "1", "alice")) == "anonymous"


def test_callers_that_hide_can_be_refused() -> None:
    text = browser("callers: {withheld: refuse}")
    assert status(ask(text, "1", "anonymous")) == 433  # RFC 5079
    assert status(ask(text, "1", "")) == 433
    assert status(ask(text, "1", "alice")) is None


# ---- destinations -----------------------------------------------------------------------------

GERMAN, MOBILE, AMERICAN = "+493012345678", "+4915112345678", "+14155550100"
PREMIUM = "+19005551234"


@pytest.mark.parametrize(
    ("destinations", "allowed", "denied"),
    [
        ("{}", [GERMAN, AMERICAN, "200", "echo"], [PREMIUM]),
        ("{allow: {countries: DE}}", [GERMAN, MOBILE], [AMERICAN, "200", "echo"]),
        ("{allow: {types: mobile}}", [MOBILE, AMERICAN], [GERMAN]),
        ("{allow: {countries: DE, types: mobile}}", [MOBILE], [GERMAN, AMERICAN]),
        ("{allow: {countries: US}}", [AMERICAN], [PREMIUM]),
        ("{allow: {countries: US, types: premium_rate}}", [PREMIUM], [AMERICAN]),
        ("{allow: {prefixes: '+4930'}}", [GERMAN], [MOBILE, "4930"]),
        ("{allow: {numbers: [_2XX, echo]}}", ["200", "echo"], [GERMAN, "345"]),
        ("{allow: {numbers: _2XX, countries: DE}}", ["200", GERMAN], [AMERICAN]),
        ("{allow: {}}", [], [GERMAN, "200"]),
        ("{deny: {countries: DE}}", [AMERICAN, "200"], [GERMAN]),
        ("{deny: {types: mobile}}", [GERMAN], [MOBILE, AMERICAN]),
        ("{deny: {prefixes: '+4930'}}", [MOBILE], [GERMAN]),
        ("{deny: {numbers: _2XX}}", [GERMAN], ["200"]),
        ("{allow: {countries: DE}, deny: {types: mobile}}", [GERMAN], [MOBILE]),
        ("{allow: {countries: DE}, deny: {prefixes: '+4930'}}", [MOBILE], [GERMAN]),
    ],
)
def test_destinations(destinations: str, allowed: list[str], denied: list[str]) -> None:
    text = browser(f"destinations: {destinations}")
    assert [status(ask(text, callee)) for callee in allowed] == [None] * len(allowed)
    assert [status(ask(text, callee)) for callee in denied] == [403] * len(denied)


def test_what_counts_is_the_number_that_leaves() -> None:
    text = """
    contexts:
      browser:
        numbers: {country: US}
        rules:
          - {match: _8(X.), dial: {trunk: t, number: "${1}"}}
          - {match: _7(X.), dial: {trunk: t, number: "+1${1}"}}
    """
    assert status(ask(text, "89005551234")) == 403  # written as the country's own number
    assert status(ask(text, "79005551234")) == 403
    assert status(ask(text, "74155550100")) is None


def test_a_refused_destination_is_refused_and_no_later_rule_is_tried() -> None:
    text = """
    contexts:
      browser:
        - {name: out, match: _+., dial: {trunk: t, number: "${callee}"}}
        - {name: other, match: _., dial: {trunk: u, number: "${callee}"}}
    """
    found = ask(text, PREMIUM)
    assert (rule(found), status(found)) == ("out", 403)
    assert isinstance(found.outcome, Route)
    assert PREMIUM not in "".join(found.outcome.trace)


def test_browser_users_are_no_destinations_of_a_trunk() -> None:
    text = """
    contexts:
      browser: {destinations: {allow: {}}, rules: [{match: _., dial: {user: "${callee}"}}]}
    """
    assert status(ask(text, "alice")) is None


# ---- emergencies ------------------------------------------------------------------------------

EMERGENCY = """
emergency: {numbers: [911, 112], trunk: safe}
trunks:
  safe: {outgoing: {prefix: "00"}, callers: {allow: _+1., default: "+14155550100"}}
contexts:
  browser:
    numbers: {country: US, strip: "9", prefix: "1"}
    destinations: {allow: {countries: DE}}
    callers: {withheld: refuse}
    rules:
      - {match: "911", reject: }
      - {match: _0(.), goto: {context: browser, callee: "${1}"}}
      - {match: _., reject: }
  safe: [{name: desk, match: "911", dial: {user: desk}}]
"""


@pytest.mark.parametrize("dialled", ["911", "112", "9911", "0911"])
@pytest.mark.parametrize("context", ["browser", "nowhere"])
def test_emergency_numbers_go_out_untouched_whatever_the_rules_say(
    dialled: str, context: str
) -> None:
    if context == "nowhere" and len(dialled) > 3:
        return
    found = ask(EMERGENCY, dialled, "alice", context=context)
    assert rule(found) == ("emergency")
    assert number(found) == dialled[-3:]
    if context == "browser":
        assert shown(found) == "+14155550100"


def test_a_number_that_only_begins_like_one_is_none() -> None:
    assert status(ask(EMERGENCY, "9113", "alice")) == 403


def test_a_trunks_calls_to_emergency_numbers_are_ordinary_ones() -> None:
    found = ask(EMERGENCY, "911", "555", origin=Origin.TRUNK, source="safe")
    assert rule(found) == "desk"


def test_emergency_callers_may_show_a_fixed_identity() -> None:
    text = """
    emergency: {numbers: "112", trunk: t, caller: "+4930123"}
    contexts: {browser: }
    """
    assert target(ask(text, "112", "alice").outcome) == DialTrunk("t", "112", "+4930123")


def test_a_rule_that_dials_an_emergency_number_changes_nothing_of_it() -> None:
    text = """
    emergency: {numbers: "911", trunk: safe}
    trunks: {t: {outgoing: {prefix: "00"}}}
    contexts: {browser: {destinations: {allow: {}},
                         rules: [{match: help, dial: {trunk: t, number: "911"}}]}}
    """
    assert number(ask(text, "help")) == "911"

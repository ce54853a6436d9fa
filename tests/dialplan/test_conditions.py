"""Conditions: each decides alone, all have to hold, and each says why it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialplan import NoRoute, Request, Route
from tests.dialplan.plans import ask, number, plan, problems, rule


def one(conditions: str) -> str:
    """A plan with one rule that has these conditions, and captures to show."""
    return f"contexts: {{browser: [{{name: it, {conditions}, echo: }}]}}"


@pytest.mark.parametrize(
    ("conditions", "matches", "fails"),
    [
        ("match: echo", ["echo"], ["Echo", "echo1", "ech"]),
        ("match: [echo, _2XX]", ["echo", "234"], ["345"]),
        ("callee: {match: [echo, _2XX]}", ["echo", "234"], ["345"]),
        ("callee: {regex: '2[0-9]+'}", ["23", "2345"], ["2", "123", "12"]),
        ("callee: {prefix: '+49'}", ["+4930"], ["+4830", "4930"]),
        ("callee: {prefix: ['+49', '+43']}", ["+4930", "+43123"], ["+1415"]),
        ("callee: {prefix: '+49', regex: '.*00'}", ["+4900"], ["+4901", "+4800"]),
        ("callee: {country: DE}", ["+493012345678"], ["+14155550100", "03012345678"]),
        ("callee: {country: [DE, us]}", ["+493012345678", "+14155550100"], ["+33123456789"]),
        ("callee: {type: mobile}", ["+4915112345678", "+14155550100"], ["+493012345678", "1"]),
        ("callee: {type: premium_rate}", ["+19005551234"], ["+14155550100"]),
        ("callee: {country: DE, type: [mobile]}", ["+4915112345678"], ["+14155550100"]),
    ],
)
def test_conditions_on_the_callee(conditions: str, matches: list[str], fails: list[str]) -> None:
    assert [rule(ask(one(conditions), callee)) for callee in matches] == ["it"] * len(matches)
    assert [rule(ask(one(conditions), callee)) for callee in fails] == [None] * len(fails)


@pytest.mark.parametrize(
    ("conditions", "matches", "fails"),
    [
        ("caller: alice", ["alice"], ["bob", ""]),
        ("caller: [alice, _5.]", ["alice", "555"], ["bob"]),
        ("caller: {country: US}", ["+14155550100"], ["+493012345678", "alice", ""]),
        ("caller: {withheld: true}", ["", "anonymous", "Anonymous"], ["alice"]),
        ("caller: {withheld: false}", ["alice"], ["", "anonymous"]),
        ("caller: {regex: '[a-m].*'}", ["alice"], ["zoe"]),
        ("match: _., caller: alice", ["alice"], ["bob"]),
    ],
)
def test_conditions_on_the_caller(conditions: str, matches: list[str], fails: list[str]) -> None:
    assert [rule(ask(one(conditions), "1", who)) for who in matches] == ["it"] * len(matches)
    assert [rule(ask(one(conditions), "1", who)) for who in fails] == [None] * len(fails)


@pytest.mark.parametrize(
    ("conditions", "headers", "matches"),
    [
        ("headers: {X-Tier: gold}", {"x-tier": "gold"}, True),
        ("headers: {X-Tier: gold}", {"X-TIER": "gold"}, True),
        ("headers: {X-Tier: gold}", {"X-Tier": "golden"}, False),
        ("headers: {X-Tier: gold}", {}, False),
        ("headers: {X-Tier: {regex: 'g.*'}}", {"X-Tier": "gold"}, True),
        ("headers: {X-Tier: {regex: 'g.*'}}", {"X-Tier": "a gold"}, False),
        ("headers: {X-Tier: {}}", {"X-Tier": ""}, True),
        ("headers: {X-Tier: {present: false}}", {}, True),
        ("headers: {X-Tier: {present: false}}", {"X-Tier": "gold"}, False),
        ("headers: {A: 1, B: 2}", {"A": "1", "B": "2"}, True),
        ("headers: {A: 1, B: 2}", {"A": "1"}, False),
    ],
)
def test_conditions_on_headers(conditions: str, headers: dict[str, str], matches: bool) -> None:
    assert rule(ask(one(conditions), "1", headers=headers)) == ("it" if matches else None)


def test_conditions_on_variables() -> None:
    text = one("vars: {lang: fr, tier: {regex: 'g.*'}}")
    assert rule(ask(text, "1", variables={"lang": "fr", "tier": "gold"})) == "it"
    assert rule(ask(text, "1", variables={"lang": "fr", "tier": "silver"})) is None
    assert rule(ask(text, "1")) is None


@pytest.mark.parametrize(
    ("guard", "matches"),
    [
        ("caller == 'alice' && callee.startsWith('+49')", True),
        ("caller == 'bob'", False),
        ("country == 'DE' && type == 'mobile'", True),
        ("headers['x-tier'] == 'gold'", True),
        ("'x-tier' in headers && !('x-none' in headers)", True),
        ("headers['x-none'] == ''", False),
        ("vars.lang == 'fr'", True),
        ("vars.none == 'fr'", False),
        ("dialled == callee && origin == 'browser' && context == 'browser'", True),
        ("[1, 2].exists(x, x == size(vars.lang))", True),
        ("int(caller) > 1", False),
        ("1 / size(vars.empty) == 1", False),
    ],
)
def test_guards(guard: str, matches: bool) -> None:
    found = ask(
        one(f'when: "{guard}"'),
        "+4915112345678",
        "alice",
        headers={"X-Tier": "gold"},
        variables={"lang": "fr", "empty": ""},
    )
    assert rule(found) == ("it" if matches else None)


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ("caller ==", "no CEL expression"),
        ("caler == 'x'", "the guard's 'caler' is no variable"),
        ("caller", "neither true nor false"),
        ("caller > 5", "mixes types"),
        ("nothing(caller)", "unknown name"),
        ("", "an empty guard"),
        ("x" * 501, "longer than 500"),
    ],
)
def test_a_guard_that_cannot_work_is_found_at_load(guard: str, message: str) -> None:
    (found,) = problems(f'contexts:\n  browser:\n    - {{when: "{guard}", echo: }}\n')
    assert found.startswith("plan.yaml:3:14: ")
    assert message in found


@pytest.mark.parametrize("guard", ["caller.__class__ == ''", "__import__('os') == ''"])
def test_a_guard_has_no_way_into_python(guard: str) -> None:
    assert problems(f'contexts:\n  browser:\n    - {{when: "{guard}", echo: }}\n')


# ---- captures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "template", "expected"),
    [
        ("match: _9(X.)", "${1}", "4155"),
        ("match: _9(X)(X.)", "${2}-${1}", "155-4"),
        ("match: _9(.)", "00${1}", "004155"),
        ("match: _9(!)", "${1:2}", "55"),
        ("callee: {regex: '9([0-9])([0-9]+)'}", "${2}${1}", "1554"),
        ("callee: {regex: '9(x)?([0-9]+)'}", "a${1}${2}", "a4155"),
    ],
)
def test_captures_fill_templates(condition: str, template: str, expected: str) -> None:
    text = f'contexts: {{browser: [{{{condition}, dial: {{trunk: t, number: "{template}"}}}}]}}'
    assert number(ask(text, "94155")) == expected


@pytest.mark.parametrize(
    ("condition", "template"),
    [("match: _9(X.)", "${2}"), ("match: _9X.", "${1}"), ("caller: _9(X.)", "${1}")],
)
def test_captures_that_nothing_captures_are_found_at_load(condition: str, template: str) -> None:
    text = f'contexts: {{browser: [{{{condition}, dial: {{user: "{template}"}}}}]}}'
    (found,) = problems(text)
    assert "without that many captures" in found


# ---- what is told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "more", "reason"),
    [
        ("caller: bob", {}, "caller: character 1 differs"),
        ("match: [a, b]", {}, "none of 2 patterns"),
        ("callee: {prefix: '+1'}", {}, "another prefix"),
        ("callee: {regex: x}", {}, "the expression does not match"),
        ("callee: {country: US}", {}, "callee: another country"),
        ("callee: {type: mobile}", {}, "callee: another type of number"),
        ("caller: {country: US}", {}, "caller: no E.164 number"),
        ("caller: {withheld: true}", {}, "caller: not withheld"),
        ("headers: {X-A: b}", {}, "no header x-a"),
        ("headers: {X-A: b}", {"headers": {"X-A": "s3cret"}}, "header x-a differs"),
        ("vars: {a: b}", {}, "no variable a"),
        ("time: {hours: '01:00-02:00'}", {}, "time: outside the hours"),
        ("time: {hours: '01:00-02:00'}", {"at": None}, "the time is not known"),
        ("when: \"caller == 'bob'\"", {}, "the guard is false"),
        ("when: \"vars.x == ''\"", {}, "the guard needs a value that this call does not have"),
    ],
)
def test_the_trace_says_why_not_and_quotes_nothing(
    conditions: str, more: dict[str, object], reason: str
) -> None:
    found = ask(one(conditions), "+493012345678", "alice", **more)
    assert found.outcome == NoRoute((f"browser[1] it: {reason}",))


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=10), st.text(max_size=40)))
def test_no_trace_quotes_what_a_caller_sent(caller: str, headers: dict[str, str]) -> None:
    text = one("match: _2., caller: bob, headers: {X-A: b}, when: \"headers['x-b'] == caller\"")
    marked = {name: f"\u2620{value}" for name, value in headers.items()}
    found = plan(text).route(Request("browser", f"\u2620{caller}", "2\u2620", headers=marked))
    assert not isinstance(found, Route)
    assert "\u2620" not in "".join(found.trace)

"""Hostile callers: what they send is data. It is compared, never run, and reaches no SIP URI."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialplan import Request, Route
from tests.dialplan.plans import ask, plan, problems, trunk

SAFE = frozenset(string.ascii_letters + string.digits + "+*#_.~-")
PLAN = """
contexts:
  browser:
    numbers: {country: US}
    rules:
      - {name: boss, caller: boss, dial: {trunk: t, number: "1"}}
      - {name: gold, headers: {X-Tier: gold}, dial: {trunk: t, number: "2"}}
      - {name: guard, when: "caller == 'boss' || headers['x-tier'] == 'gold'",
         dial: {trunk: t, number: "3"}}
      - {name: odd, callee: {regex: "(a+)+b"}, dial: {trunk: t, number: "4"}}
      - name: rest
        match: _(.)
        steps:
          - set: {who: "${caller}", what: "${1}"}
          - dial: {trunk: t, number: "${callee}", caller: "${vars.who}"}
"""
hostile = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="${}:callervs.'\"|&=()[]<>@;?%\r\n\t\0 *+\\", max_size=60),
    st.sampled_from(
        [
            "${callee}",
            "${vars.who}",
            "' || true || '",
            '") || caller == "boss',
            "boss'",
            "boss\n",
            " boss",
            "BOSS",
            "5>;<sip:boss@evil.example>",
            "{{7*7}}",
            "\ud800",
            "a" * 100_000,
        ]
    ),
)
headers = st.dictionaries(
    st.one_of(st.sampled_from(["X-Other", "x-tier ", "X-Tier\r\n"]), st.text(max_size=12)),
    hostile,
    max_size=4,
).filter(lambda found: all(name.lower() != "x-tier" for name in found))


@given(hostile.filter(lambda caller: caller != "boss"), headers)
@settings(deadline=None)
def test_no_caller_and_no_header_changes_the_route(caller: str, sent: dict[str, str]) -> None:
    found = plan(PLAN).route(Request("browser", caller, "4155550100", headers=sent))
    assert isinstance(found, Route)
    assert found.rule == "browser[5] rest"
    assert trunk(found).number == "+14155550100"
    assert set(trunk(found).caller) <= SAFE


@given(hostile.filter(lambda value: value != "gold"))
@settings(deadline=None)
def test_a_header_is_what_it_says_or_it_is_not(value: str) -> None:
    found = plan(PLAN).route(Request("browser", "alice", "200", headers={"X-Tier": value}))
    assert isinstance(found, Route)
    assert found.rule.endswith("rest")


@given(hostile, hostile)
@settings(deadline=None)
def test_whatever_is_dialled_what_leaves_is_fit_for_a_uri(callee: str, caller: str) -> None:
    found = plan(PLAN).route(Request("browser", caller, callee))
    if isinstance(found, Route):
        sent = trunk(found)
        assert set(sent.number + sent.caller) <= SAFE
        assert 0 < len(sent.number) <= 64


@given(st.dictionaries(st.text(max_size=10), hostile, max_size=3))
@settings(deadline=None)
def test_variables_are_data_too(variables: dict[str, str]) -> None:
    text = "contexts: {browser: [{match: _., dial: {trunk: t, number: '1${vars.x}'}}]}"
    found = plan(text).route(Request("browser", "", "2", variables=variables))
    if isinstance(found, Route):
        assert set(trunk(found).number) <= SAFE


@pytest.mark.parametrize("evil", ["a" * 64, "a" * 63 + "!", "aab" * 21])
def test_an_expression_that_would_explode_elsewhere_takes_linear_time(evil: str) -> None:
    text = "contexts: {browser: [{callee: {regex: '(a|a)*(a|aa)+(a*)*b'}, echo: }]}"
    began = time.process_time()
    for _ in range(100):
        ask(text, evil)
    assert time.process_time() - began < 2  # a backtracking engine needs years


@pytest.mark.parametrize(
    ("regex", "message"),
    [
        ("(", "missing )"),
        ("(?=a)", "no look-around"),
        (r"(a)\1", "no look-around and no back-references"),
        ("((a{100}){100}){100}", "RE2"),
        ("", "an empty expression"),
        ("(a)" * 10, "more than 9 groups"),
    ],
)
def test_expressions_that_cannot_be_are_found_at_load(regex: str, message: str) -> None:
    (found,) = problems(f"contexts:\n  browser: [{{callee: {{regex: '{regex}'}}, echo: }}]\n")
    assert message in found
    assert found.startswith("plan.yaml:2:30: ")

"""The index: many rules, few looks, and the same answer as reading from top to bottom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.dialplan import plan_text, requests
from gateway.config.document import PLAN_CAPS, parse_document
from gateway.dialplan import Plan, Request, decide, plan_from
from gateway.dialplan.rules import INDEX_FROM

MANY = 10_000


@pytest.fixture(scope="module")
def large() -> Plan:
    return plan_from(parse_document(plan_text(MANY), "large.yaml", PLAN_CAPS))


def test_ten_thousand_rules_are_not_ten_thousand_looks(large: Plan) -> None:
    looks = [len(decide(large, request).looks) for request in requests(MANY, 300)]
    assert max(looks) <= 5


def test_a_few_calls_through_ten_thousand_rules_end_as_without_the_index(large: Plan) -> None:
    for request in requests(MANY, 8):
        quick, slow = decide(large, request), decide(large, request, every_rule=True)
        assert _gist(quick) == _gist(slow)
        assert len(quick.looks) < len(slow.looks) or len(slow.looks) < 5


def test_rules_that_any_number_may_match_are_always_looked_at_in_their_place() -> None:
    rules = [f'{{match: "{n}", echo: }}' for n in range(200, 300)]
    rules.insert(50, "{name: always, when: \"caller == 'bob'\", ivr: }")
    plan = plan_from(parse_document(f"contexts: {{browser: [{', '.join(rules)}]}}"))
    found = decide(plan, Request("browser", "bob", "290"))
    assert [look.rule for look in found.looks] == ["browser[51] always"]
    found = decide(plan, Request("browser", "alice", "290"))
    assert [look.rule for look in found.looks] == ["browser[51] always", "browser[92] 290"]


digits = st.sampled_from("0123+a")
numbers = st.text(digits, min_size=1, max_size=5)
places = st.sampled_from(["0", "1", "2", "+", "a", "X", "N", "Z", "[12]", "[0-2a]"])
patterns = st.one_of(
    numbers,
    st.builds(
        lambda body, end: "_" + "".join(body) + end,
        st.lists(places, min_size=1, max_size=4),
        st.sampled_from(["", ".", "!"]),
    ),
    st.sampled_from(["_.", "_!"]),
)
conditions = st.one_of(
    st.fixed_dictionaries({"match": patterns}),
    st.fixed_dictionaries({"match": st.lists(patterns, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"callee": st.fixed_dictionaries({"prefix": numbers})}),
    st.fixed_dictionaries({"callee": st.fixed_dictionaries({"regex": st.just("[0-9]+")})}),
    st.fixed_dictionaries({"caller": patterns}),
    st.fixed_dictionaries({"match": patterns, "caller": patterns}),
    st.fixed_dictionaries({"when": st.sampled_from(["caller == '0'", "size(callee) > 2"])}),
)


def _gist(decision: Any) -> object:
    outcome = decision.outcome
    return getattr(outcome, "rule", None), getattr(outcome, "steps", None)


@given(st.lists(conditions, min_size=1, max_size=12), numbers, numbers)
@settings(max_examples=150, deadline=None)
def test_first_match_stays_first_match(
    rules: list[dict[str, Any]], callee: str, caller: str
) -> None:
    # Enough rules behind them that the index is used at all.
    padding = [{"match": f"never{n}", "echo": None} for n in range(INDEX_FROM)]
    document = parse_document("a: b")
    root: Any = {"contexts": {"browser": [{**each, "ivr": None} for each in rules] + padding}}
    plan = plan_from(type(document)(document.file, root, ""))
    assert plan.contexts["browser"].index is not None
    request = Request("browser", caller, callee)
    assert _gist(decide(plan, request)) == _gist(decide(plan, request, every_rule=True))

"""Routing: first match wins, variables are data, and every decision has its trace."""

from __future__ import annotations

import functools
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.document import ConfigError, parse_document
from gateway.dialplan import (
    DialOut,
    DialTrunk,
    DialUser,
    NoRoute,
    Plan,
    Refuse,
    Request,
    Route,
    RunProgram,
    check_against,
    plan_from,
)
from tests.dialplan.plans import target

PLAN = """
version: 1
contexts:
  browser:
    - match: echo
      echo:
    - match: ivr
      ivr: {}
    - match: "100"
      reject: {status: 486, reason: Busy here}
    - match: _1XX
      dial: {user: alice}
      ring_timeout: 20
    - match: _9.
      dial: {trunk: out, number: "${callee:1}", caller: "+14155550100"}
    - match: _8.
      dial: {trunk: out, number: "+49${callee:1}"}
    - match: _7X
      dial: {user: "desk-${callee:1}"}
    - match: _N!
      dial: {trunk: out, number: "${callee}"}
  out:
    - match: _.
      reject:
  empty:
"""


@functools.cache
def plan(text: str = PLAN) -> Plan:
    return plan_from(parse_document(textwrap.dedent(text), "plan.yaml"))


def route(callee: str, caller: str = "", context: str = "browser") -> Route | NoRoute:
    return plan().route(Request(context, caller, callee))


def action(callee: str, caller: str = "") -> object:
    found = route(callee, caller)
    assert isinstance(found, Route)
    return found.action


def dialled(callee: str, caller: str = "") -> object:
    return target(route(callee, caller))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        plan(text)
    return [str(problem) for problem in refused.value.problems]


# ---- routing --------------------------------------------------------------------------------


def test_programs() -> None:
    assert action("echo") == RunProgram("echo")
    assert action("ivr") == RunProgram("ivr")


def test_the_first_match_wins_with_its_ring_timeout() -> None:
    assert isinstance(action("100"), Refuse)
    found = route("101", caller="555")
    assert isinstance(found, Route)
    assert target(found) == DialUser("alice", "555", 20)
    assert found.ring_timeout == 20
    assert found.rule == "browser[4] _1XX"


def test_numbers_are_made_of_text_and_variables() -> None:
    assert dialled("94155550199") == DialTrunk("out", "4155550199", "+14155550100")
    assert dialled("830123", "555") == DialTrunk("out", "+4930123", "555")
    assert dialled("73") == DialUser("desk-3", "")


def test_a_rule_without_a_timeout_leaves_it_to_the_trunk() -> None:
    found = route("2")
    assert isinstance(found, Route)
    assert found.ring_timeout is None


def test_a_refusal_has_the_rules_status() -> None:
    refused = action("100")
    assert isinstance(refused, Refuse)
    assert (refused.verdict.sip_status, refused.verdict.code) == (486, "busy")
    assert "Busy here" in refused.verdict.text
    plain = plan().route(Request("out", "", "1"))
    assert isinstance(plain, Route)
    assert isinstance(plain.action, Refuse)
    assert plain.action.verdict.sip_status == 403


def test_a_refusal_is_never_blamed_on_a_trunk() -> None:
    odd = plan("contexts:\n  browser:\n    - {match: a, reject: {status: 410, reason: Gone}}\n")
    found = odd.route(Request("browser", "", "a"))
    assert isinstance(found, Route)
    assert isinstance(found.action, Refuse)
    verdict = found.action.verdict
    assert (verdict.sip_status, verdict.code, verdict.blame) == (410, "forbidden", "caller")


def test_no_match_says_of_every_rule_why_not() -> None:
    found = route("1")
    assert found == NoRoute(
        (
            "browser[1] echo: character 1 differs",
            "browser[2] ivr: character 1 differs",
            "browser[3] 100: too short",
            "browser[4] _1XX: too short",
            "browser[5] _9.: character 1 differs",
            "browser[6] _8.: character 1 differs",
            "browser[7] _7X: character 1 differs",
            "browser[8] _N!: character 1 differs",
        )
    )


def test_a_match_ends_the_trace() -> None:
    found = route("ivr")
    assert isinstance(found, Route)
    assert found.trace == ("browser[1] echo: character 1 differs", "browser[2] ivr: matches")


def test_contexts_are_apart() -> None:
    assert isinstance(route("echo", context="out"), Route)
    assert route("echo", context="empty") == NoRoute(("no rules in context 'empty'",))
    assert route("echo", context="other") == NoRoute(("no context 'other' in the dialplan",))


# ---- hostile input --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "callee",
    [
        "",
        "2@evil.example",
        "2;transport=tcp",
        "2?Replaces=x",
        "2>",
        "2 3",
        "2\r\nX-Header: 1",
        "2\x00",
        "2%40evil",
        "sip:2",
        "2" * 65,
        "\uff12\uff10\uff10",
        "2é",
    ],
)
def test_nothing_that_could_change_a_uri_is_ever_routed(callee: str) -> None:
    found = route(callee)
    assert isinstance(found, NoRoute)
    assert callee == "" or callee not in " ".join(found.trace)


@pytest.mark.parametrize("caller", ["5@evil", "5\r\nX: 1", "${callee}", "5" * 65, "<5>"])
def test_a_hostile_caller_id_is_dropped_and_changes_nothing(caller: str) -> None:
    assert dialled("2", caller) == DialTrunk("out", "2", "")


def test_what_a_variable_holds_is_never_parsed() -> None:
    text = 'contexts: {browser: [{match: _., dial: {trunk: out, number: "1${caller}"}}]}'
    for caller in ("${callee}", "$", "{callee}"):
        found = plan(text).route(Request("browser", caller, "2"))
        assert target(found) == DialTrunk("out", "1", "")


def test_a_number_that_comes_out_empty_is_no_route() -> None:
    text = 'contexts: {browser: [{match: _9!, dial: {trunk: out, number: "${callee:1}"}}]}'
    found = plan(text).route(Request("browser", "", "9"))
    assert found == NoRoute(
        ("browser[1] _9!: matches, but its number comes out empty or too long",)
    )


@given(st.text(max_size=80), st.text(max_size=80))
@settings(deadline=None)
def test_whatever_is_routed_is_safe_in_a_uri(caller: str, callee: str) -> None:
    found = route(callee, caller)
    if (
        isinstance(found, Route)
        and isinstance(found.action, DialOut)
        and isinstance(sent := target(found), DialTrunk)
    ):
        for text in (sent.number, sent.caller):
            assert set(text) <= set(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+*#_.~-"
            )


@given(st.sampled_from(["2", "95", "echo", "1", "x@y"]), st.text(max_size=20))
@settings(deadline=None)
def test_a_caller_id_never_decides_the_route(callee: str, caller: str) -> None:
    with_caller, without = route(callee, caller), route(callee)
    assert type(with_caller) is type(without)
    assert with_caller.trace == without.trace


# ---- reading a plan -------------------------------------------------------------------------


def rule(text: str) -> str:
    return f"contexts:\n  browser:\n    - {text}\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (rule("{match: a}"), "3:7", "0 actions in a rule"),
        (rule("{match: a, echo: , ivr: }"), "3:7", "2 actions in a rule"),
        (rule("{echo: }"), "3:7", "'match' is missing"),
        (rule("{match: '_[12', echo: }"), "3:15", "a [ without ]"),
        (rule("{match: a, ecco: }"), "3:18", "unknown key 'ecco' (did you mean 'echo'?)"),
        (rule("{match: a, dial: {}}"), "3:18", "dial needs a trunk or a user"),
        (rule("{match: a, dial: {trunk: t}}"), "3:18", "no number for the trunk"),
        (rule("{match: a, dial: {user: u, number: 1}}"), "3:18", "headers go with"),
        (rule("{match: a, dial: {trunk: t, number: '${x}'}}"), "3:43", "no variable 'x'"),
        (rule("{match: a, dial: {trunk: t, number: 'a${'}}"), "3:43", "begins no variable"),
        (rule("{match: a, dial: {trunk: t, number: '1@h'}}"), "3:43", "no number has"),
        (rule("{match: a, dial: {trunk: t, number: ''}}"), "3:43", "no value"),
        (rule("{match: a, dial: {user: 'a b'}}"), "3:31", "no number has"),
        (rule("{match: a, reject: {status: 200}}"), "3:35", "greater than or equal to 400"),
        (rule('{match: a, reject: {reason: "a\\r\\nb"}}'), "3:35", "reason"),
        (rule("{match: a, echo: , ring_timeout: 3}"), "3:7", "ring_timeout without dial"),
        (rule("{match: a, dial: {user: u}, ring_timeout: soon}"), "3:49", "write a number"),
        (rule("echo"), "3:7", "`key: value` lines"),
        ("contexts:\n  'a b':\n    - {match: a, echo: }\n", "3:5", "pattern"),
        ("version: 2\ncontexts: {}\n", "1:10", "write '1'"),
        ("rules: []\n", "1:1", "unknown key 'rules'"),
        ("rules: []\n", "1:1", "'contexts' is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_remedy(
    text: str, place: str, message: str
) -> None:
    found = problems(text)
    assert any(line.startswith(f"plan.yaml:{place}: ") and message in line for line in found), found
    assert all(line.endswith(")") for line in found)


def test_every_problem_is_told_at_once_and_in_order() -> None:
    found = problems(rule("{match: '_[', echo: }") + "    - {match: b}\n    - {match: _, x: 1}\n")
    assert [line.split(":")[1] for line in found] == ["3", "4", "5", "5"]


# ---- plan and configuration -----------------------------------------------------------------


def crosscheck(text: str, trunks: list[str]) -> list[str]:
    document = parse_document(textwrap.dedent(text), "plan.yaml")
    try:
        check_against(plan_from(document), document, trunks)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_fitting_plan_passes() -> None:
    assert crosscheck(PLAN, ["out", "empty"]) == []


def test_unknown_trunks_and_contexts_are_found_where_they_stand() -> None:
    text = rule("{match: a, dial: {trunk: nope, number: 1}}") + "  lost: []\n"
    assert crosscheck(text, ["out"]) == [
        "plan.yaml:3:32: no trunk 'nope' in the configuration (configured trunks: out)",
        "plan.yaml:4:3: context 'lost' is neither 'browser' nor a trunk (configured trunks: out; "
        "or name it under entry, goto or include)",
    ]


def test_a_rule_that_can_never_match_is_found() -> None:
    (found,) = crosscheck(rule("{match: a, echo: }") + "    - {match: a, ivr: }\n", [])
    assert found.startswith("plan.yaml:4:15: an earlier rule of 'browser' has the same pattern")


def test_a_trunk_may_not_take_the_browsers_context() -> None:
    (found,) = crosscheck("contexts: {}", ["browser"])
    assert "rename the trunk" in found

"""Contexts: who calls decides which rules count; include and goto lead on, never in circles."""

from __future__ import annotations

import pytest

from gateway.dialplan import DialTrunk, DialUser, NoRoute, Origin, Route
from gateway.dialplan.explain import as_json, as_lines
from gateway.dialplan.steps import SHORT
from tests.dialplan.plans import ask, number, plan, problems, rule, status, target

ENTRY = """
entry:
  users: {alice: managers}
  trunks: {provider: incoming}
  keys: {crm: campaigns}
contexts:
  browser: [{name: everybody, match: _., echo: }]
  managers: [{name: managers, match: _., echo: }]
  incoming: [{name: incoming, match: _., echo: }]
  campaigns: [{name: campaigns, match: _., echo: }]
  second: [{name: second, match: _., echo: }]
"""


@pytest.mark.parametrize(
    ("origin", "source", "expected"),
    [
        (Origin.BROWSER, "", "everybody"),
        (Origin.BROWSER, "bob", "everybody"),
        (Origin.BROWSER, "alice", "managers"),
        (Origin.TRUNK, "provider", "incoming"),
        (Origin.TRUNK, "second", "second"),
        (Origin.KEY, "crm", "campaigns"),
        (Origin.KEY, "unknown", None),
        (Origin.TRUNK, "alice", None),  # a trunk's name is no user's
    ],
)
def test_who_calls_decides_the_rules(origin: Origin, source: str, expected: str | None) -> None:
    assert rule(ask(ENTRY, "1", origin=origin, source=source)) == expected


def test_entry_names_contexts_that_there_are() -> None:
    (found,) = problems("entry: {users: {a: nope}}\ncontexts: {browser: }\n")
    assert found == "plan.yaml:1:20: no context 'nope' (contexts of this plan: browser)"


# ---- include ----------------------------------------------------------------------------------

INCLUDE = """
contexts:
  browser:
    include: [common, last]
    rules:
      - {name: own, match: "1", echo: }
      - {name: inner, match: _9X, include: nines}
      - {name: after, match: "92", echo: }
  common: [{name: shared, match: "_[12]", echo: }, {name: more, match: "3", include: nines}]
  last: [{name: rest, match: _X, echo: }]
  nines: [{name: nine, match: "91", echo: }]
"""


@pytest.mark.parametrize(
    ("callee", "expected"),
    [
        ("1", "own"),
        ("2", "shared"),
        ("5", "rest"),
        ("3", "rest"),  # the include found nothing, so the next rules are asked
        ("91", "nine"),
        ("92", "after"),
        ("93", None),
    ],
)
def test_included_rules_come_behind_the_own_ones(callee: str, expected: str | None) -> None:
    assert rule(ask(INCLUDE, callee)) == expected


def test_the_trace_tells_of_included_rules_by_their_own_place() -> None:
    found = ask(INCLUDE, "91").outcome
    assert found.trace == (
        "browser[1] own: character 1 differs",
        "browser[2] inner: matches, includes 'nines'",
        "nines[1] nine: matches",
    )


def test_a_context_that_two_others_include_is_looked_at_once() -> None:
    text = """
    contexts:
      browser: {include: [a, b]}
      a: {include: c}
      b: {include: c}
      c: [{name: only, match: "1", echo: }]
    """
    assert ask(text, "2").outcome == NoRoute(("c[1] only: character 1 differs",))


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        ("browser: {include: a}\n  a: {include: browser}", "browser -> a -> browser"),
        ("browser: {include: browser}", "browser -> browser"),
        ("browser: [{match: _., include: a}]\n  a: {include: browser}", "a -> browser -> a"),
        ("browser: {include: nope}", "no context 'nope'"),
        ("browser: [{match: _., include: nope}]", "no context 'nope'"),
    ],
)
def test_includes_in_circles_and_into_nothing_are_refused(contexts: str, message: str) -> None:
    (found,) = problems(f"contexts:\n  {contexts}\n")
    assert message in found
    assert found.startswith(("plan.yaml:2:", "plan.yaml:3:"))


# ---- goto -------------------------------------------------------------------------------------

GOTO = """
contexts:
  browser:
    - {match: _9(X.), goto: {context: outside, callee: "${1}"}}
    - {match: _8., goto: outside}
    - {match: _7., set: {lang: fr}, goto: inside}
    - {match: _., echo: }
  outside:
    numbers: {country: US}
    rules:
      - {name: us, match: _+1XXXXXXXXXX, dial: {trunk: t, number: "${callee}"}}
  inside:
    - {name: french, vars: {lang: fr}, dial: {user: "fr-${vars.lang}-${callee:1}"}}
"""


def test_goto_goes_on_with_the_other_contexts_rules_and_settings() -> None:
    found = ask(GOTO, "94155550100")
    assert number(found) == "+14155550100"
    assert found.contexts == ("browser", "outside")
    assert found.callee == "+14155550100"


def test_goto_does_not_come_back() -> None:
    found = ask(GOTO, "8123")
    assert isinstance(found.outcome, NoRoute)
    assert found.outcome.trace[-1] == "outside[1] us: character 1 differs"


def test_variables_go_along() -> None:
    found = ask(GOTO, "712").outcome
    assert isinstance(found, Route)
    assert target(found) == DialUser("fr-fr-12", "")
    assert found.variables == {"lang": "fr"}


@pytest.mark.parametrize(
    "contexts",
    [
        "browser: [{match: _., goto: browser}]",
        "browser: [{match: '1', goto: browser}]",
        "browser: [{match: _., goto: a}]\n  a: [{match: _., goto: browser}]",
        "browser: [{match: _1X, goto: a}]\n  a: [{match: _., goto: b}]\n"
        "  b: [{match: _1X, goto: browser}]",
    ],
)
def test_a_goto_that_can_only_run_in_circles_is_refused_at_load(contexts: str) -> None:
    (found,) = problems(f"contexts:\n  {contexts}\n")
    assert "goto runs in a circle" in found
    assert "remove one goto of the circle" in found


@pytest.mark.parametrize(
    "contexts",
    [
        "browser: [{match: _1., goto: a}]\n  a: [{match: _X1, goto: browser}]",
        "browser: [{match: _1., goto: {context: browser, callee: '1${callee}'}}]",
        "browser: [{match: _1., set: {n: 'x${vars.n}'}, goto: browser}]",
        "browser: [{when: size(callee) > 0, goto: {context: a, callee: '${callee}'}}]\n"
        "  a: [{when: 1 < 2, goto: {context: browser, callee: '${callee}'}}]",
    ],
)
def test_a_call_that_runs_in_a_circle_is_refused_in_the_end(contexts: str) -> None:
    assert status(ask(f"contexts:\n  {contexts}\n", "11")) in (482, 404)
    assert len(ask(f"contexts:\n  {contexts}\n", "11").looks) <= 70


def test_goto_there_and_back_with_another_number_is_fine() -> None:
    text = """
    contexts:
      browser:
        - {match: _9(X.), goto: {context: strip, callee: "${1}"}}
        - {match: _X., dial: {trunk: t, number: "${callee}"}}
      strip: [{match: _., goto: browser}]
    """
    assert number(ask(text, "912")) == "12"


# ---- steps ------------------------------------------------------------------------------------


def test_steps_in_full_are_the_short_form() -> None:
    text = """
    contexts:
      browser:
        - match: _9(X.)
          steps:
            - set: {number: "+${1}", who: "${caller}"}
            - dial: {trunk: t, number: "${vars.number}", caller: "${vars.who}", ring_timeout: 7}
    """
    found = ask(text, "949", "alice").outcome
    assert isinstance(found, Route)
    assert target(found) == DialTrunk("t", "+49", "alice", 7)
    assert found.ring_timeout == 7
    assert found.steps == (found.action,)


def test_an_include_among_steps_comes_back_to_the_next_one() -> None:
    text = """
    contexts:
      browser:
        - match: _.
          steps: [set: {a: b}, include: special, dial: {user: "${vars.a}"}]
      special: [{match: "1", vars: {a: b}, echo: }]
    """
    assert rule(ask(text, "1")) == "1"
    found = ask(text, "2").outcome
    assert isinstance(found, Route)
    assert target(found) == DialUser("b", "")


@pytest.mark.parametrize("verb", SHORT)
def test_every_short_verb_has_a_meaning_in_both_forms(verb: str) -> None:
    values = {"dial": "{user: a}", "set": "{a: b}", "goto": "t", "include": "t", "app": "x"}
    step = f"{verb}: {values.get(verb, '')}"
    rest = ", echo: " if verb == "set" else ""
    short = plan(f"contexts: {{browser: [{{match: a, {step}{rest}}}], t: }}")
    long = plan(f"contexts: {{browser: [{{match: a, steps: [{step}{rest}]}}], t: }}")
    assert short.rules[0].steps == long.rules[0].steps
    assert len(short.rules[0].steps) == (2 if verb == "set" else 1)


@pytest.mark.parametrize(
    ("steps", "place", "message"),
    [
        ("[echo: , ivr: ]", "2:38", "steps behind echo never run"),
        ("[set: {a: b}]", "2:37", "set as the last step"),
        ("[]", "2:31", "at least 1 item"),
        ("[jump: x]", "2:32", "unknown key 'jump'"),
        ("[{dial: {trunk: t}}]", "2:33", "no number for the trunk"),
        ("[{dial: {user: u, numbr: 1}}]", "2:49", "did you mean 'number'?"),
        ("[{echo: , ivr: }]", "2:32", "2 verbs in one step"),
        ("[goto: nope]", "2:38", "no context 'nope'"),
        ("[{goto: {context: nope}}]", "2:49", "no context 'nope'"),
        ("[{set: {1a: b}}, echo: ]", "2:43", "1a"),
        ("[{set: {a: '${b}'}}, echo: ]", "2:42", "no variable 'b'"),
    ],
)
def test_steps_that_cannot_be_are_located(steps: str, place: str, message: str) -> None:
    found = problems(f"contexts:\n  browser: [{{match: a, steps: {steps}}}]\n")
    assert any(message in line for line in found), found
    assert any(line.startswith(f"plan.yaml:{place}: ") for line in found), found


def test_steps_and_a_step_of_its_own_are_one_too_many() -> None:
    (found,) = problems("contexts: {browser: [{match: a, echo: , steps: [ivr: ]}]}")
    assert "put all into steps" in found


def test_names_of_rules_are_unique_in_their_context() -> None:
    rules = "[{name: a, match: '1', echo: }, {name: a, match: '2', echo: }]"
    (found,) = problems(f"contexts:\n  browser: {rules}\n")
    assert "two rules of 'browser' have this name" in found


def test_a_call_program_is_told_as_the_step_that_names_it() -> None:
    text = "contexts: {browser: [{match: a, app: menu}, {match: b, echo: }]}"
    assert as_json(ask(text, "a"))["steps"] == [{"app": "menu"}]
    assert as_json(ask(text, "b"))["steps"] == [{"echo": {}}]
    assert "step     app: menu" in as_lines(ask(text, "a"))

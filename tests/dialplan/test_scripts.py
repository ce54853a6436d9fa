"""Which rules decide at once, which become scripts, and how scripts are explained."""

from __future__ import annotations

import pytest

from gateway.dialplan import RunProgram, RunScript
from gateway.dialplan.explain import as_json, as_lines
from gateway.dialplan.script import GotoStep
from tests.dialplan.plans import ask, problems, rule, status, target
from tests.dialplan.test_steps import script, steps

# ---- what decides at once, and what is a script ---------------------------------------------


@pytest.mark.parametrize(
    "inside",
    [
        "[dial: {user: a}]",
        "[echo: ]",
        "[app: x]",
        "[reject: {status: 486}]",
        "[set: {a: b}, dial: {user: a}]",
        "[set: {a: b}, include: menu, ivr: ]",
    ],
)
def test_a_rule_without_verbs_that_take_time_decides_at_once(inside: str) -> None:
    found = ask(steps(inside), "a").outcome
    assert not isinstance(found.action, RunScript)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("inside", "count"),
    [
        ("[answer: ]", 1),
        ("[hangup: ]", 1),
        ("[dial: {user: a}, dial: {user: b}]", 2),
        ("[set: {a: b}, include: menu, say: a, set: {a: c}, goto: menu]", 3),
        ("[play: a, echo: ]", 2),
    ],
)
def test_else_all_steps_from_the_first_such_verb_on_are_a_script(inside: str, count: int) -> None:
    assert len(script(steps(inside), "a").steps) == count


def test_a_script_keeps_what_was_set_before_it() -> None:
    found = ask(steps("[set: {n: '1${callee}'}, say: '${vars.n}', set: {n: x}, echo: ]"), "a")
    route = found.outcome
    assert route.variables == {"n": "1a"}  # type: ignore[union-attr]
    assert script(steps("[say: a, goto: menu, ]"), "a").steps[1:] == (GotoStep("menu"),)
    assert script(steps("[say: a, ivr: ]"), "a").steps[1:] == (RunProgram("ivr"),)


def test_a_refusal_may_be_filled_in_by_a_rule_that_decides_at_once() -> None:
    text = steps("[set: {s: '486'}, reject: {status: '${vars.s}'}]")
    assert status(ask(text, "a")) == 486
    wrong = steps("[set: {s: x}, reject: {status: '${vars.s}'}]")
    assert status(ask(wrong, "a")) == 400


def test_a_dial_whose_number_comes_out_empty_is_no_route_but_other_nonsense_is_refused() -> None:
    text = """
    contexts:
      browser:
        - {name: a, match: _9!, dial: {trunk: t, number: "${callee:1}",
                                       ring_timeout: "${vars.t}"}}
        - {name: b, match: _., dial: {user: "${vars.u}"}}
        - {name: c, match: _., echo: }
    """
    assert rule(ask(text, "9", variables={"t": "5"})) == "c"
    assert rule(ask(text, "91", variables={"t": "5"})) == "a"
    assert target(ask(text, "91", variables={"t": "5"}).outcome).ring_timeout == 5
    assert status(ask(text, "91", variables={"t": "x"})) == 400


@pytest.mark.parametrize("verb", ["gather", "say: a", "pause: 1", "dial: {user: a}", "http: h://"])
def test_a_goto_behind_a_verb_that_waits_is_no_circle(verb: str) -> None:
    verb = verb.replace("h://", "https://example.com/")
    step = verb if ":" in verb else f"{verb}: "
    text = f"contexts: {{browser: [{{match: _., steps: [{step}, goto: browser]}}]}}"
    assert isinstance(script(text, "1").steps[-1], GotoStep)


@pytest.mark.parametrize("verb", ["answer", "ring", "mute"])
def test_a_goto_behind_a_verb_that_takes_no_time_is_one(verb: str) -> None:
    (found,) = problems(f"contexts: {{browser: [{{match: _., steps: [{verb}: , goto: browser]}}]}}")
    assert "goto runs in a circle" in found


# ---- explaining -----------------------------------------------------------------------------


def test_explain_shows_all_steps_and_fills_in_what_is_known() -> None:
    text = """
    contexts:
      browser:
        - match: _9(X.)
          steps:
            - set: {name: "${caller}"}
            - say: Hello ${vars.name}, this is ${1}
            - gather: {question: "A number for ${vars.name}:", max_digits: 2}
            - set: {name: "x${vars.name}", other: "${vars.digits}"}
            - dial: {strategy: sequence, targets: [{trunk: t, number: "${vars.digits}"},
                                                   {user: "${vars.name}"}]}
            - say: "${vars.other} ${vars.dial_status}"
            - http: https://example.com/${vars.name}
            - say: Goodbye ${vars.name}
            - goto: menu
      menu: []
    """
    found = ask(text, "912", "alice", variables={"digits": "old", "dial_status": "old"})
    told = as_json(found)["steps"]
    assert told[0] == {"say": {"text": "Hello alice, this is 12"}}
    assert told[2] == {"set": {"name": "xalice", "other": "${vars.digits}"}}
    assert list(as_lines(found))[-8:] == [
        "step     say: Hello alice, this is 12",
        "step     gather: {question: A number for alice:, max_digits: 2}",
        "step     set: {name: xalice, other: ${vars.digits}}",
        "step     dial: {strategy: sequence, targets: [{trunk: t, number: ${vars.digits}}, "
        "{user: xalice}]}",
        "step     say: ${vars.other} ${vars.dial_status}",
        "step     http: https://example.com/xalice",
        "step     say: Goodbye ${vars.name}",
        "step     goto: menu",
    ]

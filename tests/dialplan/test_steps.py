"""Steps of all verbs: read and judged with the plan, filled in and judged again with the call."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gateway.config.document import ConfigError, parse_document
from gateway.dialplan import RunScript, Script, check_against, plan_from
from gateway.dialplan.script import SetStep
from gateway.dialplan.written import Written
from gateway.errors import GatewayError
from gateway.verbs import Dial, Gather, Goto, Hangup, Play, Say, Set, Verb, step_from
from tests.dialplan.plans import ask, plan, problems

EVERY_VERB = """
contexts:
  browser:
    - match: _9(X.)
      steps:
        - answer:
        - ring: {early_media: true}
        - play: welcome.wav
        - play: {file: https://media.example/a.mp3, loop: 2, volume: -3.5}
        - say: Hello
        - say: {text: 2026-12-24, as: date, language: de, voice: anna}
        - gather: {question: Press a key., max_digits: 1, patterns: ["1", "2"], attempts: 3,
                   not_good: [Wrong., Again.]}
        - gather: {question: [Dial., {file: beep.wav}, {text: "12", as: digits}]}
        - send_dtmf: 1,2
        - pause: 0.5
        - record: {consent: true, format: mp3}
        - record: pause
        - hold: {music: m.wav}
        - unhold:
        - mute: {leg: callee}
        - unmute: {leg: callee}
        - bridge: call-7
        - http: {url: https://example.com/next, timeout: 5, fallback: [{say: Sorry.}, hangup: ]}
        - dial: {user: alice, after_talk: go_on}
        - dial:
            strategy: sequence
            stop_on: [603]
            targets:
              - {trunk: a, number: "1", caller: "2", ring_timeout: 9, headers: {X-Tier: gold}}
              - {user: bob}
        - set: {a: b}
        - hangup: Bye
"""

FILLED_IN = """
contexts:
  browser:
    - match: _9(X)(X.)
      steps:
        - say: "You dialled ${1} ${2}, ${caller}, in ${context}, as ${dialled:1}."
        - say: {text: "${vars.amount}", as: "${vars.kind}", language: "${vars.language}"}
        - play: {file: "${vars.language}/hello.wav", loop: "${vars.loops}"}
        - gather: {question: "Hello ${vars.name}", max_digits: "${vars.max}", leg: "${vars.leg}"}
        - gather: {question: [{text: "1", as: "${vars.kind}"}]}
        - pause: "${vars.seconds}"
        - record: {consent: "${vars.consent}"}
        - dial: {trunk: t, number: "${2}", ring_timeout: "${vars.seconds}",
                 headers: {X-Who: "${caller}"}}
        - http: {url: "https://example.com/${vars.name}?n=${callee}"}
        - reject: {status: "${vars.status}", reason: "${vars.name}"}
"""


def script(text: str, callee: str, caller: str = "", **variables: str) -> Script:
    found = ask(text, callee, caller, variables=variables).outcome
    action = found.action  # type: ignore[union-attr]
    assert isinstance(action, RunScript)
    return action.script


def filled(text: str, callee: str, caller: str = "", **variables: str) -> list[Verb]:
    """The verbs of the script that the call meets."""
    found = script(text, callee, caller, **variables)
    values = found.values(variables)
    return [step.filled(values) for step in found.steps if isinstance(step, Written)]


def steps(inside: str, *, match: str = "a") -> str:
    return f"contexts:\n  browser:\n    - match: {match}\n      steps: {inside}\n  menu: []\n"


# ---- reading ------------------------------------------------------------------------------


def test_every_verb_may_stand_in_a_plan() -> None:
    verbs = filled(EVERY_VERB, "912")
    assert len(verbs) == 21
    assert isinstance(verbs[2], Play)
    assert isinstance(verbs[6], Gather)
    assert verbs[6].max_digits == 1
    assert verbs[6].not_good == ("Wrong.", "Again.")
    assert verbs[7].question == ("Dial.", Play(file="beep.wav"), Say(text="12", spoken_as="digits"))  # type: ignore[attr-defined]
    assert step_from(verbs[9]) == {"pause": {"seconds": 0.5}}
    assert isinstance(verbs[19], Dial)
    assert verbs[19].stop_on == (603,)
    assert verbs[-1] == Hangup(reason="Bye")


@pytest.mark.parametrize(
    ("inside", "place", "message"),
    [
        ("[pause: soon]", "4:22", "write a number"),
        ("[pause: -1]", "4:22", "greater than 0"),
        ("[say: ]", "4:20", "'text' is missing"),
        ("[say: {text: a, loud: yes}]", "4:30", "unknown key 'loud'"),
        ("[say: {text: a, loud: '${vars.x}'}]", "4:30", "unknown key 'loud'"),
        ("[gather: {max_digit: 3}]", "4:24", "did you mean 'max_digits'?"),
        ("[gather: {patterns: '_['}]", "4:34", "a [ without ]"),
        ("[gather: {question: [{txt: a}]}]", "4:36", "unknown key 'txt'"),
        ("[play: {file: a, stop_on: x}]", "4:40", "stop_on"),
        ("[record: start]", "4:23", "a recording without consent"),
        ("[record: {action: '${vars.a}', consent: 7}]", "4:54", "write true or false"),
        ("[send_dtmf: 1-2]", "4:26", "send_dtmf"),
        ("[http: ftp://example.com/]", "4:21", "http: string"),
        ("[http: 'https://${vars.host}/']", "4:21", "an address whose host only the call knows"),
        ("[http: 'https://a${vars.host}/']", "4:21", "an address whose host only the call knows"),
        ("[play: 'http://${vars.host}/a']", "4:21", "an address whose host only the call knows"),
        ("[http: {url: https://a/, fallback: [{jump: a}]}]", "4:50", "no step"),
        ("[http: {url: https://a/, fallback: [{say: a, pause: 1}]}]", "4:50", "no step"),
        ("[http: {url: https://a/, fallback: [{pause: soon}]}]", "4:58", "write a number"),
        (
            "[http: {url: https://a/, timeout: '${vars.t}', fallback: [{jump: a}]}]",
            "4:72",
            "no step",
        ),
        ("[http: {url: https://a/, fallback: [{say: '${x}'}]}]", "4:56", "no variable 'x'"),
        ("[http: {url: https://a/, fallback: [{goto: nope}]}]", "4:57", "no context 'nope'"),
        ("[say: '${nope}']", "4:20", "no variable 'nope'"),
        ("[say: 'a ${']", "4:20", "begins no variable"),
        ("[say: '${1}']", "4:20", "without that many captures"),
        ("[answer: , goto: nope]", "4:31", "no context 'nope'"),
        ("[goto: '${vars.next}']", "4:21", "context"),
        ("[dial: {trunk: '${vars.t}', number: 1}]", "4:29", "a trunk that only the call knows"),
        ("[answer: , dial: {targets: [{trunk: t}]}]", "4:42", "no number for the trunk"),
        ("[answer: , dial: {targets: [{user: 'a b'}]}]", "4:49", "no number has"),
        ("[answer: , include: menu]", "4:34", "include behind a verb"),
        ("[hangup: , say: a]", "4:23", "steps behind hangup never run"),
        ("[say: a, goto: menu, say: b]", "4:29", "steps behind goto never run"),
        ("[say: a, set: {a: b}]", "4:28", "set as the last step"),
    ],
)
def test_what_cannot_be_is_located_when_the_plan_is_read(
    inside: str, place: str, message: str
) -> None:
    found = problems(steps(inside))
    assert any(message in line for line in found), found
    assert any(line.startswith(f"plan.yaml:{place}: ") for line in found), found


def test_all_that_is_wrong_with_one_verb_is_told_at_once() -> None:
    found = problems(steps("[say: {text: '${nope}', voice: '!', leg: left}]"))
    assert [line.split(":")[2] for line in found] == ["27", "45", "55"]


def check(text: str, *trunks: str, programs: tuple[str, ...] = ()) -> list[str]:
    document = parse_document(text, "plan.yaml")
    try:
        check_against(plan_from(document), document, trunks, programs)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_unknown_trunks_and_programs_are_found_among_all_steps() -> None:
    text = """\
contexts:
  browser:
    - match: a
      steps:
        - set: {a: b}
        - say: Hello
        - dial: {trunk: nope, number: 1}
        - dial: {targets: [{trunk: t, number: 1}, {trunk: no, number: 1}]}
        - http: {url: https://a/, fallback: [{dial: {trunk: non, number: 1}}]}
        - app: lost
"""
    assert [line.partition(" (")[0] for line in check(text, "t")] == [
        "plan.yaml:7:25: no trunk 'nope' in the configuration",
        "plan.yaml:8:59: no trunk 'no' in the configuration",
        "plan.yaml:9:61: no trunk 'non' in the configuration",
        "plan.yaml:10:16: no call program 'lost' in the configuration's apps",
    ]


def test_a_context_that_only_a_goto_behind_verbs_names_is_reached() -> None:
    assert check(steps("[say: a, goto: menu]")) == []
    (found,) = check(steps("[say: a]"))
    assert "context 'menu' is neither" in found


def test_where_a_program_or_a_server_may_go_no_context_is_out_of_reach() -> None:
    assert check(steps("[http: https://example.com/]")) == []
    assert check(steps("[app: menu]"), programs=("menu",)) == []


# ---- filling in ---------------------------------------------------------------------------

VALUES = {
    "amount": "12.50 EUR",
    "kind": "amount",
    "language": "de",
    "loops": "2",
    "name": "a/b?c&d e",
    "max": "4",
    "leg": "callee",
    "seconds": "1.5",
    "consent": "true",
    "status": "486",
}


def test_text_is_filled_in_and_judged_again() -> None:
    verbs = [step_from(verb) for verb in filled(FILLED_IN, "9123", "alice", **VALUES)]
    assert verbs == [
        {"say": {"text": "You dialled 1 23, alice, in browser, as 123."}},
        {"say": {"text": "12.50 EUR", "as": "amount", "language": "de"}},
        {"play": {"file": "de/hello.wav", "loop": 2}},
        {"gather": {"question": ["Hello a/b?c&d e"], "max_digits": 4, "leg": "callee"}},
        {"gather": {"question": [{"text": "1", "as": "amount"}]}},
        {"pause": {"seconds": 1.5}},
        {"record": {"consent": True}},
        {
            "dial": {
                "trunk": "t",
                "number": "23",
                "ring_timeout": 1.5,
                "headers": {"X-Who": "alice"},
            }
        },
        {"http": {"url": "https://example.com/a%2Fb%3Fc%26d%20e?n=9123"}},
        {"reject": {"status": 486, "reason": "a/b?c&d e"}},
    ]


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("kind", "shout", "say: as"),
        ("language", "../../etc", "file's name"),
        ("language", "a/b", "file's name"),
        ("loops", "-1", "play: loop"),
        ("max", "many", "gather: max_digits"),
        ("leg", "left", "gather: leg"),
        ("seconds", "", "pause: seconds"),
        ("seconds", "nan", "pause: seconds"),
        ("consent", "false", "a recording without consent"),
        ("status", "200", "reject: status"),
        ("name", "a\r\nX: b", "reject: reason"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_not_quoted(
    name: str, value: str, place: str
) -> None:
    values = VALUES | {name: value}
    found = script(FILLED_IN, "9123", "alice", **values)
    said = []
    for step in found.steps:
        assert isinstance(step, Written)
        with suppress(GatewayError):
            step.filled(found.values(values))
            continue
        with pytest.raises(GatewayError) as refused:
            step.filled(found.values(values))
        assert refused.value.verdict.code == "bad_request"
        said.append(refused.value.verdict.text)
    assert any(place in line for line in said), said
    assert not any(value and value in line for line in said if name != "consent")


def test_what_a_value_holds_is_no_template() -> None:
    (verb,) = filled(steps("[say: '${vars.x} ${vars.y}']"), "a", x="${caller}", y="$", caller="no")
    assert verb == Say(text="${caller} $")


def test_a_dollar_without_a_brace_is_a_dollar() -> None:
    assert filled(steps("[say: It costs $5.]"), "a") == [Say(text="It costs $5.")]


def test_the_vocabulary_is_one() -> None:
    """The written form that programs, REST and webhooks know is what a plan reads."""
    (say,) = filled(steps("[say: {text: a, as: digits}]"), "a")
    assert step_from(say) == {"say": {"text": "a", "as": "digits"}}
    found = script(steps("[answer: , set: {a: b}, goto: menu]"), "a").steps
    assert isinstance(found[1], SetStep)
    assert (Set.verb, Goto.verb) == ("set", "goto")


def test_equal_plans_are_equal() -> None:
    assert plan(EVERY_VERB).rules[0].steps == plan(EVERY_VERB + "\n").rules[0].steps

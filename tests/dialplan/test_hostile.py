"""Hostile callers: what they send is data. It is compared, never run, and reaches no SIP URI."""

from __future__ import annotations

import posixpath
import string
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialplan import DialTrunk, Refuse, Request, Route, RunScript, arrived, resolve
from gateway.dialplan.request import dialable, sound
from gateway.dialplan.rules import BeginScript
from gateway.dialplan.simulate import World, simulate
from gateway.dialplan.written import Written
from gateway.errors import GatewayError
from gateway.verbs import Dial, Http, Play, Say, Target
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


# ---- scripts: keys, servers' variables, headers and callers while a call goes on -----------------

SCRIPTED = """
trunks: {t: {callers: {allow: _+1.}}}
contexts:
  browser:
    numbers: {country: US}
    destinations: {deny: {prefixes: "+49"}}
    rules:
      - match: _.
        steps:
          - http: https://crm.example/${caller}/${vars.id}?digits=${vars.digits}
          - gather: {question: "${vars.name}", max_digits: 64, terminators: ""}
          - say: "${vars.name} ${vars.digits} ${caller}"
          - goto: {context: chosen, callee: "1${vars.digits}"}
  chosen:
    - {name: one, match: "11", vars: {digits: "1"}, echo: }
    - {name: boss, match: _1!, vars: {tier: boss}, ivr: }
    - name: rest
      match: _1!
      steps:
        - say: ${vars.name}
        - play: prompts/${vars.language}/sorry.wav
        - dial:
            strategy: sequence
            targets:
              - {trunk: t, number: "9${vars.number}", caller: "${vars.who}"}
              - {trunk: t, number: "5${vars.digits}"}
              - {user: "u${vars.id}"}
        - hangup: "${vars.name}"
"""
keys = st.text(alphabet="0123456789*#ABCD", max_size=20).filter(lambda digits: digits != "1")
replies = st.fixed_dictionaries(
    dict.fromkeys(("id", "name", "number", "who", "language"), hostile),
    optional={"tier": hostile.filter(lambda tier: tier != "boss")},
)


@given(hostile, headers, keys, replies)
@settings(deadline=None)
def test_nothing_that_comes_while_a_call_goes_on_changes_its_way(
    caller: str, sent: dict[str, str], digits: str, reply: dict[str, str]
) -> None:
    request = Request("browser", caller, "4155550100", headers=sent)
    found = simulate(plan(SCRIPTED), request, World({}, [digits], [[{"set": reply}]]))
    reached = [look.rule for look in found.looks if look.matched]
    if reached[1:] != ["chosen[3] rest"]:  # what is too long to be dialled goes nowhere
        assert reached == ["browser[1] _."]
        assert found.cause.code in {"bad_request", "not_found"}
    assert found.cause.code in {"bad_request", "not_found", "normal"}
    for name in found.dialled:
        assert set(name.partition(":")[2].replace("/", "")) <= SAFE


@given(hostile, hostile, hostile, keys)
@settings(deadline=None)
def test_values_stay_what_they_are_in_every_verb(
    caller: str, name: str, language: str, digits: str
) -> None:
    found = plan(SCRIPTED).route(Request("browser", caller, "4155550100"))
    assert isinstance(found, Route)
    assert isinstance(found.action, RunScript)
    script = found.action.script
    values = script.values({"name": name, "id": name, "language": language, "digits": digits})
    (http, _, say, _) = script.steps
    assert isinstance(http, Written)
    assert isinstance(say, Written)
    with suppress(GatewayError):
        verb = http.filled(values)
        assert isinstance(verb, Http)
        address = urlsplit(verb.url)
        assert (address.scheme, address.netloc, address.fragment) == ("https", "crm.example", "")
        assert address.path.count("/") == 2
        assert address.query.count("=") == 1
        assert "&" not in address.query
    with suppress(GatewayError):
        verb = say.filled(values)
        assert isinstance(verb, Say)
        told = name if sound(name) else ""
        who = caller if dialable(caller) else ""
        assert verb.text == f"{told} {digits} {who}"


@given(hostile)
@settings(deadline=None)
def test_no_value_leads_to_a_file_elsewhere(language: str) -> None:
    (rest,) = [rule for rule in plan(SCRIPTED).rules if rule.name.endswith("rest")]
    (script,) = rest.steps
    assert isinstance(script, BeginScript)
    play = script.steps[1]
    assert isinstance(play, Written)
    with suppress(GatewayError):
        verb = play.filled({"vars.language": language})
        assert isinstance(verb, Play)
        assert posixpath.normpath(verb.file).startswith("prompts/")
        assert verb.file.count("/") == 2


@given(hostile, hostile, hostile)
@settings(deadline=None)
def test_a_dial_of_a_program_is_fit_for_a_uri_or_refused(
    number: str, caller: str, own: str
) -> None:
    facts = arrived(plan(SCRIPTED), Request("browser", own, "100"))
    targets = (
        Target(trunk="t", number=number, caller=caller),
        Target(trunk="u", number=number),
    )
    with suppress(GatewayError):
        found = resolve(plan(SCRIPTED), facts, Dial(targets=targets))
        for target in found.targets:
            assert isinstance(target, DialTrunk)
            assert dialable(target.number)
            assert target.caller == "" or dialable(target.caller)
    if not dialable(number):
        with pytest.raises(GatewayError) as refused:
            resolve(plan(SCRIPTED), facts, Dial(targets=targets))
        assert refused.value.verdict.code == "bad_request"


@given(st.dictionaries(st.sampled_from(["X-A", "Subject"]), hostile, min_size=1))
@settings(deadline=None)
def test_a_header_of_a_dial_is_one_line_or_the_dial_is_refused(values: dict[str, str]) -> None:
    text = """
    contexts: {browser: [{match: _., dial: {trunk: t, number: "1",
                          headers: {X-A: "${vars.a}", Subject: "${vars.b}"}}}]}
    """
    variables = dict(zip("ab", values.values(), strict=False))
    found = plan(text).route(Request("browser", "", "2", variables=variables))
    assert isinstance(found, Route)
    if not isinstance(found.action, Refuse):
        sent = trunk(found).headers
        assert sent.keys() == {"X-A", "Subject"}
        assert all(value.isprintable() and value.isascii() for value in sent.values())


@pytest.mark.parametrize("text", ["..", "a/../b", "/etc/passwd", "http://evil/", "a\\b", "a\0"])
def test_paths_are_no_part_of_a_files_name(text: str) -> None:
    found = plan("contexts: {browser: [{match: _., steps: [play: 'x/${vars.f}.wav']}]}")
    (script,) = found.rules[0].steps
    assert isinstance(script, BeginScript)
    (play,) = script.steps
    assert isinstance(play, Written)
    with pytest.raises(GatewayError):
        play.filled({"vars.f": text})

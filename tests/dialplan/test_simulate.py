"""Cases that try a call out: who answers what, which keys are pressed, what servers reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.testing.cases import coverage, load, run_all
from tests.dialplan.test_cases import outcome

MENU = """
trunks: {b: {costs: {"+": 1}}, c: {costs: {"+49": "0.5"}}}
contexts:
  browser:
    - {name: direct, match: direct, dial: {trunk: a, number: "100"}}
    - {name: echo, match: echo, echo: }
    - name: all
      match: all
      dial: {targets: [{user: x}, {trunk: a, number: "1"}, {user: y}]}
    - name: some
      match: _8(.)
      dial: {strategy: sequence, stop_on: [603], targets: [{trunk: a, number: "1${1}"},
             {trunk: a, number: "2${1}"}, {user: y}]}
    - {name: round, match: round, dial: {strategy: round_robin, targets: [{user: x}, {user: y}]}}
    - name: cheap
      match: _+.
      dial: {strategy: least_cost, targets: [{user: x}, {trunk: b, number: "${callee}"},
             {trunk: c, number: "${callee}"}]}
    - name: menu
      match: menu
      steps:
        - set: {lang: fr}
        - gather: {question: Well?, max_digits: 2, patterns: ["1", "22"], attempts: 2}
        - goto: {context: chosen, callee: "7${vars.digits}"}
    - name: forward
      match: forward
      steps:
        - dial: {user: x, after_talk: go_on}
        - dial: {user: y}
        - say: "${vars.dial_status} ${vars.dial_code}"
        - dial: {user: z}
    - name: server
      match: server
      steps:
        - http: {url: https://a.example/, fallback: [{set: {a: b}}]}
        - http: https://b.example/
        - say: behind
    - name: pin
      match: pin
      steps:
        - gather: {min_digits: 4, max_digits: 4, attempts: 2}
        - gather: {min_digits: 0, terminators: "*", barge_in: false}
        - answer:
    - {name: round-and-round, match: loop, steps: [pause: 1, goto: again]}
    - {name: refusing, match: refuse, steps: [answer: , reject: {status: 603}]}
    - {name: denied, match: denied, steps: [answer: , dial: {trunk: a, number: "+19005551234"}]}
    - {name: app, match: app, steps: [say: Hello, app: other]}
  chosen:
    - {name: one, match: "71", vars: {digits: "1"}, ivr: }
    - {name: more, match: _., reject: {status: 486}}
  again: [{name: again, match: _., steps: [pause: 1, goto: again]}]
"""


def case(tmp_path: Path, text: str) -> list[str]:
    return outcome(tmp_path, text, MENU)


@pytest.mark.parametrize(
    "text",
    [
        # dials that decide at once
        "callee: direct, expect: {dialled: [trunk:a], cause: normal}",
        "callee: direct, expect: {verbs: [dial: {trunk: a, number: 100}]}",
        "callee: direct, answers: {trunk:a: 486}, expect: {dialled: [trunk:a/100], cause: busy}",
        "callee: direct, answers: {trunk:a/100: 404}, expect: {cause: 404}",
        "callee: direct, answers: {trunk:a/101: 404}, expect: {cause: 200}",
        "callee: echo, expect: {verbs: [echo: ], cause: normal, dialled: []}",
        "callee: nowhere, expect: {verbs: [reject: {status: 404}], cause: not_found}",
        # all at once: everybody is called, and one answer is enough
        "callee: all, expect: {dialled: [user:x, trunk:a, user:y], cause: 200}",
        "callee: all, answers: {user:x: 486, trunk:a: 603}, expect: {cause: 200}",
        "callee: all, answers: {user:x: 486, trunk:a: 603, user:y: no_answer},"
        " expect: {cause: 603}",
        "callee: all, answers: {user:x: 486, trunk:a: 404, user:y: 503}, expect: {cause: 404}",
        # one after another
        "callee: 85, expect: {dialled: [trunk:a/15], cause: 200}",
        "callee: 85, answers: {trunk:a/15: 486}, expect: {dialled: [trunk:a/15, trunk:a/25]}",
        "callee: 85, answers: {trunk:a: 486}, expect: {dialled: [trunk:a, trunk:a, user:y]}",
        "callee: 85, answers: {trunk:a: 603}, expect: {dialled: [trunk:a], cause: declined}",
        "callee: 85, answers: {trunk:a: 503, user:y: no_answer},"
        " expect: {dialled: [trunk:a, trunk:a, user:y], cause: no_answer}",
        "callee: round, answers: {user:x: 480}, expect: {dialled: [user:x, user:y]}",
        "callee: +493012345678, answers: {trunk:c: 503, trunk:b: 503},"
        " expect: {dialled: [trunk:c, trunk:b, user:x]}",
        # a menu
        "callee: menu, digits: ['1'], expect: {vars: {digits: 1, gather_reason: complete,"
        " lang: fr}, cause: normal}",
        "callee: menu, digits: 1, expect: {verbs: [gather: {question: Well?, max_digits: 2,"
        " patterns: ['1', '22'], attempts: 2}, goto: {context: chosen, callee: 71}, ivr: ]}",
        "callee: menu, digits: ['22'], expect: {cause: busy, vars: {digits: 22}}",
        "callee: menu, digits: ['33', '1'], expect: {vars: {digits: 1}}",
        "callee: menu, digits: ['', '1'], expect: {vars: {digits: 1}}",
        "callee: menu, digits: ['33', '#'], expect: {vars: {digits: '', gather_reason: nothing}}",
        "callee: menu, expect: {vars: {digits: '', gather_reason: nothing}, cause: busy}",
        "callee: menu, digits: ['3', '4'], expect: {vars: {digits: 4, gather_reason: invalid}}",
        "callee: pin, digits: ['12345#', '6'], expect: {vars: {digits: 6, gather_reason: timeout}}",
        "callee: pin, digits: ['12', '3456', '7*'], expect: {vars: {gather_reason: terminated}}",
        # dials among steps
        "callee: forward, answers: {user:y: 486, user:z: 480},"
        " expect: {dialled: [user:x, user:y, user:z], cause: no_answer, vars: {dial_code: 480}}",
        "callee: forward, expect: {dialled: [user:x, user:y], cause: normal,"
        " verbs: [dial: {user: x, after_talk: go_on}, dial: {user: y}]}",
        "callee: forward, answers: {user:x: no_answer, user:y: 603}, expect: {verbs: ["
        "{dial: {user: x, after_talk: go_on}}, {dial: {user: y}}, {say: declined 603},"
        "{dial: {user: z}}]}",
        "callee: denied, expect: {cause: forbidden, dialled: []}",
        # servers
        "callee: server, http: [[{say: 'Hello ${callee}'}, pause: 2], []], expect: {verbs: ["
        "http: {url: https://a.example/, fallback: [{set: {a: b}}]}, say: 'Hello ${callee}',"
        " pause: 2, http: https://b.example/, say: behind], vars: {http_status: ok}}",
        "callee: server, http: [[goto: chosen]], expect: {cause: 486}",
        "callee: server, http: [[hangup: Bye]], expect: {cause: normal, vars: {}}",
        "callee: server, expect: {cause: fetch_failed, vars: {a: b, http_status: fetch_failed}}",
        "callee: server, http: [[dial: {user: x}]], expect: {dialled: [user:x], cause: normal}",
        # endings
        "callee: refuse, expect: {cause: declined}",
        "callee: loop, expect: {cause: loop_detected}",
        "callee: app, expect: {verbs: [say: Hello, app: other], cause: normal}",
    ],
)
def test_calls_that_go_as_expected(tmp_path: Path, text: str) -> None:
    assert case(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("callee: direct, expect: {cause: 404}", "cause: expected '404', got 200 normal"),
        (
            "callee: direct, expect: {dialled: [trunk:b]}",
            "dialled: expected ['trunk:b'], got ['trunk:a/100']",
        ),
        ("callee: direct, expect: {dialled: []}", "dialled: expected [], got ['trunk:a/100']"),
        (
            "callee: echo, expect: {verbs: [ivr: ]}",
            "verbs: expected [{'ivr': {}}], got [{'echo': {}}]",
        ),
        (
            "callee: app, expect: {verbs: [say: Hello, app: mine]}",
            "verbs: in place 2 expected {'app': 'mine'}, got {'app': 'other'}",
        ),
        (
            "callee: app, expect: {verbs: [say: Hello]}",
            "verbs: in place 2 expected nothing, got {'app': 'other'}",
        ),
        ("callee: menu, digits: 1, expect: {vars: {digits: 2}}", "vars digits: expected '2'"),
        ("callee: menu, digits: 1, expect: {rule: one}", "rule: expected 'one'"),
    ],
)
def test_calls_that_go_otherwise_say_where(tmp_path: Path, text: str, failure: str) -> None:
    assert any(line.startswith(failure) for line in case(tmp_path, text)), case(tmp_path, text)


def test_rules_behind_the_gotos_of_a_script_are_reached(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(MENU)
    file = tmp_path / "p.cases.yaml"
    file.write_text("cases: [{name: it, callee: menu, digits: '1', expect: {cause: normal}}]\n")
    suite = load(file)
    (found,) = coverage([(suite, run_all(suite))])
    assert found.reached == {"browser[7] menu", "chosen[1] one"}

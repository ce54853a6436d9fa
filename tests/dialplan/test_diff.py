"""Diffs: which rules a new plan adds, removes, changes and moves, and which settings."""

from __future__ import annotations

import pytest

from gateway.dialplan.diff import diff
from tests.dialplan.plans import plan

OLD = """
zone: UTC
contexts:
  browser:
    - {match: "1", echo: }
    - {name: two, match: "2", echo: }
    - {match: _3X, dial: {user: a}}
  loop: [{match: "1", echo: }]
"""


def changed(*edits: tuple[str, str]) -> list[str]:
    new = OLD
    for old, text in edits:
        assert old in new
        new = new.replace(old, text, 1)
    return diff(plan(OLD), plan(new)).lines()


@pytest.mark.parametrize(
    ("edits", "lines"),
    [
        ([], []),
        ([('    - {match: "1", echo: }\n', "")], ["- browser: 1"]),
        ([("  loop:", "    - {match: last, ivr: }\n  loop:")], ["+ browser: last"]),
        ([("{user: a}", "{user: b}")], ["~ browser: _3X"]),
        ([('match: "2"', 'match: "22"')], ["~ browser: two"]),
        ([("_3X", "_4X")], ["+ browser: _4X", "- browser: _3X"]),
        (
            [
                ('    - {match: "1", echo: }\n', ""),
                ("  loop:", '    - {match: "1", echo: }\n  loop:'),
            ],
            ["~ browser: another order"],
        ),
        ([("zone: UTC", "zone: Europe/Berlin")], ["~ zone"]),
        (
            [('loop: [{match: "1", echo: }]', 'loop: {numbers: {country: US}, rules: '
              '[{match: "1", echo: }]}')],
            ["~ loop numbers"],
        ),
        ([('  loop: [{match: "1", echo: }]\n', "")], ["- loop: 1"]),
    ],
)  # fmt: skip
def test_what_differs(edits: list[tuple[str, str]], lines: list[str]) -> None:
    assert changed(*edits) == lines
    assert bool(lines) == bool(changed(*edits))


def test_comments_and_layout_are_no_difference() -> None:
    assert changed(("  browser:\n", "  # who calls\n  browser:\n\n")) == []


def test_a_second_rule_of_the_same_pattern_is_another_rule() -> None:
    old = "contexts: {browser: [{match: a, vars: {x: y}, echo: }]}"
    new = "contexts: {browser: [{match: a, vars: {x: y}, echo: }, {match: a, echo: }]}"
    assert diff(plan(old), plan(new)).added == ("browser: a (2)",)

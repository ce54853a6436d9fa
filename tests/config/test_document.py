"""Strict YAML: the traps of the threat list, and where errors are."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.document import DEFAULT_CAPS, Caps, ConfigError, Value, parse_document


def root(text: str) -> Value:
    return parse_document(text, "f.yaml").root


def problem(text: str, caps: Caps = DEFAULT_CAPS) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_document(text, "f.yaml", caps)
    (only,) = refused.value.problems
    assert str(refused.value) == str(only)
    return str(only)


@pytest.mark.parametrize(
    "written",
    [
        "+14155550100", "0123", "0o17", "0x1F", "12:30", "1e3", "1_000", ".inf", ".nan", "-.5",
        "no", "No", "off", "on", "yes", "true", "FALSE", "null", "~", "2026-11-22", "<",
        "=", "5060", "_NXX", "+1NXX.", "a:b", "#x"[1:],
    ],
)  # fmt: skip
def test_plain_values_stay_what_they_look_like(written: str) -> None:
    assert root(f"key: {written}") == {"key": written}
    assert root(f"[a]: 1\nkey: {written}".replace("[a]", "a")) == {"a": "1", "key": written}


def test_only_nothing_is_none() -> None:
    assert root("a:\nb: ''\nc: \"\"\n") == {"a": None, "b": "", "c": ""}


def test_keys_are_text_too() -> None:
    assert root("0123: a\nno: b\n+1: c\n") == {"0123": "a", "no": "b", "+1": "c"}


def test_block_scalars_and_flow_style() -> None:
    assert root("a: |\n  x\n  y\nb: [1, {c: d}]\n") == {"a": "x\ny\n", "b": ["1", {"c": "d"}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: 'a' a second time (first in line 1)"),
        ("x:\n  - {a: 1, a: 2}\n", "f.yaml:2:12: 'a' a second time"),
        ("a: !!int 3\n", "f.yaml:1:4: the tag tag:yaml.org,2002:int"),
        ("a: !!python/object/apply:os.system [id]\n", "f.yaml:1:4: the tag"),
        ("a: !custom x\n", "f.yaml:1:4: the tag !custom"),
        ("!!map {a: b}\n", "f.yaml:1:1: the tag"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", "f.yaml:3:3: the merge key <<"),
        ("a: *98\n", "f.yaml:1:4: an alias to '98'"),
        ("a: &a [*a]\n", "f.yaml:1:8: an alias to 'a'"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key that is not plain text"),
        ("- a\n", "f.yaml:1:1: no `key: value` lines"),
        ("just text\n", "f.yaml:1:1: no `key: value` lines"),
        ("", "f.yaml:1:1: no `key: value` lines"),
        ("a: [1, 2\nb: 3\n", "f.yaml:2:2: not YAML"),
        ("a: 'x\n", "f.yaml:2:1: not YAML"),
        ("a:\n\t- b\n", "f.yaml:2:1: not YAML"),
        ("a: b: c\n", "f.yaml:1:5: not YAML"),
        ("ok: 1\na: \x01\n", "f.yaml:2:1: a character that YAML does not allow"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, expected: str) -> None:
    found = problem(text)
    assert found.startswith(expected)
    assert found.endswith(")")


@pytest.mark.parametrize("written", ["*98", "*98#", "*"])
def test_a_star_code_without_quotes_gets_the_right_advice(written: str) -> None:
    assert "quotes" in problem(f"match: {written}\n")


def test_tabs_get_the_right_advice() -> None:
    assert "spaces" in problem("a:\n\t- b\n")


def test_aliases_work_where_they_cannot_blow_up() -> None:
    assert root("a: &x [1, 2]\nb: *x\n") == {"a": ["1", "2"], "b": ["1", "2"]}


SMALL = Caps(bytes=1024 * 1024, nodes=1_000)


def test_a_billion_laughs_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "more than 1000 values" in problem("\n".join(lines), SMALL)


def test_size_and_depth_have_caps() -> None:
    assert "larger than 1024 KiB" in problem("a: " + "x" * SMALL.bytes)
    assert "more than 1000 values" in problem("a: [" + "1, " * 1_000 + "1]", SMALL)
    assert "nested deeper than 32" in problem("a: " + "[" * 5_000)
    assert "nested deeper than 32" in problem("".join(f"{' ' * n}a:\n" for n in range(100)))


def test_places_point_at_values_and_keys() -> None:
    document = parse_document("a:\n  - b: 1\n    c:   two\n", "f.yaml")
    assert str(document.problem(("a", 0, "c"), "bad", "fix")) == "f.yaml:3:10: bad (fix)"
    at_key = document.problem(("a", 0, "c"), "bad", "fix", at_key=True)
    assert str(at_key) == "f.yaml:3:5: bad (fix)"
    # A place that is not in the file: the nearest one around it.
    assert str(document.problem(("a", 0, "d", 3), "bad", "fix")) == "f.yaml:2:5: bad (fix)"


plain = st.recursive(
    st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), plain, max_size=5))
@settings(deadline=None)
def test_what_a_yaml_writer_quotes_comes_back(value: dict[str, Value]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, default_style='"')
    text = text.replace("!!str ", "")
    assert root(text) == value


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_a_document_or_a_located_problem(text: str) -> None:
    try:
        document = parse_document(text, "f.yaml")
    except ConfigError as error:
        for found in error.problems:
            assert found.line >= 0
            assert found.remedy
    else:
        assert isinstance(document.root, dict)

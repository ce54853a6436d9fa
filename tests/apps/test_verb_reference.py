"""docs/verbs.md: it is current, and its spellings of a verb all mean the same."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

import gateway.apps.call
from gateway.apps import Call, Dialled, Fetched, Gathered, Reason, Recorded
from gateway.calls.programs import Program
from gateway.calls.programs.performing import Outcome
from gateway.config.document import parse_document
from gateway.dialplan.explain import LEAVES
from gateway.errors import NORMAL
from gateway.testing import Rehearsal, virtual_time
from gateway.verbs import MODELS, AnyVerb, verb_from, verbs_from
from gateway.verbs.examples import EXAMPLES
from gateway.verbs.reference import OUTCOMES, reference
from tests.apps.test_call import program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "verbs.md"


def test_the_reference_on_the_page_is_current() -> None:
    _, begin, rest = PAGE.read_text().partition("<!-- reference:begin -->\n")
    shown, end, _ = rest.partition("<!-- reference:end -->\n")
    assert begin
    assert end
    assert shown == reference(), "run: gateway verbs, and paste it"


def test_every_verb_has_an_example() -> None:
    assert EXAMPLES.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_yaml_and_json_mean_the_same(name: str) -> None:
    example = EXAMPLES[name]
    written = parse_document("steps:\n" + indent(f"- {example.yaml}\n", "  ")).root
    assert isinstance(written, dict)
    assert verbs_from(written["steps"]) == (verb_from(example.step),)


class _Performed(BaseException):
    """What a program asked for; no Exception, so that no program would keep it."""


async def performed(line: str, monkeypatch: pytest.MonkeyPatch) -> AnyVerb:
    """The verb that a line of Python has performed."""
    asked: list[AnyVerb] = []

    async def perform(_context: object, verb: AnyVerb) -> None:
        asked.append(verb)
        raise _Performed

    monkeypatch.setattr(gateway.apps.call, "perform", perform)
    code = compile(line, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    call = Call(None)  # type: ignore[arg-type]
    with pytest.raises(_Performed):
        await eval(code, {"call": call})
    [verb] = asked
    return verb


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"hangup"}))
async def test_python_means_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example = EXAMPLES[name]
    assert await performed(example.python, monkeypatch) == verb_from(example.step)


@virtual_time
async def test_hanging_up_in_python_means_the_same() -> None:
    async def in_json(call: Call) -> None:
        await call.perform(verb_from(EXAMPLES["hangup"].step))

    async def in_python(call: Call) -> None:
        exec(EXAMPLES["hangup"].python, {"call": call})

    async def end(face: Program) -> tuple[list[str], Any]:
        async with Rehearsal(face) as caller:
            return caller.verbs, await caller.end()

    assert await end(program(in_json)) == await end(program(in_python))


def test_every_verb_is_a_method_of_a_call() -> None:
    methods = {name for name, _ in inspect.getmembers(Call, inspect.isfunction)}
    assert MODELS.keys() <= methods


def test_the_variables_are_those_that_verbs_leave() -> None:
    left: dict[str, Outcome] = {
        "gather": Gathered("1", True, Reason.COMPLETE),
        "dial": Dialled(NORMAL),
        "record": Recorded("r"),
        "http": Fetched(),
    }
    assert {name: set(outcome.variables) for name, outcome in left.items()} == {
        name: set(told) for name, told in OUTCOMES.items()
    }
    assert {name: set(told) for name, told in LEAVES.items()} == {
        name: set(told) for name, told in OUTCOMES.items()
    }

"""The examples of docs/signalling.md are messages that the gateway reads and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gateway.api import messages as m
from gateway.api.problems import problem
from gateway.errors import NOT_FOUND

PAGE = Path(__file__).parents[2] / "docs" / "signalling.md"
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def of(kind: str) -> list[str]:
    return [text for found, text in EXAMPLES if found == kind]


@pytest.mark.parametrize("text", of("browser"))
def test_browser_examples_are_read(text: str) -> None:
    m.parse(text)


@pytest.mark.parametrize("text", of("gateway"))
def test_gateway_examples_are_what_it_writes(text: str) -> None:
    example: dict[str, Any] = json.loads(text)
    models: dict[str, type[BaseModel]] = {
        model.model_fields["type"].default: model for model in get_args(m.ServerMessage)
    }
    fields = {"caller" if name == "from" else name: value for name, value in example.items()}
    written = models[example["type"]].model_validate(fields)
    assert json.loads(written.model_dump_json(by_alias=True, exclude_none=True)) == example


def test_the_problem_example_is_what_it_writes() -> None:
    [text] = of("problem")
    body = problem(NOT_FOUND).text
    assert body is not None
    shown, written = json.loads(text), json.loads(body)
    assert {**shown, "instance": written["instance"]} == written
    assert shown["instance"].startswith("urn:gateway:request:r-")


def test_every_message_type_has_an_example() -> None:
    shown = {json.loads(text)["type"] for text in of("browser")}
    assert shown == set(m.CLIENT_TYPES)
    told = {json.loads(text)["type"] for text in of("gateway")}
    assert told == {model.model_fields["type"].default for model in get_args(m.ServerMessage)}

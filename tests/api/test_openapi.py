"""The OpenAPI document: complete, valid, and about what the API really does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_pydantic import OpenAPI

from gateway.api.steps import Step
from gateway.config.identity import Scope
from gateway.errors import GatewayError
from gateway.verbs import MODELS
from gateway.verbs.examples import EXAMPLES
from tests.api.conftest import StartApi
from tests.api.known import Stand, known

ELSEWHERE = {"/v1/signal", "/v1/webrtc/calls", "/v1/webrtc/calls/{call}", "/v1/openapi.json"}
"""Described in docs/signalling.md: WebSocket and SDP; and the document itself."""


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


@pytest.fixture
async def document(stand: Stand) -> dict[str, Any]:
    status, told = await stand.ask("GET", "/v1/openapi.json")
    assert status == 200
    return told


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPI.model_validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    named = re.findall(r'"#/components/(\w+)/(\w+)"', str(document).replace("'", '"'))
    assert named
    for kind, name in named:
        assert name in document["components"][kind]


def test_every_route_is_in_it(stand: Stand, document: dict[str, Any]) -> None:
    assert stand.api.server.app is not None
    there = {
        (route.method, route.resource.canonical)
        for route in stand.api.server.app.router.routes()
        if route.resource is not None
        and route.resource.canonical.startswith("/v1/")
        and route.resource.canonical not in ELSEWHERE
        and route.method != "HEAD"
    }
    assert there == {(method, path) for method, path, _ in operations(document)}


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    scopes = {scope.value for scope in Scope}
    names = []
    for method, path, operation in operations(document):
        names.append(operation["operationId"])
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["security"][0]["key"]) <= scopes
        assert "default" in operation["responses"]
        parameters = {each["name"]: each for each in operation.get("parameters", ())}
        assert set(re.findall(r"{(\w+)}", path)) <= set(parameters)
        assert ("Idempotency-Key" in parameters) == (method == "POST"), path
        for name, parameter in parameters.items():
            assert parameter["in"] == "path" or parameter.get("description"), (path, name)
    assert len(names) == len(set(names))


# ---- verbs: the schema and the reader agree -------------------------------------------------

GOOD: list[Any] = [dict(example.step) for example in EXAMPLES.values()]
BAD: list[Any] = [
    {}, {"shout": {}}, {"say": {}}, {"answer": None, "hangup": None}, {"pause": -1},
    {"play": {"file": "a.wav", "more": 1}}, {"set": {}}, {"set": {"a": 1}}, {"mute": {"leg": "x"}},
]  # fmt: skip


def _validator(document: dict[str, Any]) -> Draft202012Validator:
    schema = {"$ref": "#/components/schemas/Step", "components": document["components"]}
    return Draft202012Validator(schema)


def test_verbs_that_are_read_are_in_the_schema(document: dict[str, Any]) -> None:
    validator = _validator(document)
    seen = set()
    for step in GOOD:
        seen |= set(step)
        Step(step).verb  # noqa: B018 - raises for one that is none
        validator.validate(step)
    assert seen == set(MODELS)


@pytest.mark.parametrize("step", BAD)
def test_what_is_no_verb_is_neither_read_nor_in_the_schema(
    document: dict[str, Any], step: dict[str, Any]
) -> None:
    assert not _validator(document).is_valid(step)
    with pytest.raises(GatewayError):
        Step(step).verb  # noqa: B018 - raises


@pytest.mark.parametrize("step", [{"dial": {}}, {"dial": {"user": "alice", "number": "1"}}])
def test_what_the_schema_allows_and_yet_cannot_be_is_another_status(
    document: dict[str, Any], step: dict[str, Any]
) -> None:
    _validator(document).validate(step)
    with pytest.raises(GatewayError) as refused:
        Step(step).verb  # noqa: B018 - raises
    assert refused.value.verdict.http_status == 422

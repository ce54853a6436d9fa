"""The client as a package: what it loads, and whether it can do all that the API can."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.client import GatewayClient
from gateway.client.records import Filters
from tests.client.conftest import Clients

LEFT_OUT = {"streamEventsOverWebSocket": "streamEvents is the same"}
"""Operations without a method, and why."""
SHAPED = {"limit", "cursor", "Idempotency-Key"}
"""Parameters that the client writes by itself."""
WHOLE = {"Step": "verb"}
"""Bodies that are one parameter, by their schema's name, beside those of that very type."""


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every method of the client, with the operation that it is."""
    client = GatewayClient("http://gateway.example")
    for holder in (client, *vars(client).values()):
        for name, method in inspect.getmembers(type(holder), inspect.isfunction):
            if not name.startswith("_") and hasattr(method, "operation"):
                yield method.operation, method


@pytest.fixture
async def document(clients: Clients) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    async with clients.stand.api.client.get("/v1/openapi.json") as response:
        told: dict[str, Any] = await response.json()
        return told


def described(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation of the document, by its id."""
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def test_every_operation_has_its_method(document: dict[str, Any]) -> None:
    names = [name for name, _ in methods()]
    assert len(names) == len(set(names))
    assert set(described(document)) - set(names) == set(LEFT_OUT)


def test_every_method_takes_all_that_its_operation_takes(document: dict[str, Any]) -> None:
    operations = described(document)
    for name, method in methods():
        if name not in operations:
            continue  # of a resource that this test's node has not
        takes = parameters(method)
        given = {part["name"] for part in operations[name].get("parameters", ())} - SHAPED
        assert given - named(takes) == set(), name
        for part in body_parts(operations[name], document, takes):
            assert part in named(takes), name


def parameters(method: Callable[..., Any]) -> dict[str, Any]:
    """What a method takes, by name, and its annotation."""
    found: dict[str, Any] = {}
    for name, part in inspect.signature(method).parameters.items():
        if part.kind is part.VAR_KEYWORD:
            found |= dict.fromkeys(Filters.__annotations__)
        found[name] = part.annotation
    return found


def named(takes: dict[str, Any]) -> set[str]:
    """What those would be called in the API: lists in the singular, words of Python as they are."""
    return {name.removesuffix("_") for name in takes} | {name.removesuffix("s") for name in takes}


def body_parts(
    operation: dict[str, Any], document: dict[str, Any], takes: dict[str, Any]
) -> Iterator[str]:
    """What a method must take for the body."""
    body = operation.get("requestBody")
    if body is None:
        return
    reference = body["content"]["application/json"]["schema"]["$ref"]
    schema = reference.rpartition("/")[2]
    if schema in WHOLE:
        yield WHOLE[schema]
    elif not any(annotation == schema for annotation in takes.values()):
        yield from document["components"]["schemas"][schema]["properties"]


def test_importing_it_loads_nothing_that_runs_a_gateway() -> None:
    heavy = [
        "aioice", "aiortc", "alembic", "argon2", "babel", "cel", "joserfc", "num2words", "numpy",
        "openapi_pydantic", "phonenumbers", "pjgw", "re2", "sqlalchemy", "standardwebhooks",
        "gateway.api", "gateway.app", "gateway.apps", "gateway.calls", "gateway.config.model",
        "gateway.dialplan", "gateway.identity", "gateway.legs", "gateway.media",
        "gateway.observability", "gateway.storage", "gateway.webhooks",
    ]  # fmt: skip
    program = f"import sys, gateway.client; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

"""The client as a package: what it loads, and whether it can do all that the API can."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from gateway.api.openapi import document
from gateway.client import GatewayClient
from tests.api.known import Stand

LEFT_OUT: dict[str, str] = {}
"""Operations without a method, and why."""
SHAPED = {"limit", "cursor", "Idempotency-Key"}
"""Parameters that the client writes by itself."""


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every operation's method."""
    client = GatewayClient("http://gateway.example")
    for holder in (client, *vars(client).values()):
        for name, method in inspect.getmembers(type(holder), inspect.isfunction):
            if not name.startswith("_") and hasattr(method, "operation"):
                yield method.operation, method


def described(stand: Stand) -> dict[str, dict[str, Any]]:
    """Every operation of the document."""
    told = document(stand.operations)
    return {
        operation["operationId"]: operation
        for path in told["paths"].values()
        for operation in path.values()
    }

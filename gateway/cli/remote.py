"""Owns asking a gateway from the command line: where it is, with which key, and what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from gateway.client import GatewayApiError, GatewayClient
from gateway.observability.logs import configure_logs
from gateway.verbs.step import told

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[
    str, typer.Option("--url", envvar="GATEWAY_URL", help="Where the gateway is, without /v1.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="GATEWAY_KEY",
        help="An API key; none in demo mode. In the environment: others see the command line.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


class Ended(IntEnum):
    """Exit codes, beside 0 and the 2 of a command that was written wrongly."""

    REFUSED = 1  # by the gateway
    NOT_REACHED = 3


def asked(url: str, key: str | None, work: Callable[[GatewayClient], Awaitable[T]]) -> T:
    """What `work` finds out. A failure is one line, and the end with an exit code of Ended."""
    configure_logs("console", "warning")
    try:
        return asyncio.run(_asked(url, key or None, work))
    except GatewayApiError as error:
        raise failed(error) from None
    except ValidationError as error:
        raise typer.BadParameter(told(error)) from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def _asked(url: str, key: str | None, work: Callable[[GatewayClient], Awaitable[T]]) -> T:
    async with GatewayClient(url, key) as gateway:
        return await work(gateway)


def failed(error: GatewayApiError) -> typer.Exit:
    """Says what went wrong; the end to raise."""
    typer.echo(f"gateway: {error.detail} ({error.code})", err=True)
    return typer.Exit(Ended.NOT_REACHED if error.status is None else Ended.REFUSED)

"""The `gateway top` command: live calls and the node, as they change."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from gateway.cli import remote
from gateway.cli.calls import COLUMNS, row
from gateway.cli.printing import console, plain, span, table
from gateway.client import GatewayApiError, GatewayClient
from gateway.contract.calls import LiveCall


def top(
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
    every: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between looks.")] = 1.0,
) -> None:
    """Shows live calls and the node as they change, until Ctrl-C; once, if this is no terminal."""

    async def work(gateway: GatewayClient) -> None:
        shown = await look(gateway, url)
        if not sys.stdout.isatty():
            console().print(shown)
            return
        with Live(shown, console=console(), screen=True, auto_refresh=False) as live:
            while True:
                live.update(await _next(gateway, url, every), refresh=True)

    try:
        remote.asked(url, key, work)
    except KeyboardInterrupt:
        raise typer.Exit from None


async def look(gateway: GatewayClient, url: str) -> Group:
    """What is to be seen now. Raises GatewayApiError."""
    calls = [call async for call in gateway.calls.list()]
    now = datetime.now(UTC)
    return Group(
        Text.assemble((str(plain(url)), "bold"), f"  {now:%H:%M:%S} UTC"),
        await _figures(gateway, now),
        summary(calls),
        "",
        table(COLUMNS, [row(call, now) for call in calls]),
    )


async def _next(gateway: GatewayClient, url: str, every: float) -> Group:
    """The next look. A gateway that does not answer is waited for."""
    await asyncio.sleep(every)
    try:
        return await look(gateway, url)
    except GatewayApiError as error:
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise
        return Group(plain(f"{error.detail} ({error.code})"))


async def _figures(gateway: GatewayClient, now: datetime) -> Text:
    """How the node does, as far as the key may know it."""
    try:
        node = await gateway.node.get()
    except GatewayApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return Text("no figures of the node: the key has no scope node:read", "dim")
    clock, up = node.media_clock, (now - node.started_at).total_seconds()
    return plain(
        f"{node.node} {node.version}, {node.state}, up {span(up)}"
        f" | {node.live_calls} of {node.max_calls} calls, {node.media_ports} ports"
        f" | {node.signed_in} signed in | clock: {clock.late_ticks} late, {clock.skipped_ticks}"
        f" skipped of {clock.ticks} | {node.recordings} recordings"
        f" | {node.records_waiting} records wait"
    )


def summary(calls: Sequence[LiveCall]) -> Text:
    """How many calls, and where they are."""
    phases = Counter(call.phase for call in calls)
    where = ", ".join(f"{number} {phase}" for phase, number in phases.most_common())
    return plain(f"{len(calls)} calls" + (f": {where}" if where else ""))

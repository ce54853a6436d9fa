"""The `gateway top` command: live calls and the node, as they change."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Coroutine, Sequence
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
from gateway.terms import TrunkState


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
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        with Live(shown, console=console(), screen=True, auto_refresh=False) as live:
            while (then := await _unless(stop, _next(gateway, url, every))) is not None:
                live.update(then, refresh=True)

    try:
        remote.asked(url, key, work)
    except KeyboardInterrupt:  # before the first look was there
        raise typer.Exit from None


async def look(gateway: GatewayClient, url: str) -> Group:
    """What is to be seen now. Raises GatewayApiError."""
    calls = [call async for call in gateway.calls.list()]
    now = datetime.now(UTC)
    return Group(
        Text.assemble((str(plain(url)), "bold"), f"  {now:%H:%M:%S} UTC"),
        await _figures(gateway, now),
        await _trunks(gateway),
        summary(calls),
        "",
        table(COLUMNS, [row(call, now) for call in calls]),
    )


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, Group]) -> Group | None:
    """What `work` gives; None: Ctrl-C came first."""
    tasks = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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


async def _trunks(gateway: GatewayClient) -> Text:
    """How many trunks are up, and which are not, as far as the key may know it."""
    try:
        found = await gateway.trunks.list()
    except GatewayApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return Text("no states of trunks: the key has no scope trunks:read", "dim")
    others = [f"{trunk.name} {trunk.state}" for trunk in found if trunk.state != TrunkState.UP]
    up = f"{len(found) - len(others)} of {len(found)} trunks are up"
    return plain(": ".join(filter(None, (up, ", ".join(others)))))


def summary(calls: Sequence[LiveCall]) -> Text:
    """How many calls, and where they are."""
    phases = Counter(call.phase for call in calls)
    where = ", ".join(f"{number} {phase}" for phase, number in phases.most_common())
    return plain(f"{len(calls)} calls" + (f": {where}" if where else ""))

"""The `gateway selftest` command: its report as text or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, cast, get_args

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from gateway.app.selftest import DURATIONS_MS, Report, run_selftest
from gateway.config.model import BridgeRate
from gateway.observability.logs import configure_logs


def selftest(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    bridge: Annotated[int, typer.Option(help="Bridge rate, Hz: 8000, 16000 or 48000.")] = 16000,
) -> None:
    """Calls itself through WebRTC, dialplan and SIP; tests audio and all digits both ways."""
    if bridge not in get_args(BridgeRate):
        raise typer.BadParameter("write 8000, 16000 or 48000", param_hint="--bridge")
    configure_logs("console", "warning")
    report = uvloop.run(run_selftest(cast("BridgeRate", bridge)))
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    console = Console()
    console.print(f"set-up      {report.setup_ms} ms until the echo was heard")
    console.print(f"round trip  {report.round_trip_ms} ms through both legs twice")
    console.print(f"lost        {report.lost_percent} %")
    table = Table("direction", *(f"{ms} ms" for ms in DURATIONS_MS), title="digits that were exact")
    for direction in dict.fromkeys(verdict.direction for verdict in report.digits):
        mine = [verdict for verdict in report.digits if verdict.direction == direction]
        per_length = len(mine) // len(DURATIONS_MS) or 1
        groups = [mine[i : i + per_length] for i in range(0, len(mine), per_length)]
        table.add_row(direction, *(f"{sum(v.ok for v in g)} of {len(g)}" for g in groups))
    console.print(table)
    for note in report.notes:
        console.print(f"[yellow]{note}[/yellow]")
    for problem in report.problems:
        console.print(f"[red]{problem}[/red]")
    console.print("[green]all well[/green]" if report.ok else "[red]not well[/red]")

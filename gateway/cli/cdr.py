"""The `gateway cdr` command: the records of calls, from the database itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.app.records import open_database
from gateway.config.document import ConfigError
from gateway.config.loader import load_config
from gateway.errors import NOT_FOUND, GatewayError
from gateway.ids import DEFAULT_PROJECT
from gateway.storage.cdr import Cdr
from gateway.storage.database import Database
from gateway.storage.queries import MAX_PAGE, Filters, csv_lines, list_calls


def cdr(
    config: Annotated[Path, typer.Argument(help="The node's configuration, YAML.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, with column names.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Calls from then on: 2026-12-24T18:00, UTC unless it says.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 50,
    project: Annotated[str, typer.Option(help="Whose calls.")] = DEFAULT_PROJECT,
) -> None:
    """Prints call records, newest first; the node may run meanwhile."""
    try:
        records = load_config(config).kept_records
        if records.in_memory:
            raise typer.BadParameter("this node keeps its records in memory only")
        database = open_database(records, config.resolve().parent)
        if not database.exists:
            raise GatewayError(NOT_FOUND, f"there is no database {database}: did the node run?")
        found = asyncio.run(_read(database, Filters(project, _moment(since)), limit))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None
    except GatewayError as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        for record in found:
            print(json.dumps(asdict(record), default=datetime.isoformat))
    elif as_csv:
        for line in csv_lines(found):
            print(line, end="")
    else:
        Console().print(_table(found))


async def _read(database: Database, filters: Filters, limit: int) -> list[Cdr]:
    found: list[Cdr] = []
    cursor = None
    try:
        while len(found) < limit:
            page = await list_calls(database, filters, min(limit - len(found), MAX_PAGE), cursor)
            found += page.records
            cursor = page.cursor
            if cursor is None:
                break
    finally:
        await database.close()
    return list(islice(found, limit))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write 2026-12-24T18:00", param_hint="--since") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _table(records: list[Cdr]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in ("began (UTC)", "from", "to", "how", "talked", "hung up by", "MOS"):
        table.add_column(name, justify="right" if name in ("talked", "MOS") else "left")
    for record in records:
        minutes, seconds = divmod(round(record.talk_ms / 1000), 60)
        heard = [leg.quality.mos for leg in record.legs if leg.quality and leg.quality.mos]
        cells = (
            f"{record.created_at:%Y-%m-%d %H:%M:%S}",
            record.caller or "-",
            record.callee or "-",
            record.code or record.state.value,
            f"{minutes}:{seconds:02}",
            record.hung_up_by or "-",
            f"{min(heard):.1f}" if heard else "-",
        )
        table.add_row(*map(Text, cells))  # peers' texts are no markup
    return table

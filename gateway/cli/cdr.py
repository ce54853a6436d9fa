"""The `gateway cdr` command: the records of calls, over the API or from the database itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import remote
from gateway.cli.printing import console, lines, span, table
from gateway.client import GatewayClient
from gateway.client.records import Filters
from gateway.contract.records import CallRecord
from gateway.ids import DEFAULT_PROJECT

COLUMNS = ("began (UTC)", "from", "to", "how", ">talked", "hung up by", ">MOS")


def cdr(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="The node's configuration, YAML: its database is read, not the gateway asked."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, with column names.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Calls from then on: 2026-12-24T18:00, UTC unless it says.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Calls before then.")] = None,
    caller: Annotated[str | None, typer.Option(help="Who called.")] = None,
    callee: Annotated[str | None, typer.Option(help="What was dialled.")] = None,
    code: Annotated[str | None, typer.Option(help="How they ended: normal, busy.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 50,
    project: Annotated[
        str | None, typer.Option(help="Whose calls, of the database; a key has its own.")
    ] = None,
    url: remote.Url = remote.DEFAULT_URL,
    key: remote.Key = None,
) -> None:
    """Prints call records, newest first: of the gateway at --url, or out of the database."""
    start, end = _moment(since, "--since"), _moment(until, "--until")
    filters = Filters(since=start, until=end, caller=caller, callee=callee, code=code)
    if config is not None:
        from gateway.cli.kept import from_database  # who asks a gateway needs no database

        found = from_database(config, project or DEFAULT_PROJECT, filters, limit)
    elif project is not None:
        raise typer.BadParameter("goes with a database; a key has its own", param_hint="--project")
    else:
        found = remote.asked(url, key, lambda gateway: _from_gateway(gateway, filters, limit))
    if as_json:
        lines(found)
    elif as_csv:
        from gateway.storage.queries import csv_lines  # it brings the database's library

        alike: list[Any] = found  # the view of a record has all its fields
        for line in csv_lines(alike):
            print(line, end="")
    else:
        console().print(table(COLUMNS, map(_row, found)))


async def _from_gateway(gateway: GatewayClient, filters: Filters, limit: int) -> list[CallRecord]:
    found: list[CallRecord] = []
    async for record in gateway.cdrs.list(**filters):
        found.append(record)
        if len(found) == limit:
            break
    return found


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write 2026-12-24T18:00", param_hint=option) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _row(record: CallRecord) -> tuple[object, ...]:
    heard = [leg.quality.mos for leg in record.legs if leg.quality and leg.quality.mos]
    return (
        f"{record.created_at:%Y-%m-%d %H:%M:%S}",
        record.caller,
        record.callee,
        record.code or record.state,
        span(record.talk_ms / 1000),
        record.hung_up_by,
        f"{min(heard):.1f}" if heard else None,
    )

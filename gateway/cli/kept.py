"""Owns reading the records of calls out of a node's database, beside the node or without it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from gateway.app.records import open_database
from gateway.client.records import Filters
from gateway.config.document import ConfigError
from gateway.config.loader import load_config
from gateway.contract.records import CallRecord
from gateway.errors import NOT_FOUND, GatewayError
from gateway.storage.database import Database
from gateway.storage.queries import MAX_PAGE, list_calls
from gateway.storage.queries import Filters as Wanted


def from_database(config: Path, project: str, filters: Filters, limit: int) -> list[CallRecord]:
    """At most `limit` records, the newest first. What is wrong is told, and is the end."""
    try:
        records = load_config(config).kept_records
        if records.in_memory:
            raise typer.BadParameter("this node keeps its records in memory only")
        database = open_database(records, config.resolve().parent)
        if not database.exists:
            raise GatewayError(NOT_FOUND, f"there is no database {database}: did the node run?")
        return asyncio.run(_read(database, Wanted(project, **filters), limit))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None
    except GatewayError as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(1) from None


async def _read(database: Database, wanted: Wanted, limit: int) -> list[CallRecord]:
    found: list[CallRecord] = []
    cursor = None
    try:
        while len(found) < limit:
            page = await list_calls(database, wanted, min(limit - len(found), MAX_PAGE), cursor)
            found += map(CallRecord.model_validate, page.records)
            cursor = page.cursor
            if cursor is None:
                break
    finally:
        await database.close()
    return found

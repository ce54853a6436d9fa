"""`gateway cdr` over the API; out of the database: tests/app/test_records.py."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.cli.conftest import Commands
from tests.storage.test_queries import record, store


@pytest.fixture(autouse=True)
async def records(commands: Commands) -> None:
    """Four calls, one of them another project's."""
    await store(
        commands.clients.stand.database,
        *(record(n) for n in range(2)),
        record(2, code="busy", caller="=1+1\x1b[2J"),
        record(3, project="sales"),
    )


async def test_records_of_the_keys_project_are_listed(commands: Commands) -> None:
    head, *rows = (await commands.good("cdr")).splitlines()
    assert head.split()[:2] == ["began", "(UTC)"]
    assert [row.split()[1] for row in rows] == ["12:02:00", "12:01:00", "12:00:00"]
    assert "busy" in rows[0]
    assert "\x1b" not in rows[0]
    assert len((await commands.good("cdr", "--limit", "1")).splitlines()) == 2
    told = await commands.good("cdr", "--json", "--until", "2030-06-01T12:01", "--code", "normal")
    assert [json.loads(line)["id"] for line in told.splitlines()] == ["c-000"]


async def test_csv_is_for_spreadsheets(commands: Commands) -> None:
    rows = list(csv.DictReader(io.StringIO(await commands.good("cdr", "--csv"))))
    assert [row["id"] for row in rows] == ["c-002", "c-001", "c-000"]
    assert rows[0]["caller"].startswith("'=")
    assert rows[0]["caller_mos"] == "4.21"

"""Owns writing rows that may be there already, as each database says it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    """Writes `rows`, over those that have the same primary key."""
    if rows:
        statement = _upserting(connection.dialect.name, table, tuple(rows[0]))
        connection.execute(statement, list(rows))


def insert_new(connection: Connection, table: Table, row: dict[str, object]) -> bool:
    """Writes `row`, and tells whether it did: not if its primary key is there. Waits for whoever
    is just writing such a one."""
    return connection.execute(_inserting_new(connection.dialect.name, table), row).rowcount > 0


# A statement that is made anew takes longer than what it does.


@functools.cache
def _upserting(dialect: str, table: Table, names: tuple[str, ...]) -> Executable:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


@functools.cache
def _inserting_new(dialect: str, table: Table) -> Executable:
    return _insert(dialect, table).on_conflict_do_nothing()


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)

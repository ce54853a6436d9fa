"""Owns the tables of the database, as SQLAlchemy sees them; migrations make them.

Every row belongs to a project. Times are UTC; durations are milliseconds of the monotonic clock.
A changed table needs a new file in `migrations/versions`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

from gateway.ids import DEFAULT_PROJECT

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware datetimes in, UTC out. SQLite, which has no zones, keeps it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Raises ValueError for a naive datetime, which is no moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is no moment")
        return value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """UTC, whatever zone the connection has. SQLite's text is read at once: the usual way makes
        each moment three times."""
        return _read if dialect.name == "sqlite" else _in_utc


def _read(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


calls = Table(
    "call_records",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, nullable=False, default=DEFAULT_PROJECT),
    Column("node", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("caller", Text),
    Column("callee", Text),
    Column("trunk", Text),  # that it came from
    Column("rule", Text),
    Column("program", Text),
    Column("path", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("duration_ms", BigInteger, nullable=False),
    Column("talk_ms", BigInteger, nullable=False),
    Column("code", Text),
    Column("sip_status", Integer),
    Column("q850", Integer),
    Column("blame", Text),
    Column("text", Text),
    Column("hung_up_by", Text),
    Column("dtmf_received", Integer, nullable=False),
    Column("dtmf_sent", Integer, nullable=False),
    Column("recorded", Boolean, nullable=False),
    Column("incomplete", Boolean, nullable=False),
    Index(None, "project", "created_at", "id"),
    Index(None, "node", "state"),
    Index(None, "created_at"),
)

legs = Table(
    "leg_records",
    metadata,
    Column("call", Text, ForeignKey(calls.c.id, ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("project", Text, nullable=False, default=DEFAULT_PROJECT),
    Column("position", Integer, nullable=False),  # 0 is the caller
    Column("role", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("trunk", Text),
    Column("number", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ringing_at", UtcDateTime),
    Column("answered_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("duration_ms", BigInteger, nullable=False),
    Column("talk_ms", BigInteger, nullable=False),
    Column("code", Text),
    Column("sip_status", Integer),
    Column("q850", Integer),
    Column("blame", Text),
    Column("by_peer", Boolean),
    Column("codec", Text),
    Column("rx_packets", BigInteger),
    Column("rx_lost", BigInteger),
    Column("tx_packets", BigInteger),
    Column("remote_lost", BigInteger),
    Column("jitter_ms", Float),
    Column("rtt_ms", Float),
    Column("mos", Float),
    Column("dtmf_received", Integer, nullable=False),
    Column("dtmf_sent", Integer, nullable=False),
    Index(None, "project", "trunk", "created_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, nullable=False, default=DEFAULT_PROJECT),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),  # argon2id, with its parameters and salt
    Column("scopes", Text, nullable=False),  # separated by spaces
    Column("caps", Text, nullable=False),  # JSON
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index(None, "project", "name"),
)

events = Table(
    "events",
    metadata,
    Column("node", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("project", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("monotonic", Float, nullable=False),  # of the process that it happened in, seconds
    Column("data", Text, nullable=False),  # JSON, as programs get it
    Index(None, "call", "sequence"),
    Index(None, "at"),
)

event_nodes = Table(
    "event_nodes",
    metadata,
    Column("node", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # of its newest event, also of a deleted one
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),  # signs what is sent, and so is kept as it is
    Column("types", Text, nullable=False),  # separated by spaces; empty: all
    Column("enabled", Boolean, nullable=False),
    Column("reason", Text),  # why it is not enabled
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "project", "created_at"),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),  # the webhook-id of every attempt
    Column("webhook", Text, ForeignKey(webhooks.c.id, ondelete="CASCADE"), nullable=False),
    Column("node", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("call", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),  # or replayed: the back-off begins there
    Column("next_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    Column("status", Integer),  # HTTP, of the last attempt
    Column("error", Text),
    ForeignKeyConstraint(
        ["node", "sequence"], ["events.node", "events.sequence"], ondelete="CASCADE"
    ),
    Index(None, "node", "sequence"),
    Index(None, "webhook", "state", "call", "sequence"),
    Index(None, "webhook", "created_at", "id"),
    Index(None, "done_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", Text, primary_key=True),  # a hash of project, account and key
    Column("node", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("answer", Text),  # sealed with the key itself
    Index(None, "created_at"),
)

day_use = Table(
    "day_use",
    metadata,
    Column("day", Date, primary_key=True),  # UTC
    Column("node", Text, primary_key=True),
    Column("account", Text, primary_key=True),  # a hash: the name may be a user's
    Column("seconds", Float, nullable=False),  # of its calls on that node
    Column("changed_at", UtcDateTime, nullable=False),
    Index(None, "day", "changed_at"),
)

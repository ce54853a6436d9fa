"""Owns step 4 of the schema: events, webhooks, and what is to be delivered to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "events",
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("monotonic", sa.Float, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("node", "sequence", name="pk_events"),
    )
    op.create_index("ix_events_call_sequence", "events", ["call", "sequence"])
    op.create_index("ix_events_at", "events", ["at"])
    op.create_table(
        "event_nodes",
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_event_nodes"),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("types", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_project_created_at", "webhooks", ["project", "created_at"])
    _make_deliveries()


def _make_deliveries() -> None:
    name = "webhook_deliveries"
    op.create_table(
        name,
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("webhook", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("next_at", _MOMENT, nullable=False),
        sa.Column("done_at", _MOMENT),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(
            ["webhook"], ["webhooks.id"], name=f"fk_{name}_webhook", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["node", "sequence"],
            ["events.node", "events.sequence"],
            name=f"fk_{name}_node",
            ondelete="CASCADE",
        ),
    )
    for columns in (
        ["node", "sequence"],
        ["webhook", "state", "call", "sequence"],
        ["webhook", "created_at", "id"],
        ["done_at"],
    ):
        op.create_index(f"ix_{name}_{'_'.join(columns)}", name, columns)

"""Owns step 5 of the schema: how much of a day identities have called."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "day_use",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("day", "node", "account", name="pk_day_use"),
    )
    op.create_index("ix_day_use_day_changed_at", "day_use", ["day", "changed_at"])

"""Owns step 1 of the schema: call records, and those of their legs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "call_records",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("caller", sa.Text),
        sa.Column("callee", sa.Text),
        sa.Column("trunk", sa.Text),
        sa.Column("rule", sa.Text),
        sa.Column("program", sa.Text),
        sa.Column("path", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("answered_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("talk_ms", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("sip_status", sa.Integer),
        sa.Column("q850", sa.Integer),
        sa.Column("blame", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("hung_up_by", sa.Text),
        sa.Column("dtmf_received", sa.Integer, nullable=False),
        sa.Column("dtmf_sent", sa.Integer, nullable=False),
        sa.Column("recorded", sa.Boolean, nullable=False),
        sa.Column("incomplete", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_records"),
    )
    for columns in (["project", "created_at", "id"], ["node", "state"], ["created_at"]):
        op.create_index(f"ix_call_records_{'_'.join(columns)}", "call_records", columns)
    op.create_table(
        "leg_records",
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("trunk", sa.Text),
        sa.Column("number", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("ringing_at", _MOMENT),
        sa.Column("answered_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("talk_ms", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("sip_status", sa.Integer),
        sa.Column("q850", sa.Integer),
        sa.Column("blame", sa.Text),
        sa.Column("by_peer", sa.Boolean),
        sa.Column("codec", sa.Text),
        sa.Column("rx_packets", sa.BigInteger),
        sa.Column("rx_lost", sa.BigInteger),
        sa.Column("tx_packets", sa.BigInteger),
        sa.Column("remote_lost", sa.BigInteger),
        sa.Column("jitter_ms", sa.Float),
        sa.Column("rtt_ms", sa.Float),
        sa.Column("mos", sa.Float),
        sa.Column("dtmf_received", sa.Integer, nullable=False),
        sa.Column("dtmf_sent", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("call", "id", name="pk_leg_records"),
        sa.ForeignKeyConstraint(
            ["call"], ["call_records.id"], name="fk_leg_records_call", ondelete="CASCADE"
        ),
    )
    op.create_index(
        "ix_leg_records_project_trunk_created_at", "leg_records", ["project", "trunk", "created_at"]
    )

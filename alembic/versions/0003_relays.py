"""Relays: what of a day's limit is spent, how they fare, and the key that signs return paths.

Going back drops the key: mail that returns to an address signed before is then not known as ours.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and make the key once and for all."""
    keys = op.create_table(
        "keys",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_keys")),
    )
    op.bulk_insert(keys, [{"name": "return path", "value": secrets.token_bytes(32)}])
    op.create_table(
        "relay_use",
        sa.Column("relay", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.CheckConstraint("mails >= 0", name=op.f("ck_relay_use_mails")),
        sa.PrimaryKeyConstraint("relay", "at", name=op.f("pk_relay_use")),
    )
    op.create_table(
        "relay_health",
        sa.Column("relay", sa.String(), nullable=False),
        sa.Column("worker_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("relay", "worker_id", name=op.f("pk_relay_health")),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("relay_health")
    op.drop_table("relay_use")
    op.drop_table("keys")

"""Sequels: what a version is to an earlier one; waves under the embargo; which mail a mail follows.

Going back forgets which versions are corrections, withdrawals and follow-ups: they are then releases
like any other.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STAYS = "what a version says of an earlier one is immutable"
COLUMNS = ("version_id", "kind", "reason", "base_id", "base_on")


def guards(differs: str) -> list[tuple[str, str, str]]:
    """Name, event and condition of the guards of the table."""
    changed = " OR ".join(f"OLD.{name} {differs} NEW.{name}" for name in COLUMNS)
    return [("sequels_stay", "UPDATE", changed), ("sequels_kept", "DELETE", "OLD.kind IS NOT NULL")]


def upgrade() -> None:
    """Create the table with its guards, and add the columns."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "sequels",
        sa.Column("version_id", key, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("base_id", key, nullable=False),
        sa.Column("base_on", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('correction', 'follow-up', 'withdrawal')", name=op.f("ck_sequels_kind")
        ),
        sa.CheckConstraint("base_id < version_id", name=op.f("ck_sequels_base_is_earlier")),
        sa.ForeignKeyConstraint(["base_id"], ["versions.id"], name=op.f("fk_sequels_base_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_sequels_version_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_sequels")),
    )
    # Adding is all that SQLite does in place; making a table anew would drop its guards.
    op.add_column(
        "waves", sa.Column("before_lift", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("deliveries", sa.Column("thread", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        for name, event, condition in guards("IS NOT"):
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON sequels WHEN {condition} "
                f"BEGIN SELECT RAISE(ABORT, '{STAYS}'); END",
            )
        return
    for name, event, condition in guards("IS DISTINCT FROM"):
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON sequels FOR EACH ROW "
            f"WHEN ({condition}) EXECUTE FUNCTION refuse_change('{STAYS}')",
        )


def downgrade() -> None:
    """Drop them. The tables that lose a column keep their guards."""
    op.drop_column("deliveries", "thread")
    op.drop_column("waves", "before_lift")
    op.drop_table("sequels")

"""Attachments: their octets in pieces under their hash, which versions name them, and how large a
mail each relay says that it takes.

The octets never change: a worker refuses what does not come to its hash, and so would find out at
the lift. Going back loses them, so it is refused while there are any.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STAYS = "the octets of an attachment are immutable"
GUARDS = (
    ("attachments_stay", "attachments", ("digest", "size")),
    ("attachment_pieces_stay", "attachment_pieces", ("digest", "number", "octets")),
    ("version_attachments_stay", "version_attachments", ("version_id", "digest")),
)


def upgrade() -> None:
    """Create the tables and their guards."""
    op.create_table(
        "attachments",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_attachments_digest")),
        sa.CheckConstraint("size > 0", name=op.f("ck_attachments_size")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_attachments")),
    )
    op.create_table(
        "attachment_pieces",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number >= 0", name=op.f("ck_attachment_pieces_number")),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["attachments.digest"],
            name=op.f("fk_attachment_pieces_digest"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", "number", name=op.f("pk_attachment_pieces")),
    )
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "version_attachments",
        sa.Column("version_id", key, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["versions.id"], name=op.f("fk_version_attachments_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["digest"], ["attachments.digest"], name=op.f("fk_version_attachments_digest")
        ),
        sa.PrimaryKeyConstraint("version_id", "digest", name=op.f("pk_version_attachments")),
    )
    op.create_index(
        "ix_version_attachments_digest", "version_attachments", ["digest"]
    )
    op.add_column("relay_health", sa.Column("size_max", key))
    if op.get_bind().dialect.name == "sqlite":
        for name, table, columns in GUARDS:
            changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)
            op.execute(
                f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} WHEN {changed} "
                f"BEGIN SELECT RAISE(ABORT, '{STAYS}'); END",
            )
        return
    for name, table, columns in GUARDS:
        changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN ({changed}) EXECUTE FUNCTION refuse_change('{STAYS}')",
        )


def downgrade() -> None:
    """Drop the tables, their triggers with them; refused while a version has attachments."""
    named = op.get_bind().execute(sa.text("SELECT count(*) FROM version_attachments")).scalar()
    if named:
        raise RuntimeError(f"{named} versions have attachments, which going back would lose")
    op.drop_column("relay_health", "size_max")
    op.drop_table("version_attachments")
    op.drop_table("attachment_pieces")
    op.drop_table("attachments")

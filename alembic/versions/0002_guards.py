"""Guards: what the database itself refuses, whoever asks.

Nothing leaves ``accepted`` but by a returned notice; approved text is immutable; the audit is
append-only (only its chain columns are filled later).
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ACCEPTED_STAYS = "an accepted delivery only becomes bounced or complained"
APPROVED_STAYS = "the text of an approved version is immutable"
AUDIT_STAYS = "the audit is append-only"

FROZEN = (
    "release_id", "number", "headline", "text", "source", "language", "sender_name",
    "sender_address", "sender_organisation", "reply_to", "embargo_state", "embargo_at",
    "embargo_wall", "embargo_zone", "embargo_fold", "embargo_text", "approved_at", "approved_by",
    "seal",
)
COMPILED = ("version_id", "template", "language", "content", "digest")
RECORDED = ("at", "actor", "action", "subject", "facts")


def changed(columns: tuple[str, ...], differs: str, cast: str = "") -> str:
    """SQL that is true when one of the columns is about to change."""
    return " OR ".join(f"OLD.{name}{cast} {differs} NEW.{name}{cast}" for name in columns)


def guards(differs: str, cast: str = "") -> list[tuple[str, str, str, str, str]]:
    """Name, event, table, condition and words of every guard."""
    return [
        (
            "deliveries_accepted_stays", "UPDATE", "deliveries",
            "OLD.state = 'accepted' AND NEW.state NOT IN ('accepted', 'bounced', 'complained')",
            ACCEPTED_STAYS,
        ),
        ("deliveries_accepted_kept", "DELETE", "deliveries", "OLD.state = 'accepted'", ACCEPTED_STAYS),
        (
            "versions_approved_stays", "UPDATE", "versions",
            "(OLD.state <> 'draft' AND NEW.state = 'draft')"
            " OR (OLD.state = 'superseded' AND NEW.state <> 'superseded')"
            f" OR (OLD.state <> 'draft' AND ({changed(FROZEN, differs, cast)}))",
            APPROVED_STAYS,
        ),
        (
            "compiled_messages_stay", "UPDATE", "compiled_messages",
            changed(COMPILED, differs, cast),
            APPROVED_STAYS,
        ),
        ("audit_unchanged", "UPDATE", "audit", changed(RECORDED, differs, cast), AUDIT_STAYS),
        ("audit_undeleted", "DELETE", "audit", "OLD.id IS NOT NULL", AUDIT_STAYS),
    ]


def upgrade() -> None:
    """Create the triggers in the dialect at hand."""
    if op.get_bind().dialect.name == "sqlite":
        for name, event, table, condition, words in guards("IS NOT"):
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {condition} "
                f"BEGIN SELECT RAISE(ABORT, '{words}'); END",
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END $$",
    )
    for name, event, table, condition, words in guards("IS DISTINCT FROM", "::text"):
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW "
            f"WHEN ({condition}) EXECUTE FUNCTION refuse_change('{words}')",
        )


def downgrade() -> None:
    """Drop the triggers."""
    postgresql = op.get_bind().dialect.name != "sqlite"
    for name, _event, table, _condition, _words in guards("IS NOT"):
        op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if postgresql else ""))
    if postgresql:
        op.execute("DROP FUNCTION refuse_change()")

"""
Notices of certificates that run out, their pushes, and who is hidden.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.schema import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OF_A_DIGEST = "digest_date IS NOT NULL"
_UNSENT = "state IN ('queued', 'leased', 'dead')"


def upgrade() -> None:
    """
    Create the tables.
    """
    _create_notifications()
    _create_push_outbox()
    _create_expiry_guards()
    _create_acknowledgements()
    _create_notification_runs()
    _create_mentor_visibility()


def downgrade() -> None:
    """
    Drop the tables, and all that is in them.
    """
    for table in (
        "mentor_visibility",
        "notification_runs",
        "acknowledgements",
        "expiry_guards",
        "push_outbox",
        "notifications",
    ):
        op.drop_table(table)


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.Text(), nullable=False),
        sa.Column("mentor_id", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("threshold_tier", sa.Text(), nullable=False),
        sa.Column("notification_window_start", sa.Date(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("recipient_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("deep_link", sa.Text(), nullable=True),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("acknowledged_at", Instant(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("digest_date", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "mentor_id <> '' AND certificate_type <> '' AND recipient_id <> ''",
            name=("ck_notifications_named"),
        ),
        sa.PrimaryKeyConstraint("notification_id", name=("pk_notifications")),
        sa.UniqueConstraint(
            "mentor_id",
            "certificate_type",
            "threshold_tier",
            "notification_window_start",
            "audience",
            "recipient_id",
            name=("uq_notifications_key"),
        ),
    )
    op.create_index(
        "ix_notifications_inbox", "notifications", ["recipient_id", "created_at", "notification_id"]
    )
    _create_partial_index(
        "ix_notifications_digest", "notifications", ["recipient_id", "digest_date"], _OF_A_DIGEST
    )


def _create_push_outbox() -> None:
    op.create_table(
        "push_outbox",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("mentor_id", sa.Text(), nullable=True),
        sa.Column("certificate_type", sa.Text(), nullable=True),
        sa.Column("ends_at", Instant(), nullable=True),
        sa.Column("recipient_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("digest_date", sa.Date(), nullable=True),
        sa.CheckConstraint("recipient_id <> ''", name=("ck_push_outbox_addressed")),
        sa.PrimaryKeyConstraint("message_id", name=("pk_push_outbox")),
    )
    _create_partial_index(
        "uq_push_outbox_digest", "push_outbox", ["recipient_id", "digest_date"], _OF_A_DIGEST, unique=True
    )
    _create_partial_index("ix_push_outbox_due", "push_outbox", ["due_at"], "state = 'queued'")
    _create_partial_index("ix_push_outbox_leased", "push_outbox", ["lease_until"], "state = 'leased'")
    _create_partial_index(
        "ix_push_outbox_of_certificate", "push_outbox", ["mentor_id", "certificate_type"], _UNSENT
    )


def _create_partial_index(
    name: str, table: str, columns: list[str], condition: str, *, unique: bool = False
) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _create_expiry_guards() -> None:
    op.create_table(
        "expiry_guards",
        sa.Column("mentor_id", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("notified_at", Instant(), nullable=True),
        sa.Column("ends_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("mentor_id", "certificate_type", name=("pk_expiry_guards")),
        sqlite_with_rowid=False,
    )


def _create_acknowledgements() -> None:
    op.create_table(
        "acknowledgements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("notification_id", sa.Text(), nullable=False),
        sa.Column("mentor_id", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("threshold_tier", sa.Text(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", Instant(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=("pk_acknowledgements")),
        sa.UniqueConstraint("notification_id", name=("uq_acknowledgements_notification_id")),
    )
    op.create_index(
        "ix_acknowledgements_of_organization",
        "acknowledgements",
        ["organization_id", "acknowledged_at", "id"],
    )


def _create_notification_runs() -> None:
    op.create_table(
        "notification_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("duration", sa.Double(), nullable=False),
        sa.Column("by_tier", sa.Text(), nullable=False),
        sa.Column("processed", sa.Integer(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("error_codes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=("pk_notification_runs")),
    )


def _create_mentor_visibility() -> None:
    op.create_table(
        "mentor_visibility",
        sa.Column("mentor_id", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("suppressed_at", Instant(), nullable=True),
        sa.Column("previous_status", sa.Text(), nullable=True),
        sa.CheckConstraint("mentor_id <> '' AND certificate_type <> ''", name=("ck_mentor_visibility_named")),
        sa.PrimaryKeyConstraint("mentor_id", "certificate_type", name=("pk_mentor_visibility")),
        sqlite_with_rowid=False,
    )

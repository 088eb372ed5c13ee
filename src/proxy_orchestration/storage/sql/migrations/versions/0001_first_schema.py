"""
The first schema: batches, runs, work, outcomes, audit events, activities.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.schema import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Create every table.
    """
    _create_batch_keys()
    _create_batches()
    _create_items()
    _create_runs()
    _create_work()
    _create_outcomes()
    _create_audit_events()
    _create_activities()


def downgrade() -> None:
    """
    Drop every table, and all that is in them.
    """
    for table in (
        "activities",
        "audit_events",
        "outcomes",
        "work",
        "runs",
        "items",
        "batches",
        "batch_keys",
    ):
        op.drop_table(table)


def _create_batch_keys() -> None:
    op.create_table(
        "batch_keys",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("coordinator_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "coordinator_id", "idempotency_key", name=("pk_batch_keys")
        ),
        sqlite_with_rowid=False,
    )


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("coordinator_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("submitted_at", Instant(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_batches")),
        sa.UniqueConstraint("batch_id", name=("uq_batches_batch_id")),
    )
    op.create_index(
        "ix_batches_of_coordinator",
        "batches",
        ["organization_id", "coordinator_id", "submitted_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_batches_of_organization", "batches", ["organization_id", "submitted_at", "id"], unique=False
    )


def _create_items() -> None:
    op.create_table(
        "items",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("mentor_id", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name=("fk_items_batch_batches")),
        sa.PrimaryKeyConstraint("batch", "position", name=("pk_items")),
        sa.UniqueConstraint("batch", "mentor_id", name=("uq_items_batch_mentor_id")),
        sqlite_with_rowid=False,
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("run_items", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("tail", sa.Integer(), nullable=False),
        sa.Column("claimed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.Double(), server_default="0", nullable=False),
        sa.Column("driven_for", sa.Double(), server_default="0", nullable=False),
        sa.Column("cancel_wished_at", Instant(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("cancel_tail", sa.Integer(), nullable=True),
        sa.Column("settled_at", Instant(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name=("fk_runs_batch_batches")),
        sa.PrimaryKeyConstraint("batch", "run", name=("pk_runs")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_runs_open",
        "runs",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )


def _create_work() -> None:
    op.create_table(
        "work",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("batch", "run", "position", name=("pk_work")),
        sqlite_with_rowid=False,
    )


def _create_outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), nullable=True),
        sa.Column("conflicting_activity_id", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("settled_at", Instant(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("batch", "sequence", name=("pk_outcomes")),
        sa.UniqueConstraint("batch", "item", "run", name=("uq_outcomes_batch_item_run")),
        sqlite_with_rowid=False,
    )


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("held_until", sa.Double(), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_audit_events")),
        sa.UniqueConstraint("event_id", name=("uq_audit_events_event_id")),
    )
    op.create_index(
        "ix_audit_events_pending",
        "audit_events",
        ["held_until"],
        unique=False,
        sqlite_where=sa.text("delivered = 0"),
        postgresql_where=sa.text("delivered = false"),
    )


def _create_activities() -> None:
    op.create_table(
        "activities",
        sa.Column("activity_id", sa.Text(), nullable=False),
        sa.Column("registration_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("registered_by", sa.Text(), nullable=False),
        sa.Column("registered_by_roles", sa.Text(), nullable=False),
        sa.Column("attributed_to", sa.Text(), nullable=False),
        sa.Column("activity_type", sa.Text(), nullable=False),
        sa.Column("activity_date", sa.Date(), nullable=False),
        sa.Column("duration_minutes", sa.Integer(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("override_of", sa.Text(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.CheckConstraint("duration_minutes > 0", name=("ck_activities_some_time")),
        sa.CheckConstraint("registered_by <> attributed_to", name=("ck_activities_two_people")),
        sa.PrimaryKeyConstraint("activity_id", name=("pk_activities")),
        sa.UniqueConstraint("registration_id", name=("uq_activities_registration_id")),
    )
    op.create_index("ix_activities_of_batch", "activities", ["batch_id", "attributed_to"], unique=False)

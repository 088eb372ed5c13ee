"""
Inboxes: when a notice was read, and until when it is put off. The log of runs: how each ended, and for whom.

Code of earlier revisions would show what is purged, and tell again what is
erased, so it is excluded.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.schema import KEY, Instant

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

compatible_from = "0019"

_OF_A_RUN = ("ending", "error", "skipped_by_reason")


def upgrade() -> None:
    """
    Add the columns and the table of shares.
    """
    op.add_column("notifications", sa.Column("read_at", Instant(), nullable=True))
    op.add_column("notifications", sa.Column("remind_at", Instant(), nullable=True))
    op.add_column("notifications", sa.Column("purged_at", Instant(), nullable=True))
    for column in _OF_A_RUN:
        op.add_column("notification_runs", sa.Column(column, sa.Text(), nullable=True))
    op.create_index("ix_notification_runs_started", "notification_runs", ["started_at", "run_id"])
    op.create_table(
        "notification_run_shares",
        sa.Column("organization_id", KEY, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "started_at", "run_id", name=op.f("pk_notification_run_shares")
        ),
        sqlite_with_rowid=False,
    )
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Remove them: everything is unread again.
    """
    op.drop_table("notification_run_shares")
    op.drop_index("ix_notification_runs_started", "notification_runs")
    for column in _OF_A_RUN:
        op.drop_column("notification_runs", column)
    for column in ("read_at", "remind_at", "purged_at"):
        op.drop_column("notifications", column)
    declare_compatible(op.get_bind(), "0016")

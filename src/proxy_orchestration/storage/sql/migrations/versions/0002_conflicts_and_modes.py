"""
Modes and policies of batches, overrides, duplicates of activities.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.schema import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ORIGINAL = "voided_at IS NULL AND override_of IS NULL"
_STANDING_OVERRIDE = "voided_at IS NULL AND override_of IS NOT NULL"

# The usual key of the standard service, for the first record of each; earlier versions let others follow.
_KEYS = """
UPDATE activities
SET duplicate_key =
    {day} || ':' || length(attributed_to) || ':' || attributed_to || ':' || activity_type
WHERE override_of IS NULL AND NOT EXISTS (
    SELECT 1 FROM activities AS earlier
    WHERE earlier.organization_id = activities.organization_id
        AND earlier.attributed_to = activities.attributed_to
        AND earlier.activity_date = activities.activity_date
        AND earlier.activity_type = activities.activity_type
        AND earlier.override_of IS NULL
        AND (earlier.recorded_at < activities.recorded_at
            OR (earlier.recorded_at = activities.recorded_at
                AND earlier.activity_id < activities.activity_id))
)
"""
_LOOK_UP = ["organization_id", "attributed_to", "activity_date", "activity_type"]


def upgrade() -> None:
    """
    Add the columns; batches that are there are independent and reviewed, as they were.
    """
    op.add_column("batches", sa.Column("mode", sa.Text(), nullable=False, server_default="independent"))
    op.add_column("batches", sa.Column("on_conflict", sa.Text(), nullable=False, server_default="review"))
    op.add_column("work", sa.Column("override_of", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("override_by", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("override_at", Instant(), nullable=True))
    op.add_column("activities", sa.Column("duplicate_key", sa.Text(), nullable=True))
    op.add_column("activities", sa.Column("voided_at", Instant(), nullable=True))
    op.create_index("ix_activities_for_upgrade", "activities", _LOOK_UP)
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute(_KEYS.format(day="activity_date" if sqlite else "to_char(activity_date, 'YYYY-MM-DD')"))
    op.drop_index("ix_activities_for_upgrade", "activities")
    op.create_index(
        "uq_activities_original",
        "activities",
        ["organization_id", "duplicate_key"],
        unique=True,
        sqlite_where=sa.text(_ORIGINAL),
        postgresql_where=sa.text(_ORIGINAL),
    )
    op.create_index(
        "ix_activities_override",
        "activities",
        ["organization_id", "duplicate_key"],
        unique=False,
        sqlite_where=sa.text(_STANDING_OVERRIDE),
        postgresql_where=sa.text(_STANDING_OVERRIDE),
    )


def downgrade() -> None:
    """
    Drop what was added; decisions to override are forgotten.
    """
    op.drop_index("ix_activities_override", "activities")
    op.drop_index("uq_activities_original", "activities")
    for table, column in (
        ("activities", "voided_at"),
        ("activities", "duplicate_key"),
        ("work", "override_at"),
        ("work", "override_by"),
        ("work", "override_of"),
        ("batches", "on_conflict"),
        ("batches", "mode"),
    ):
        op.drop_column(table, column)

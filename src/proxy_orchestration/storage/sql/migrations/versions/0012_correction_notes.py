"""
Records are looked through by day, person and mentor, and notes stand beside them.

It only adds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.dialect.types import BY_CODE_POINT
from proxy_orchestration.storage.sql.schema import Instant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

compatible_from = "0009"

_INDEXES = {
    "ix_activities_by_day": ["organization_id", "activity_date", "recorded_at"],
    "ix_activities_by_mentor": ["organization_id", "attributed_to", "activity_date", "recorded_at"],
}
_BY_PERSON = "ix_activities_by_person"


def upgrade() -> None:
    """
    Add the table and the indexes.
    """
    op.create_table(
        "correction_notes",
        sa.Column("activity_id", BY_CODE_POINT, nullable=False),
        sa.Column("note_id", BY_CODE_POINT, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("written_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("activity_id", "note_id", name="pk_correction_notes"),
        sa.ForeignKeyConstraint(
            ["activity_id"],
            ["activities.activity_id"],
            name="fk_correction_notes_activity_id_activities",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "activities", columns)
    columns = ["organization_id", "registered_by", "activity_date", "recorded_at"]
    op.create_index(_BY_PERSON, "activities", columns, postgresql_ops={"registered_by": 'COLLATE "C"'})
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    for name in (*_INDEXES, _BY_PERSON):
        op.drop_index(name, "activities")
    op.drop_table("correction_notes")
    declare_compatible(op.get_bind(), compatible_from)

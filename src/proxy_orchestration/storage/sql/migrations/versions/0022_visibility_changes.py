"""
Who was hidden and shown has audit rows, and a person may have somebody shown again.

The status from before was written as `visible` whatever it was, so it counts
as unknown. Code of earlier revisions would hide again whom a person had
shown, and leave no audit row, so it is excluded.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.dialect.types import BY_CODE_POINT
from proxy_orchestration.storage.sql.schema import Instant

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

compatible_from = "0022"

_VISIBILITY = sa.table("mentor_visibility", sa.column("previous_status", sa.Text()))


def upgrade() -> None:
    """
    Add the columns and the table.
    """
    op.add_column("mentor_visibility", sa.Column("certificate_id", sa.Text(), nullable=True))
    op.add_column("mentor_visibility", sa.Column("organization_id", sa.Text(), nullable=True))
    op.add_column("mentor_visibility", sa.Column("restored_at", Instant(), nullable=True))
    op.execute(_VISIBILITY.update().values(previous_status=None))
    op.create_table(
        "visibility_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mentor_id", BY_CODE_POINT, nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("previous_status", sa.Text(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("organization_id", BY_CODE_POINT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_visibility_changes"),
    )
    op.create_index("ix_visibility_changes_newest", "visibility_changes", ["changed_at", "id"])
    op.create_index(
        "ix_visibility_changes_of_organization",
        "visibility_changes",
        ["organization_id", "changed_at", "id"],
    )
    op.create_index(
        "ix_visibility_changes_of_mentor", "visibility_changes", ["mentor_id", "changed_at", "id"]
    )
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Forget who was shown again, and when.
    """
    op.drop_table("visibility_changes")
    for name in ("restored_at", "organization_id", "certificate_id"):
        op.drop_column("mentor_visibility", name)
    declare_compatible(op.get_bind(), "0021")

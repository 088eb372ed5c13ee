"""
A run's row says what it was opened for and who acted last; an event has room for more.

It only adds. What code of before opens or cancels has nobody in it. New
fields of an audit event stand beside its payload, since older code takes
everything in there for a field that it knows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

compatible_from = "0007"


def upgrade() -> None:
    """
    Add the columns.
    """
    for column in ("purpose", "retried_by", "decided_by", "cancelled_by"):
        op.add_column("runs", sa.Column(column, sa.Text(), nullable=True))
    op.add_column("audit_events", sa.Column("further", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    op.drop_column("audit_events", "further")
    for column in ("purpose", "retried_by", "decided_by", "cancelled_by"):
        op.drop_column("runs", column)
    declare_compatible(op.get_bind(), compatible_from)

"""
A run's row says what it was opened for, who acted last, and whether the host waits to hear of its end.

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
    for column in ("untold_until", "untold_hold"):
        op.add_column("runs", sa.Column(column, sa.Double(), nullable=True))
    waits = sa.text("untold_until IS NOT NULL")
    op.create_index("ix_runs_untold", "runs", ["untold_until"], sqlite_where=waits, postgresql_where=waits)
    op.add_column("audit_events", sa.Column("further", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    op.drop_column("audit_events", "further")
    op.drop_index("ix_runs_untold", "runs")
    for column in ("purpose", "retried_by", "decided_by", "cancelled_by", "untold_until", "untold_hold"):
        op.drop_column("runs", column)
    declare_compatible(op.get_bind(), compatible_from)

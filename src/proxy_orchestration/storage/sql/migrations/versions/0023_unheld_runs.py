"""
Runs that wait for a driver have an index in the order in which they are taken.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

compatible_from = "0022"

_NAME = "ix_runs_unheld"
_UNHELD = "settled_at IS NULL AND lease_until = 0 AND (paused_at IS NULL OR cancel_wished_at IS NOT NULL)"


def upgrade() -> None:
    """
    Add the index.
    """
    columns, where = ["lease_until", "due_at", "batch", "run"], sa.text(_UNHELD)
    op.create_index(_NAME, "runs", columns, sqlite_where=where, postgresql_where=where)
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Remove it.
    """
    op.drop_index(_NAME, "runs")
    declare_compatible(op.get_bind(), "0022")

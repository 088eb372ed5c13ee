"""
A run's row says since when it is paused, by whom or why.

It only adds. But code of revision 0012 knows of no pause and would drive what
is paused, so it does not work on this schema.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.schema import Instant

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

compatible_from = "0013"


def upgrade() -> None:
    """
    Add the columns.
    """
    op.add_column("runs", sa.Column("paused_at", Instant(), nullable=True))
    op.add_column("runs", sa.Column("paused_since", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("paused_by", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("pause_code", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again; what was paused goes on.
    """
    for name in ("paused_at", "paused_since", "paused_by", "pause_code"):
        op.drop_column("runs", name)
    declare_compatible(op.get_bind(), "0009")

"""
A further run's row says how the items stand that are not in it, so that nobody counts earlier runs.

It only adds. A run that code of before opens says nothing, and is counted as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

compatible_from = "0009"


def upgrade() -> None:
    """
    Add the column.
    """
    op.add_column("runs", sa.Column("counts_outside", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop it again.
    """
    op.drop_column("runs", "counts_outside")
    declare_compatible(op.get_bind(), compatible_from)

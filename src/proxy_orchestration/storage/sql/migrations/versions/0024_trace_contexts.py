"""
A batch keeps where in a trace it was accepted. It only adds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

compatible_from = "0023"


def upgrade() -> None:
    """
    Add the column.
    """
    op.add_column("batches", sa.Column("trace_context", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop it again.
    """
    op.drop_column("batches", "trace_context")
    declare_compatible(op.get_bind(), "0022")

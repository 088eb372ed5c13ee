"""
The version row says from which revision on code may work on the schema.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE, declare_compatible

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

compatible_from = "0005"
"""Earlier code does not look at the row's new column, and stops at the number."""


def upgrade() -> None:
    """
    Add the column to the table in which Alembic keeps the revision; Alembic leaves it as it is.
    """
    if _is_ours():
        op.add_column(VERSION_TABLE, sa.Column("compatible_from", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop the column.
    """
    if _is_ours():
        op.drop_column(VERSION_TABLE, "compatible_from")


def _is_ours() -> bool:
    # A host that runs these revisions in its own chain keeps the number in its own table.
    return sa.inspect(op.get_bind()).has_table(VERSION_TABLE)

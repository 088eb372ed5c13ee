"""
A retry may register another activity for an item; both are kept.

Code of earlier revisions would register the first one under the edit's key:
it must not drive such a batch.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

compatible_from = "0009"


def upgrade() -> None:
    """
    Add the column and the table.
    """
    op.add_column("items", sa.Column("edited", sa.Text(), nullable=True))
    op.create_table(
        "edits",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("batch", "item", "run", name="pk_edits"),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name="fk_edits_batch_batches", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again; what was edited is what was submitted then.
    """
    op.drop_table("edits")
    op.drop_column("items", "edited")
    declare_compatible(op.get_bind(), "0008")

"""
An item has a key of its own where its mentor stands in the batch with more than one activity.

Code of earlier revisions knows one item per mentor, and would register the
second under the first one's registration id: it must not drive such a batch.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

compatible_from = "0007"

_KEY: sa.ColumnElement[str] = sa.func.coalesce(sa.column("item_key"), sa.column("mentor_id"))


def upgrade() -> None:
    """
    Add the column; an item's key is unique in its batch, and no longer its mentor.
    """
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(sa.Column("item_key", sa.Text(), nullable=True))
    else:
        op.add_column("items", sa.Column("item_key", sa.Text(collation="C"), nullable=True))
        op.drop_constraint("uq_items_batch_mentor_id", "items", type_="unique")
    op.create_index("uq_items_item_key", "items", ["batch", _KEY], unique=True)
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop it again; refused by the database where a mentor stands in a batch twice.
    """
    op.drop_index("uq_items_item_key", "items")
    one_each = sa.UniqueConstraint("batch", "mentor_id", name="uq_items_batch_mentor_id")
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(one_each)
    else:
        op.create_unique_constraint("uq_items_batch_mentor_id", "items", ["batch", "mentor_id"])
        op.drop_column("items", "item_key")
    declare_compatible(op.get_bind(), "0005")


def _rebuild(part: sa.Column[str] | sa.UniqueConstraint) -> None:
    # SQLite drops no constraint. The new table keeps the name, so that its text is what the metadata makes.
    op.rename_table("items", "items_before")
    op.create_table(
        "items",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("mentor_id", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        part,
        sa.PrimaryKeyConstraint("batch", "position", name="pk_items"),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name="fk_items_batch_batches"),
        sqlite_with_rowid=False,
    )
    columns = "batch, position, mentor_id, activity"
    op.execute(f"INSERT INTO items ({columns}) SELECT {columns} FROM items_before")  # noqa: S608 - our own names
    op.drop_table("items_before")

"""
A run's row says how far calls may have gone, and what waits or was left without an outcome is kept.

It only adds. Code of revision 0005 goes on working: it reads and writes
nothing of this, and takes every claimed item for begun, as it always did.
Where it drove a run in between, `called_fence` no longer equals the fence,
and newer code takes everything that was claimed for begun too, and judges no
lease by the `lease_ttl` of another driver. Beside every moment on the store's
clock stands its length: one that lies further off was written by a clock that
has been set back since.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

compatible_from = "0005"


def upgrade() -> None:
    """
    Add the columns and the table.
    """
    op.add_column("runs", sa.Column("called", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("called_fence", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("alone", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("due_at", sa.Double(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("first_call_at", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("lease_ttl", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("waits", sa.Double(), nullable=True))
    op.add_column("audit_events", sa.Column("hold", sa.Double(), nullable=True))
    op.add_column("push_outbox", sa.Column("lease_ttl", sa.Double(), nullable=True))
    op.create_table(
        "unfinished",
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.Column("not_seen", sa.Boolean(), nullable=False),
        sa.Column("is_called", sa.Boolean(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("waits", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("batch", "run", "position", name="pk_unfinished"),
        sa.ForeignKeyConstraint(
            ["batch"], ["batches.id"], name="fk_unfinished_batch_batches", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again; what waits is in doubt for the code before.
    """
    op.drop_table("unfinished")
    op.drop_column("push_outbox", "lease_ttl")
    op.drop_column("audit_events", "hold")
    for column in ("called", "called_fence", "alone", "due_at", "first_call_at", "lease_ttl", "waits"):
        op.drop_column("runs", column)
    declare_compatible(op.get_bind(), compatible_from)

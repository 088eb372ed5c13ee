"""
A push outlives an outage, and what FCM says about devices is counted over processes.

Leases that ended without a word are counted apart from attempts, so that
refusals end no message. A message keeps the devices that are still owed.
Code of revision 0016 works here: it gives a message up after its attempts,
and pushes to all devices again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.dialect.types import BY_CODE_POINT
from proxy_orchestration.storage.sql.schema import Instant

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

compatible_from = "0016"

_DEAD = "state = 'dead'"

_PUSHES = sa.table(
    "push_outbox",
    sa.column("state", sa.Text()),
    sa.column("due_at", Instant()),
    sa.column("claimed_at", Instant()),
)


def upgrade() -> None:
    """
    Add the columns, the index of dead messages and the table of counts.
    """
    op.add_column("push_outbox", sa.Column("lost", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("push_outbox", sa.Column("owed", sa.Text(), nullable=True))
    # Earlier revisions noted no claim of a message that is no digest; its due time is about then.
    op.execute(
        _PUSHES.update()
        .where(sa.text(_DEAD), _PUSHES.c.claimed_at.is_(None))
        .values(claimed_at=_PUSHES.c.due_at)
    )
    where = sa.text(_DEAD)
    op.create_index(
        "ix_push_outbox_dead",
        "push_outbox",
        ["claimed_at", "message_id"],
        sqlite_where=where,
        postgresql_where=where,
    )
    op.create_table(
        "device_answers",
        sa.Column("channel", BY_CODE_POINT, nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_device_answers"),
        sqlite_with_rowid=False,
    )
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop what was added.
    """
    op.drop_table("device_answers")
    op.drop_index("ix_push_outbox_dead", "push_outbox")
    for column in ("owed", "lost"):
        op.drop_column("push_outbox", column)
    declare_compatible(op.get_bind(), "0016")

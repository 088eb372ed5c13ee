"""
Inboxes: when a notice was read, and until when it is put off.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.schema import Instant

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

compatible_from = "0016"


def upgrade() -> None:
    """
    Add the columns.
    """
    op.add_column("notifications", sa.Column("read_at", Instant(), nullable=True))
    op.add_column("notifications", sa.Column("remind_at", Instant(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Remove them: everything is unread again.
    """
    for column in ("read_at", "remind_at"):
        op.drop_column("notifications", column)
    declare_compatible(op.get_bind(), "0016")

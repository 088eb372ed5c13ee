"""
A notice keeps what its text is made of, so that it can be made anew for another day or reader.

It only adds. Code of revision 0016 writes notices without it, which keep the
text that they were written with.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

compatible_from = "0019"


def upgrade() -> None:
    """
    Add the columns; what was told before has none of it.
    """
    op.add_column("notifications", sa.Column("last_valid_day", sa.Date(), nullable=True))
    op.add_column("notifications", sa.Column("holder_name", sa.Text(), nullable=True))
    op.add_column("notifications", sa.Column("locale", sa.Text(), nullable=True))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    op.drop_column("notifications", "locale")
    op.drop_column("notifications", "holder_name")
    op.drop_column("notifications", "last_valid_day")
    declare_compatible(op.get_bind(), compatible_from)

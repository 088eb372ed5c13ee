"""
A batch and its audit events say which service accepted it.

It only adds. But code of revision 0013 asks for no name and would drive what
another service accepted, so it does not work on this schema.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

compatible_from = "0014"

_COMMAND_LINE = "proxy-orchestration"
_ITS_KEYS = "file-" + 64 * "_"
"""How the command line makes a key of a file; whoever gave a key of their own cannot be told apart."""

_BATCHES = sa.table("batches", sa.column("batch_id"), sa.column("service_name"))
_KEYS = sa.table("batch_keys", sa.column("batch_id"), sa.column("idempotency_key"))
_OF_A_FILE = (
    sa.select(_KEYS.c.batch_id)
    .where(_KEYS.c.batch_id == _BATCHES.c.batch_id, _KEYS.c.idempotency_key.like(_ITS_KEYS))
    .exists()
)


def upgrade() -> None:
    """
    Add the columns, and name the batches that the command line accepted.
    """
    op.add_column("batches", sa.Column("service_name", sa.Text(), nullable=True))
    op.add_column("audit_events", sa.Column("service_name", sa.Text(), nullable=True))
    op.execute(_BATCHES.update().where(_OF_A_FILE).values(service_name=_COMMAND_LINE))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    op.drop_column("audit_events", "service_name")
    op.drop_column("batches", "service_name")
    declare_compatible(op.get_bind(), "0013")

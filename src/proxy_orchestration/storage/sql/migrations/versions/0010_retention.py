"""
An audit event's content is kept as it was stored; keys say how old they are.

It only adds. What code of revision 0009 writes passes the trigger; keys
that it takes say nothing of their age, and stay.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.dialect.guards import GUARDS, UNGUARDED
from proxy_orchestration.storage.sql.schema import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

compatible_from = "0009"

_EVENTS = sa.Table("audit_events", sa.MetaData())
_KEYS = sa.table("batch_keys", sa.column("batch_id"), sa.column("accepted_at", Instant()))
_BATCHES = sa.table("batches", sa.column("batch_id"), sa.column("submitted_at", Instant()))
_SUBMITTED_AT = (
    sa.select(_BATCHES.c.submitted_at).where(_BATCHES.c.batch_id == _KEYS.c.batch_id).scalar_subquery()
)


def upgrade() -> None:
    """
    Add the columns and the trigger; a key is as old as its batch, one without a batch as this upgrade.
    """
    op.add_column("batch_keys", sa.Column("accepted_at", Instant(), nullable=True))
    now = sa.literal(datetime.now(UTC), Instant())
    op.execute(_KEYS.update().values(accepted_at=sa.func.coalesce(_SUBMITTED_AT, now)))
    op.add_column("audit_events", sa.Column("erasures", sa.Integer(), nullable=False, server_default="0"))
    _run(GUARDS)
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    _run(UNGUARDED)
    op.drop_column("audit_events", "erasures")
    op.drop_column("batch_keys", "accepted_at")
    declare_compatible(op.get_bind(), compatible_from)


def _run(statements: tuple[sa.DDL, ...]) -> None:
    for statement in statements:
        statement(_EVENTS, op.get_bind())

"""
A settled batch tells its status, and whether somebody is waited for, in columns that lists are read by.

They count where `settled_run` is the current run. Code of revision 0016 leaves
them as they are when it settles a run; such a batch is looked up, as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.schema import KEY

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

compatible_from = "0016"

_AT_ONCE = 10_000  # a database may cut a statement that takes long
_IN_ORDER = ["submitted_at", "id"]
_ENDED = ["settled_status", "needs_review", *_IN_ORDER]
_ORGANIZATION = ["organization_id"]
_COORDINATOR = ["organization_id", "coordinator_id"]
_INDEXES = (
    ("ix_batches_settled", [*_ORGANIZATION, *_ENDED], "settled_run = run"),
    ("ix_batches_settled_of_coordinator", [*_COORDINATOR, *_ENDED], "settled_run = run"),
    ("ix_batches_unsettled", [*_ORGANIZATION, *_IN_ORDER], "settled_run != run"),
    ("ix_batches_unsettled_of_coordinator", [*_COORDINATOR, *_IN_ORDER], "settled_run != run"),
    ("ix_batches_labelled", [*_ORGANIZATION, "label", *_IN_ORDER], "label IS NOT NULL"),
)
_NOT_SUCCEEDED = "ix_outcomes_not_succeeded"
_COLUMNS = ("settled_run", "settled_status", "needs_review")
_BATCHES = sa.table(
    "batches",
    sa.column("id", sa.Integer()),
    sa.column("run", sa.Integer()),
    sa.column("settled_run", sa.Integer()),
    sa.column("settled_status", sa.Text()),
    sa.column("needs_review", sa.Boolean()),
)
_RUNS = sa.table("runs", *map(sa.column, ("batch", "run", "settled_at", "status", "counts")))


def upgrade() -> None:
    """
    Add the columns, fill them for what is settled, and index them.
    """
    op.add_column("batches", sa.Column("settled_run", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("batches", sa.Column("settled_status", KEY, nullable=True))
    op.add_column("batches", sa.Column("needs_review", sa.Boolean(), nullable=True))
    for first in range(0, _last_batch() + 1, _AT_ONCE):
        op.execute(_fill(first, first + _AT_ONCE))
    for name, columns, condition in _INDEXES:
        where = sa.text(condition)
        by_code_point = {"label": 'COLLATE "C"'} if "label" in columns else {}
        op.create_index(
            name, "batches", columns, sqlite_where=where, postgresql_where=where, postgresql_ops=by_code_point
        )
    where = sa.text("state <> 'succeeded'")
    op.create_index(
        _NOT_SUCCEEDED,
        "outcomes",
        ["batch", "sequence", "state"],
        postgresql_ops={"state": 'COLLATE "C"'},
        sqlite_where=where,
        postgresql_where=where,
    )
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Drop them again.
    """
    op.drop_index(_NOT_SUCCEEDED, "outcomes")
    for name, _columns, _condition in _INDEXES:
        op.drop_index(name, "batches")
    for column in _COLUMNS:
        op.drop_column("batches", column)
    declare_compatible(op.get_bind(), compatible_from)


def _last_batch() -> int:
    return op.get_bind().execute(sa.select(sa.func.max(_BATCHES.c.id))).scalar() or 0


def _fill(first: int, end: int) -> sa.Update:
    of_current_run = sa.and_(_RUNS.c.batch == _BATCHES.c.id, _RUNS.c.run == _BATCHES.c.run)
    is_told = sa.and_(
        of_current_run,
        _RUNS.c.settled_at.is_not(None),
        _RUNS.c.status.is_not(None),
        _RUNS.c.counts.is_not(None),
    )
    status = sa.select(_RUNS.c.status).where(of_current_run).scalar_subquery()
    waits = sa.select(_RUNS.c.counts.like('%"needs_review"%')).where(of_current_run).scalar_subquery()
    return (
        _BATCHES.update()
        .where(_BATCHES.c.id >= first, _BATCHES.c.id < end, sa.select(_RUNS.c.run).where(is_told).exists())
        .values(settled_run=_BATCHES.c.run, settled_status=status, needs_review=waits)
    )

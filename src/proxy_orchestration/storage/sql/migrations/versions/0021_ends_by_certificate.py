"""
Ends are kept for each certificate by itself, by its organization and id.

The one end that was known of each mentor and type is taken over without an id,
which its certificate gives it when it is told the next time. Code of earlier
revisions would neither see a corrected end nor a revoked one, so it is excluded.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.dialect.types import BY_CODE_POINT
from proxy_orchestration.storage.sql.schema import Instant

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

compatible_from = "0021"

_OF_NO_CERTIFICATE = "51392fbf-95c3-5b48-8c5d-d1d0de83a816"

_GUARDS = sa.table(
    "expiry_guards",
    sa.column("mentor_id", sa.Text()),
    sa.column("certificate_type", sa.Text()),
    sa.column("ends_at", Instant()),
)
_ENDS = sa.table(
    "certificate_ends",
    sa.column("mentor_id", sa.Text()),
    sa.column("certificate_type", sa.Text()),
    sa.column("certificate_key", sa.Text()),
    sa.column("organization_id", sa.Text()),
    sa.column("certificate_id", sa.Text()),
    sa.column("ends_at", Instant()),
    sa.column("seen_at", Instant()),
)


def upgrade() -> None:
    """
    Add the table, with the ends that are known.
    """
    op.create_table(
        "certificate_ends",
        sa.Column("mentor_id", BY_CODE_POINT, nullable=False),
        sa.Column("certificate_type", BY_CODE_POINT, nullable=False),
        sa.Column("certificate_key", BY_CODE_POINT, nullable=False),
        sa.Column("organization_id", BY_CODE_POINT, nullable=False),
        sa.Column("certificate_id", BY_CODE_POINT, nullable=False),
        sa.Column("ends_at", Instant(), nullable=True),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.CheckConstraint("mentor_id <> '' AND certificate_type <> ''", name="ck_certificate_ends_named"),
        sa.PrimaryKeyConstraint(
            "mentor_id", "certificate_type", "certificate_key", name="pk_certificate_ends"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_certificate_ends_of_feed", "certificate_ends", ["organization_id", "certificate_type"]
    )
    op.create_index("ix_certificate_ends_by_end", "certificate_ends", ["ends_at"])
    columns = list(_ENDS.c.keys())
    known = sa.select(
        _GUARDS.c.mentor_id,
        _GUARDS.c.certificate_type,
        sa.literal(_OF_NO_CERTIFICATE),
        sa.literal(""),
        sa.literal(""),
        _GUARDS.c.ends_at,
        sa.literal(datetime.now(UTC), Instant()),
    )
    is_named = sa.and_(_GUARDS.c.mentor_id != "", _GUARDS.c.certificate_type != "")
    op.execute(_ENDS.insert().from_select(columns, known.where(_GUARDS.c.ends_at.is_not(None), is_named)))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Keep the end that counts of each mentor and type.
    """
    latest = (
        sa.select(sa.func.max(_ENDS.c.ends_at))
        .where(
            _ENDS.c.mentor_id == _GUARDS.c.mentor_id,
            _ENDS.c.certificate_type == _GUARDS.c.certificate_type,
        )
        .scalar_subquery()
    )
    op.execute(_GUARDS.update().values(ends_at=latest))
    is_there = sa.exists(
        sa.select(sa.literal(1))
        .select_from(_GUARDS)
        .where(
            _GUARDS.c.mentor_id == _ENDS.c.mentor_id,
            _GUARDS.c.certificate_type == _ENDS.c.certificate_type,
        )
    )
    untold = (
        sa.select(_ENDS.c.mentor_id, _ENDS.c.certificate_type, sa.func.max(_ENDS.c.ends_at))
        .where(~is_there)
        .group_by(_ENDS.c.mentor_id, _ENDS.c.certificate_type)
    )
    op.execute(_GUARDS.insert().from_select(list(_GUARDS.c.keys()), untold))
    op.drop_table("certificate_ends")
    declare_compatible(op.get_bind(), "0019")

"""
A digest covers every notice of its recipient that none has covered yet, whatever day it was made.

Notices that are pending, not older than 14 days and not told of by a digest
that was sent are uncovered, all others count as covered. Of several digests
of one recipient that are not done with the newest stays open; who has
uncovered notices and no open digest gets one.
Older code would count a digest by its day and cover nothing, so it is excluded.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.dialect.types import BY_CODE_POINT
from proxy_orchestration.storage.sql.schema import Instant

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

compatible_from = "0016"

_UNCOVERED_SINCE = timedelta(days=14)
_OF_A_DIGEST = "digest_date IS NOT NULL"
_OPEN = "digest_date IS NOT NULL AND state IN ('queued', 'leased', 'dead')"
_OF_A_RUN = "run_id IS NOT NULL"
_UNCOVERED = "digest_id IS NULL AND audience <> 'mentor'"

_NOTICES = sa.table(
    "notifications",
    sa.column("recipient_id", sa.Text()),
    sa.column("status", sa.Text()),
    sa.column("audience", sa.Text()),
    sa.column("created_at", Instant()),
    sa.column("digest_id", sa.Text()),
    sa.column("digest_date", sa.Date()),
)
_PUSHES = sa.table(
    "push_outbox",
    sa.column("message_id", sa.Text()),
    sa.column("recipient_id", sa.Text()),
    sa.column("state", sa.Text()),
    sa.column("due_at", Instant()),
    sa.column("token", sa.Integer()),
    sa.column("attempts", sa.Integer()),
    sa.column("payload", sa.Text()),
    sa.column("expires_at", Instant()),
    sa.column("code", sa.Text()),
    sa.column("digest_date", sa.Date()),
    sa.column("opened_at", Instant()),
    sa.column("claimed_at", Instant()),
)


def upgrade() -> None:
    """
    Add the columns, carry open digests over, and change the indexes.
    """
    now = datetime.now(UTC)
    op.add_column("notifications", sa.Column("digest_id", BY_CODE_POINT, nullable=True))
    op.add_column("notifications", sa.Column("digest_token", sa.Integer(), nullable=True))
    op.add_column("push_outbox", sa.Column("opened_at", Instant(), nullable=True))
    op.add_column("push_outbox", sa.Column("claimed_at", Instant(), nullable=True))
    op.add_column("push_outbox", sa.Column("run_id", BY_CODE_POINT, nullable=True))
    is_waiting = sa.and_(
        _NOTICES.c.status == "pending", _NOTICES.c.created_at >= now - _UNCOVERED_SINCE, ~_is_told()
    )
    op.execute(
        _NOTICES.update().where(_NOTICES.c.audience != "mentor", ~is_waiting).values(digest_id="before")
    )
    op.execute(
        _PUSHES.update()
        .where(sa.text(_OF_A_DIGEST))
        .values(opened_at=_PUSHES.c.due_at, claimed_at=_PUSHES.c.due_at)
    )
    _keep_the_newest_open()
    _change_indexes()
    _open_for_who_waits(now)
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Count by the day again: what waits counts as of the day of the recipient's open digest.
    """
    open_day = (
        sa.select(_PUSHES.c.digest_date)
        .where(_PUSHES.c.recipient_id == _NOTICES.c.recipient_id, sa.text(_OPEN))
        .correlate(_NOTICES)
        .scalar_subquery()
    )
    op.execute(_NOTICES.update().where(sa.text(_UNCOVERED)).values(digest_date=open_day))
    op.execute(
        _PUSHES.update().where(_PUSHES.c.state.in_(["sent", "cancelled", "expired"])).values(digest_date=None)
    )
    op.drop_index("ix_notifications_uncovered", "notifications")
    for index in ("uq_push_outbox_open_digest", "ix_push_outbox_digests", "ix_push_outbox_of_run"):
        op.drop_index(index, "push_outbox")
    _create_index("ix_notifications_digest", "notifications", ["recipient_id", "digest_date"], _OF_A_DIGEST)
    _create_index(
        "uq_push_outbox_digest", "push_outbox", ["recipient_id", "digest_date"], _OF_A_DIGEST, unique=True
    )
    for column in ("digest_id", "digest_token"):
        op.drop_column("notifications", column)
    for column in ("opened_at", "claimed_at", "run_id"):
        op.drop_column("push_outbox", column)
    declare_compatible(op.get_bind(), "0015")


def _is_told() -> sa.ColumnElement[bool]:
    # A digest of a day counted whatever there was when it was due; what came between that and the sending
    # cannot be told apart, and is told again rather than never.
    its_digest = sa.and_(
        _PUSHES.c.recipient_id == _NOTICES.c.recipient_id,
        _PUSHES.c.digest_date == _NOTICES.c.digest_date,
        _PUSHES.c.state == "sent",
        _PUSHES.c.due_at >= _NOTICES.c.created_at,
    )
    return sa.exists(sa.select(sa.literal(1)).select_from(_PUSHES).where(its_digest).correlate(_NOTICES))


def _keep_the_newest_open() -> None:
    newer = _PUSHES.alias("newer")
    is_newer = sa.and_(
        newer.c.recipient_id == _PUSHES.c.recipient_id,
        newer.c.digest_date > _PUSHES.c.digest_date,
        newer.c.state.in_(["queued", "leased", "dead"]),
    )
    op.execute(
        _PUSHES.update()
        .where(sa.text(_OPEN), sa.exists(sa.select(sa.literal(1)).select_from(newer).where(is_newer)))
        .values(state="cancelled", code="carried_over")
    )


def _change_indexes() -> None:
    op.drop_index("ix_notifications_digest", "notifications")
    op.drop_index("uq_push_outbox_digest", "push_outbox")
    _create_index("ix_notifications_uncovered", "notifications", ["recipient_id"], _UNCOVERED)
    _create_index("uq_push_outbox_open_digest", "push_outbox", ["recipient_id"], _OPEN, unique=True)
    _create_index("ix_push_outbox_digests", "push_outbox", ["recipient_id", "claimed_at"], _OF_A_DIGEST)
    _create_index("ix_push_outbox_of_run", "push_outbox", ["run_id"], _OF_A_RUN)


def _create_index(name: str, table: str, columns: list[str], condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _open_for_who_waits(now: datetime) -> None:
    """
    Queue a digest for those recipients whose day ended without one.
    """
    is_open = sa.exists(
        sa.select(sa.literal(1))
        .select_from(_PUSHES)
        .where(_PUSHES.c.recipient_id == _NOTICES.c.recipient_id, sa.text(_OPEN))
        .correlate(_NOTICES)
    )
    waiting = sa.select(_NOTICES.c.recipient_id).where(sa.text(_UNCOVERED), ~is_open).distinct()
    rows = [_digest(recipient_id, now) for recipient_id in op.get_bind().execute(waiting).scalars().all()]
    if rows:
        op.get_bind().execute(_PUSHES.insert(), rows)


def _digest(recipient_id: str, now: datetime) -> dict[str, object]:
    name = f"digest:carried-over:{recipient_id}"
    payload = [name, "advance_60", "", "", "certificate-expiry-digest", {}]
    return {
        "message_id": name,
        "recipient_id": recipient_id,
        "state": "queued",
        "due_at": now,
        "token": 0,
        "attempts": 0,
        "payload": json.dumps(payload),
        "expires_at": now,
        "code": "",
        "digest_date": now.date(),
        "opened_at": now,
    }

"""
Codes are compared without their case, and ids and codes with composed letters.

Keys and types that are stored get the form in which they are compared now, so
that nobody is registered or told again. Code of earlier revisions would look
for the former ones, and write them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from proxy_orchestration._normal_forms import code_form
from proxy_orchestration.storage.sql.database.versions import declare_compatible
from proxy_orchestration.storage.sql.registration.duplicate_keys import recompute_all, restore_all
from proxy_orchestration.storage.sql.schema import Instant

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

compatible_from = "0015"

_NOTICE_KEY = ("mentor_id", "threshold_tier", "notification_window_start", "audience", "recipient_id")


def _table(name: str, *columns: str | sa.ColumnClause[Any]) -> sa.TableClause:
    named = (sa.column(each) if isinstance(each, str) else each for each in columns)
    return sa.table(name, sa.column("certificate_type", sa.Text()), *named)


_NOTICES = _table("notifications", *_NOTICE_KEY)
_PUSHES = _table("push_outbox", "message_id")
_GUARDS = _table(
    "expiry_guards", "mentor_id", sa.column("notified_at", Instant()), sa.column("ends_at", Instant())
)
_VISIBLE = _table(
    "mentor_visibility",
    "mentor_id",
    sa.column("ends_at", Instant()),
    sa.column("suppressed_at", Instant()),
    sa.column("previous_status", sa.Text()),
)
_UNIQUE_BY = {
    _NOTICES: _NOTICE_KEY,
    _PUSHES: ("message_id",),  # two of one type may wait for one mentor
    _GUARDS: ("mentor_id",),
    _VISIBLE: ("mentor_id",),
}


def upgrade() -> None:
    """
    Recompute the keys of activities, and the types of all that is known of certificates.
    """
    recompute_all(op.get_bind())
    for table, key in _UNIQUE_BY.items():
        for old in op.get_bind().scalars(sa.select(table.c.certificate_type).distinct()).all():
            if old is not None and code_form(old) != old:
                _rename(table, key, old, code_form(old))
    declare_compatible(op.get_bind(), compatible_from)


def downgrade() -> None:
    """
    Give the keys their former form; composed types are what earlier versions read, too.
    """
    restore_all(op.get_bind())
    declare_compatible(op.get_bind(), "0014")


def _rename(table: sa.TableClause, key: tuple[str, ...], old: str, new: str) -> None:
    twin = table.alias("twin")
    known = sa.and_(twin.c.certificate_type == new, *(twin.c[name] == table.c[name] for name in key))
    op.execute(
        table.update()
        .where(table.c.certificate_type == old, ~sa.exists(sa.select(twin.c[key[0]]).where(known)))
        .values(certificate_type=new)
    )
    # A notice that was told under both names stays as it is: both were told.
    if table is _GUARDS:
        _merge(table, old, new, _latest_of_each)
    if table is _VISIBLE:
        _merge(table, old, new, _of_the_later_end)


def _merge(table: sa.TableClause, old: str, new: str, merged: Any) -> None:  # noqa: ANN401 - a function of two rows
    """
    Make one row of a mentor's two.
    """
    connection = op.get_bind()
    for row in connection.execute(sa.select(table).where(table.c.certificate_type == old)).all():
        one = table.c.mentor_id == row.mentor_id
        kept = sa.and_(one, table.c.certificate_type == new)
        values = merged(row, connection.execute(sa.select(table).where(kept)).one())
        connection.execute(table.update().where(kept).values(values))
        connection.execute(table.delete().where(one, table.c.certificate_type == old))


def _latest_of_each(one: sa.Row[Any], other: sa.Row[Any]) -> dict[str, Any]:
    # The later of the two guards: nobody is told earlier than either would have let them be.
    return {
        name: max((value for value in (getattr(one, name), getattr(other, name)) if value), default=None)
        for name in ("notified_at", "ends_at")
    }


def _of_the_later_end(one: sa.Row[Any], other: sa.Row[Any]) -> dict[str, Any]:
    later = max(one, other, key=lambda row: row.ends_at)
    return {name: getattr(later, name) for name in ("ends_at", "suppressed_at", "previous_status")}

"""
Coordinators' digests: opened by a notice, counted by a claim, covered by a completion.

A digest is open while it is queued, leased or dead, and a recipient has one
open digest at most. A claim stamps the notices that it counts with its token,
so that its completion covers these and none that came since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import attrs
from sqlalchemy import (
    Connection,
    Dialect,
    Row,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    text,
    type_coerce,
    union_all,
    update,
)

from proxy_orchestration.notification.notices import NoticeStatus, PushState
from proxy_orchestration.notification.records import (
    MOST_NEAREST,
    NOTHING_LEFT,
    CertificateEnd,
    Digest,
    PushCompletion,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql.dialect.inserts import driver_text, upserting
from proxy_orchestration.storage.sql.dialect.json_tables import json_integer, json_rows, json_text
from proxy_orchestration.storage.sql.notification.rows import TIERS, digest_row, json_list
from proxy_orchestration.storage.sql.notification.schema import (
    OF_A_DIGEST,
    OPEN_DIGEST,
    UNCOVERED,
    UNSENT,
    notifications,
    push_outbox,
)
from proxy_orchestration.storage.sql.schema import Instant

OVER: Final = "over"
"""Stands for the digest of a notice that no digest is to tell of."""

_DIGESTS, (_RECIPIENT, _TOKEN) = json_rows("digests", json_text, json_integer)
_STAMP = (
    update(notifications)
    .where(UNCOVERED, notifications.c.recipient_id == _RECIPIENT)
    .values(digest_token=_TOKEN)
)
_IS_COUNTED = and_(
    UNCOVERED, notifications.c.recipient_id == _RECIPIENT, notifications.c.digest_token == _TOKEN
)
_COUNTS = (
    select(
        notifications.c.recipient_id,
        func.count().label("number"),
        notifications.c.threshold_tier,
        null().label("mentor_id"),
        null().label("certificate_type"),
        type_coerce(null(), Instant).label("at"),
    )
    .join_from(_DIGESTS, notifications, _IS_COUNTED)
    .group_by(notifications.c.recipient_id, notifications.c.threshold_tier)
)
_LAST_END = func.max(notifications.c.ends_at)
_RANKED = (
    select(
        notifications.c.recipient_id,
        func.row_number()
        .over(
            partition_by=notifications.c.recipient_id,
            order_by=(_LAST_END, notifications.c.mentor_id, notifications.c.certificate_type),
        )
        .label("place"),
        null().label("threshold_tier"),
        notifications.c.mentor_id,
        notifications.c.certificate_type,
        _LAST_END.label("ends_at"),
    )
    .join_from(_DIGESTS, notifications, _IS_COUNTED)
    .group_by(notifications.c.recipient_id, notifications.c.mentor_id, notifications.c.certificate_type)
    .subquery("ranked_each")
)
_NEAREST = select(_RANKED).where(_RANKED.c.place <= MOST_NEAREST)
_TOLD = (
    select(
        push_outbox.c.recipient_id,
        literal_column("0"),
        null(),
        null(),
        null(),
        func.max(push_outbox.c.claimed_at),
    )
    .join_from(_DIGESTS, push_outbox, push_outbox.c.recipient_id == _RECIPIENT)
    .where(OF_A_DIGEST, push_outbox.c.state == PushState.SENT.value)
    .group_by(push_outbox.c.recipient_id)
)
_FINDINGS = union_all(_COUNTS, _NEAREST, _TOLD)
_IDS, (_ID,) = json_rows("ids", json_text)
_COVERING, (_TOLD_TO, _HELD, _DIGEST) = json_rows("covering", json_text, json_integer, json_text)
_COVER = (
    update(notifications)
    .where(UNCOVERED, notifications.c.recipient_id == _TOLD_TO, notifications.c.digest_token == _HELD)
    .values(digest_id=_DIGEST)
)
_DEAD = select(push_outbox.c.message_id, push_outbox.c.recipient_id).where(
    OPEN_DIGEST, push_outbox.c.state == PushState.DEAD.value
)
_DEAD_ROWS, (_DEAD_TO, _DEAD_ID) = json_rows("dead", json_text, json_text)
_UNCOVER = (
    update(notifications)
    .where(notifications.c.recipient_id == _DEAD_TO, notifications.c.digest_id == _DEAD_ID)
    # What is cleared is told if it ever waits again.
    .values(digest_id=case((notifications.c.status == NoticeStatus.CLEARED.value, OVER), else_=None))
)
_WAITING = (
    select(
        notifications.c.recipient_id,
        func.min(notifications.c.notification_id).label("opened_by"),
        func.min(notifications.c.threshold_tier).label("tier"),
    )
    .join_from(_IDS, notifications, and_(UNCOVERED, notifications.c.recipient_id == _ID))
    .group_by(notifications.c.recipient_id)
)
_RUN_ENDED = (
    update(push_outbox)
    .where(push_outbox.c.run_id == bindparam("run"), UNSENT)
    .values(
        due_at=case(
            (push_outbox.c.due_at > bindparam("at", type_=Instant), bindparam("at", type_=Instant)),
            else_=push_outbox.c.due_at,
        ),
        run_id=None,
    )
)


def open_digests(connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """
    Open these digests, each a row in the table's order, or see to it that the open ones are due by then.
    """
    # By recipient, so that two calls at once do not wait for each other.
    ordered = sorted(rows, key=itemgetter(push_outbox.c.keys().index("recipient_id")))
    if ordered:
        connection.exec_driver_sql(_open_text(connection.dialect), ordered)


@lru_cache(maxsize=8)
def _open_text(dialect: Dialect) -> str:
    statement = upserting(push_outbox, dialect).on_conflict_do_update(
        index_elements=["recipient_id"],
        index_where=OPEN_DIGEST,
        set_={
            # A leased one was counted already: what is written now is for the one that follows it.
            "due_at": text(
                "CASE WHEN push_outbox.state = 'dead' OR push_outbox.due_at > excluded.due_at"
                " OR (push_outbox.state = 'leased' AND push_outbox.run_id IS NULL)"
                " THEN excluded.due_at ELSE push_outbox.due_at END"
            ),
            "state": _unless_dead("state", "'queued'"),
            "attempts": _unless_dead("attempts", "0"),
            "code": _unless_dead("code", "''"),
            "opened_at": _unless_dead("opened_at", "excluded.opened_at"),
            "run_id": text("excluded.run_id"),
        },
    )
    return driver_text(statement, dialect)


def _unless_dead(name: str, value: str) -> Any:  # noqa: ANN401 - a value of SQL, as `set_` takes it
    return text(f"CASE WHEN push_outbox.state = 'dead' THEN {value} ELSE push_outbox.{name} END")


@attrs.define(eq=False)
class _Found:
    """
    What a claim found for the recipients of its digests.
    """

    counts: defaultdict[str, dict[NotificationThresholdTier, int]] = attrs.field(
        factory=lambda: defaultdict(dict)
    )
    nearest: defaultdict[str, list[tuple[int, CertificateEnd]]] = attrs.field(
        factory=lambda: defaultdict(list)
    )
    told_at: dict[str, datetime] = attrs.field(factory=dict)

    def note(self, row: Row[*tuple[Any, ...]]) -> None:
        """
        Note a row of the findings: a tier's count, one of the nearest ends, or when the last one was told.
        """
        if row.threshold_tier is not None:
            self.counts[row.recipient_id][TIERS[row.threshold_tier]] = row.number
        elif row.mentor_id is not None:
            end = CertificateEnd(
                mentor_id=row.mentor_id, certificate_type=row.certificate_type, ends_at=row.at
            )
            self.nearest[row.recipient_id].append((row.number, end))
        else:
            self.told_at[row.recipient_id] = row.at

    def digest_of(self, row: Row[Any]) -> Digest:
        """
        Return what the digest of this row is to tell.
        """
        nearest = sorted(self.nearest[row.recipient_id], key=itemgetter(0))
        return Digest(
            opened_at=row.opened_at,
            counts=self.counts[row.recipient_id],
            nearest=tuple(end for _, end in nearest),
            told_at=self.told_at.get(row.recipient_id),
        )


def count(connection: Connection, leased: Sequence[Row[Any]]) -> Mapping[str, Digest]:
    """
    Return what the digests among these messages are to tell, by id; the lease's token stamps it.
    """
    rows = [row for row in leased if row.digest_date is not None]
    if not rows:
        return {}
    # By recipient, so that two calls at once do not wait for each other.
    asked = {"digests": json_list(sorted((row.recipient_id, row.token) for row in rows))}
    connection.execute(_STAMP, asked)
    found = _Found()
    for each in connection.execute(_FINDINGS, asked):
        found.note(each)
    return {row.message_id: found.digest_of(row) for row in rows}


def settle(connection: Connection, ended: Sequence[tuple[Row[Any], PushCompletion]]) -> None:
    """
    Cover what these digests counted, and open one again for what came since; their leases held.
    """
    told = [(row.recipient_id, row.token, row.message_id) for row, completion in ended if completion.covers]
    if told:
        connection.execute(_COVER, {"covering": json_list(sorted(told))})
    followed = {
        row.recipient_id: row
        for row, completion in ended
        if completion.covers or completion.code == NOTHING_LEFT
    }
    if followed:
        _open_next(connection, followed)


def _open_next(connection: Connection, ended: Mapping[str, Row[Any]]) -> None:
    waiting = connection.execute(_WAITING, {"ids": json_list([one] for one in sorted(ended))}).all()
    open_digests(
        connection,
        [
            digest_row(
                recipient_id=row.recipient_id,
                opened_by=row.opened_by,
                tier=TIERS[row.tier],
                due_at=ended[row.recipient_id].due_at,
                opened_at=ended[row.recipient_id].claimed_at,
                run_id=ended[row.recipient_id].run_id,
                dialect=connection.dialect,
            )
            for row in waiting
        ],
    )


def uncover(connection: Connection, message_ids: Collection[str] | None) -> None:
    """
    Let these dead digests, or all, tell again what they covered although nobody was told.
    """
    asked = (
        _DEAD
        if message_ids is None
        else _DEAD.where(push_outbox.c.message_id.in_(select(_ID).select_from(_IDS)))
    )
    values = {} if message_ids is None else {"ids": json_list([one] for one in sorted(message_ids))}
    dead = connection.execute(asked, values).all()
    if dead:
        rows = sorted((row.recipient_id, row.message_id) for row in dead)
        connection.execute(_UNCOVER, {"dead": json_list(rows)})


def end_run(connection: Connection, run_id: str, *, at: datetime) -> None:
    """
    Make this run's messages due, and the digests that it was the last to write for.
    """
    connection.execute(_RUN_ENDED, {"run": run_id, "at": at})

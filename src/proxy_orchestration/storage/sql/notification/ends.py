"""
The known ends of certificates: stored by a chunk, withdrawn by a complete feed, deleted when old.

The row of a mentor and type in `expiry_guards` is the lock of their ends: of
two calls at once that tell of two of their certificates, one sees the other's.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import attrs
from sqlalchemy import (
    Connection,
    Dialect,
    Row,
    and_,
    bindparam,
    delete,
    func,
    null,
    or_,
    select,
    true,
    tuple_,
)

from proxy_orchestration._pseudonyms import PSEUDONYM
from proxy_orchestration._uuid_texts import uuid5_text
from proxy_orchestration.notification.ends import (
    UNNAMED,
    Certificate,
    EndKey,
    KnownEnd,
    NotedEnds,
    Place,
    certificate_about,
    counting_end,
    key_of,
)
from proxy_orchestration.notification.records import CertificateEnd, FeedCount, WholeFeed, texts_of_end
from proxy_orchestration.storage.sql.dialect.differences import locks_rows
from proxy_orchestration.storage.sql.dialect.inserts import replace_rows, upserting
from proxy_orchestration.storage.sql.dialect.json_tables import json_rows, json_text
from proxy_orchestration.storage.sql.dialect.texts import check_texts
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.notification.rows import json_list
from proxy_orchestration.storage.sql.notification.schema import certificate_ends, expiry_guards
from proxy_orchestration.storage.sql.schema import Instant

_KEYS: Final = uuid.UUID("7a0e9f0c-3c52-5d0e-8b8d-4b0f5a6f2c11")

_ENDS = certificate_ends.c
_PAIRS, (_MENTOR, _TYPE) = json_rows("pairs", json_text, json_text)
# Hexadecimal digits follow. PostgreSQL's parser takes no collation inside a BETWEEN.
_PSEUDONYM = (
    select(expiry_guards.c.mentor_id)
    .where(expiry_guards.c.mentor_id > PSEUDONYM, expiry_guards.c.mentor_id < f"{PSEUDONYM}g")
    .limit(1)
    .subquery("pseudonym_each")
)
_KNOWN = (
    select(
        _MENTOR.label("mentor_id"),
        _TYPE.label("certificate_type"),
        expiry_guards.c.notified_at,
        _ENDS.organization_id,
        _ENDS.certificate_id,
        _ENDS.ends_at,
        _ENDS.seen_at,
    )
    .select_from(
        _PAIRS.outerjoin(
            expiry_guards,
            and_(expiry_guards.c.mentor_id == _MENTOR, expiry_guards.c.certificate_type == _TYPE),
        ).outerjoin(certificate_ends, and_(_ENDS.mentor_id == _MENTOR, _ENDS.certificate_type == _TYPE))
    )
    .where(or_(expiry_guards.c.notified_at.is_not(None), _ENDS.seen_at.is_not(None)))
    # One more row, of neither, where anybody is erased whose certificate was told.
    .union_all(select(_PSEUDONYM.c.mentor_id, *[null()] * 6))
)
_FORGET_ONE = delete(certificate_ends).where(
    _ENDS.mentor_id == bindparam("mentor"),
    _ENDS.certificate_type == bindparam("type"),
    _ENDS.certificate_key == bindparam("key"),
)

_SCOPE, (_ORGANIZATION, _OF_TYPE) = json_rows("scope", json_text, json_text)
_TYPES, (_ANY_TYPE,) = json_rows("types", json_text)
_COUNTS = _ENDS.ends_at.is_not(None)
_IS_UNNAMED = and_(_ENDS.organization_id == "", _ENDS.certificate_id == "")
_SINCE = bindparam("since", type_=Instant)
_SIBLING = certificate_ends.alias("sibling")
_NAMED_SINCE = (
    select(_SIBLING.c.mentor_id)
    .where(
        _SIBLING.c.mentor_id == _ENDS.mentor_id,
        _SIBLING.c.certificate_type == _ENDS.certificate_type,
        or_(_SIBLING.c.organization_id != "", _SIBLING.c.certificate_id != ""),
        _SIBLING.c.seen_at >= _SINCE,
    )
    .exists()
)
_NAMED = (
    select(certificate_ends)
    .join_from(
        _SCOPE,
        certificate_ends,
        and_(_ENDS.organization_id == _ORGANIZATION, _ENDS.certificate_type == _OF_TYPE),
    )
    .where(_COUNTS, ~_IS_UNNAMED)
)
_WITHOUT_NAME = (
    select(certificate_ends)
    .join_from(
        _TYPES, certificate_ends, and_(_ENDS.organization_id == "", _ENDS.certificate_type == _ANY_TYPE)
    )
    .where(_COUNTS, _IS_UNNAMED)
)
_UNSEEN = _NAMED.where(_ENDS.seen_at < _SINCE)
_LACKING = _UNSEEN.union_all(_WITHOUT_NAME.where(_NAMED_SINCE)).subquery("lacking_each")
_COUNT = select(
    *(
        select(func.count()).select_from(each.subquery(f"{name}_each")).scalar_subquery()
        for name, each in (
            ("named", _NAMED),
            ("unseen", _UNSEEN),
            ("unnamed", _WITHOUT_NAME.where(_NAMED_SINCE)),
        )
    )
)
_SOME_LACKING = (
    select(_LACKING.c.mentor_id, _LACKING.c.certificate_type)
    .distinct()
    .order_by(_LACKING.c.mentor_id, _LACKING.c.certificate_type)
    .limit(bindparam("most"))
)
_COUNTED = _NAMED.union_all(_WITHOUT_NAME).subquery("counted_each")
_PLACE = tuple_(_COUNTED.c.mentor_id, _COUNTED.c.certificate_type, _COUNTED.c.certificate_key)
_PAGE = (
    select(_COUNTED)
    .where(tuple_(bindparam("mentor"), bindparam("type"), bindparam("key")) < _PLACE)
    .order_by(_COUNTED.c.mentor_id, _COUNTED.c.certificate_type, _COUNTED.c.certificate_key)
    .limit(bindparam("most"))
)
_LATER = certificate_ends.alias("later")
_FORGET_OVER = delete(certificate_ends).where(
    _ENDS.ends_at.is_(None), _ENDS.seen_at < bindparam("before", type_=Instant)
)
_FORGET_PASSED = delete(certificate_ends).where(
    _ENDS.ends_at < bindparam("before", type_=Instant),
    select(_LATER.c.mentor_id)
    .where(
        _LATER.c.mentor_id == _ENDS.mentor_id,
        _LATER.c.certificate_type == _ENDS.certificate_type,
        _LATER.c.ends_at > _ENDS.ends_at,
    )
    .exists(),
)


@attrs.frozen
class Known:
    """
    What is known of some certificates.

    Attributes:
        notified: when those were told last that were.
        ends: those that are known, by certificate.
        has_pseudonyms: whether anybody is erased whose certificate was told.
    """

    notified: dict[Certificate, datetime] = attrs.field(factory=dict)
    ends: dict[Certificate, dict[EndKey, KnownEnd]] = attrs.field(factory=dict)
    has_pseudonyms: bool = False


def known(connection: Connection, certificates: Iterable[Certificate], *, locked: bool = False) -> Known:
    """
    Return what is known of these, in one statement.

    Locked, until the transaction ends no other call notes an end of theirs.
    """
    asked = json_list(sorted(set(certificates)))
    if locked and locks_rows(connection.dialect):
        connection.execute(_lock(connection.dialect), {"pairs": asked})
    notified: dict[Certificate, datetime] = {}
    ends: dict[Certificate, dict[EndKey, KnownEnd]] = {}
    has_pseudonyms = False
    for mentor_id, code, notified_at, organization_id, certificate_id, ends_at, seen_at in connection.execute(
        _KNOWN, {"pairs": asked}
    ):
        about = mentor_id, code
        if notified_at is not None:
            notified[about] = notified_at
        if seen_at is not None:
            ends.setdefault(about, {})[EndKey(organization_id, certificate_id)] = KnownEnd(ends_at, seen_at)
        has_pseudonyms |= code is None
    return Known(notified, ends, has_pseudonyms)


@lru_cache(maxsize=8)
def _lock(dialect: Dialect) -> Any:  # noqa: ANN401 - an insert of one of two dialects
    """
    Return the statement that locks a row for each, and makes it where there is none.
    """
    rows = select(_MENTOR, _TYPE).select_from(_PAIRS).where(true())
    insert = upserting(expiry_guards, dialect).from_select(["mentor_id", "certificate_type"], rows)
    # A row whose update is refused is locked all the same.
    return insert.on_conflict_do_update(
        index_elements=["mentor_id", "certificate_type"],
        set_={"mentor_id": insert.excluded.mentor_id},
        where=expiry_guards.c.mentor_id.is_(None),
    )


def check(ends: Iterable[CertificateEnd]) -> None:
    """
    Accept ends that can be kept.

    Raises:
        RecordRefusedError: a text holds NUL, or half a surrogate pair.
    """
    check_texts(chain.from_iterable(map(texts_of_end, ends)))


def keep(connection: Connection, noted: NotedEnds) -> None:
    """
    Write what is new, and forget what has a name now.
    """
    if noted.forgotten:
        connection.execute(
            _FORGET_ONE,
            [
                {"mentor": about[0], "type": about[1], "key": _key(key)}
                for about, key in sorted(noted.forgotten)
            ],
        )
    rows = [_row(place, end, connection.dialect) for place, end in sorted(noted.written.items())]
    replace_rows(connection, certificate_ends, rows)


def _row(place: Place, end: KnownEnd, dialect: Dialect) -> tuple[Any, ...]:
    ends_at = None if end.ends_at is None else stored_instant(end.ends_at, dialect)
    return (*place.about, _key(place.key), *place.key, ends_at, stored_instant(end.seen_at, dialect))


def _key(key: EndKey) -> str:
    organization_id, certificate_id = key
    return uuid5_text(_KEYS, f"{len(organization_id)}:{organization_id}{certificate_id}")


def count_unseen(connection: Connection, feed: WholeFeed, /) -> FeedCount:
    """
    Return how many certificates of the feed's scope count, and how many of them it lacks.
    """
    counts = connection.execute(_COUNT, _scope(feed.scope) | {"since": feed.since}).one()
    named, unseen, unnamed = tuple(counts)
    return FeedCount(known=named + unnamed, unseen=unseen + unnamed)


def withdrawn(connection: Connection, feed: WholeFeed, *, limit: int) -> NotedEnds:
    """
    Withdraw what the feed lacks of up to so many mentors and types.
    """
    asked = _scope(feed.scope) | {"since": feed.since, "most": limit}
    pairs = [(row[0], row[1]) for row in connection.execute(_SOME_LACKING, asked)]
    # Looked at again under the lock: a run beside this one may have seen one since.
    ends = known(connection, pairs, locked=True).ends
    scope = {(organization or "", certificate_type) for organization, certificate_type in feed.scope}
    written = {
        Place(about, key): end._replace(ends_at=None)
        for about, of_pair in ends.items()
        for key, end in of_pair.items()
        if end.ends_at is not None and _is_lacking(about, key, of_pair, scope, feed.since)
    }
    left = {about: {**ends.get(about, {}), **_of(written, about)} for about in pairs}
    counting = {about: counting_end(about, of_pair) for about, of_pair in left.items()}
    return NotedEnds(written=written, forgotten=(), changed=pairs, counting=counting)


def _of(written: Mapping[Place, KnownEnd], about: Certificate) -> dict[EndKey, KnownEnd]:
    return {place.key: end for place, end in written.items() if place.about == about}


def _is_lacking(
    about: Certificate,
    key: EndKey,
    ends: Mapping[EndKey, KnownEnd],
    scope: Collection[tuple[str, str]],
    since: datetime,
) -> bool:
    if key != UNNAMED:
        return ends[key].seen_at < since and (key.organization_id, about[1]) in scope
    return any(end.seen_at >= since for other, end in ends.items() if other != UNNAMED)


def counted_in(
    connection: Connection,
    scope: Collection[tuple[str | None, str]],
    /,
    *,
    after: CertificateEnd | None,
    limit: int,
) -> Sequence[CertificateEnd]:
    """
    Return ends that count, of these organizations and types, and those of these types without an id.
    """
    last = ("", "", "") if after is None else (*certificate_about(after), _key(key_of(after)))
    place = dict(zip(("mentor", "type", "key"), last, strict=True))
    rows = connection.execute(_PAGE, _scope(scope) | place | {"most": limit})
    return list(map(end_of_row, rows))


def end_of_row(row: Row[Any]) -> CertificateEnd:
    """
    Return the end that a row of `certificate_ends` has.
    """
    return CertificateEnd(
        mentor_id=row.mentor_id,
        certificate_type=row.certificate_type,
        ends_at=row.ends_at,
        certificate_id=row.certificate_id,
        organization_id=row.organization_id or None,
    )


def _scope(scope: Collection[tuple[str | None, str]]) -> dict[str, Any]:
    named = sorted({(organization or "", certificate_type) for organization, certificate_type in scope})
    return {"scope": json_list(named), "types": json_list([one] for one in sorted({of for _, of in named}))}


def forget_ends(connection: Connection, *, before: datetime) -> int:
    """
    Forget ends that no longer count since before that moment; return how many.
    """
    gone = [connection.execute(each, {"before": before}).rowcount for each in (_FORGET_PASSED, _FORGET_OVER)]
    return sum(gone)

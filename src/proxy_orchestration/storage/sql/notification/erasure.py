"""
Exports and erases the data about one mentor's certificates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs
from sqlalchemy import (
    BindParameter,
    Connection,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    select,
    update,
)

from proxy_orchestration._pseudonyms import mentor_pseudonym
from proxy_orchestration.notification.erasure import ERASED, NoticeErasure, NoticeExport
from proxy_orchestration.notification.notices import Audience, NoticeStatus, PushState
from proxy_orchestration.notification.spellings import spellings_of
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.notification.acknowledgements import event_of
from proxy_orchestration.storage.sql.notification.digests import OVER
from proxy_orchestration.storage.sql.notification.ends import end_of_row
from proxy_orchestration.storage.sql.notification.rows import message_of, notice_of
from proxy_orchestration.storage.sql.notification.schema import (
    UNSENT,
    acknowledgements,
    certificate_ends,
    expiry_guards,
    notifications,
    push_outbox,
)
from proxy_orchestration.storage.sql.schema import Instant

_MENTOR: BindParameter[str] = bindparam("mentor", type_=Text)
_SPELLED: BindParameter[Sequence[str]] = bindparam("mentors", expanding=True)
_PSEUDONYM: BindParameter[str] = bindparam("pseudonym", type_=Text)
_NOTICES = (
    select(notifications)
    .where(notifications.c.mentor_id.in_(_SPELLED), notifications.c.purged_at.is_(None))
    .order_by(notifications.c.created_at, notifications.c.notification_id)
)
_PUSHES = (
    select(push_outbox)
    .where(push_outbox.c.mentor_id.in_(_SPELLED))
    .order_by(push_outbox.c.due_at, push_outbox.c.message_id)
)
_GUARDS = (
    select(expiry_guards)
    .where(expiry_guards.c.mentor_id.in_(_SPELLED))
    .order_by(expiry_guards.c.certificate_type)
)
_ENDS = (
    select(certificate_ends)
    .where(certificate_ends.c.mentor_id.in_(_SPELLED))
    .order_by(
        certificate_ends.c.certificate_type,
        certificate_ends.c.organization_id,
        certificate_ends.c.certificate_id,
    )
)
_DELETE_ENDS = delete(certificate_ends).where(certificate_ends.c.mentor_id == _MENTOR)
_AUDIT = (
    select(acknowledgements)
    .where(acknowledgements.c.mentor_id.in_(_SPELLED))
    .order_by(acknowledgements.c.acknowledged_at, acknowledgements.c.id)
)
_twin = notifications.alias("twin")
_DELETE_TWINS = delete(notifications).where(
    notifications.c.mentor_id == _MENTOR,
    exists().where(
        _twin.c.mentor_id == _PSEUDONYM,
        _twin.c.certificate_type == notifications.c.certificate_type,
        _twin.c.threshold_tier == notifications.c.threshold_tier,
        _twin.c.notification_window_start == notifications.c.notification_window_start,
        _twin.c.audience == notifications.c.audience,
        _twin.c.recipient_id
        == case(
            (notifications.c.audience == Audience.MENTOR.value, _PSEUDONYM),
            else_=notifications.c.recipient_id,
        ),
    ),
)
_ERASE_NOTICES = (
    update(notifications)
    .where(notifications.c.mentor_id == _MENTOR)
    .values(
        mentor_id=_PSEUDONYM,
        recipient_id=case(
            (notifications.c.audience == Audience.MENTOR.value, _PSEUDONYM),
            else_=notifications.c.recipient_id,
        ),
        status=case(
            (notifications.c.status == NoticeStatus.PENDING.value, NoticeStatus.CLEARED.value),
            else_=notifications.c.status,
        ),
        title=ERASED,
        body=ERASED,
        deep_link=None,
        note="",
        holder_name=None,
        last_valid_day=None,
        locale=None,
        digest_id=OVER,
    )
)
_END_PUSHES = (
    update(push_outbox)
    .where(push_outbox.c.mentor_id == _MENTOR, UNSENT)
    .values(state=PushState.CANCELLED.value, code=ERASED)
)
_ERASE_PUSH = (
    update(push_outbox)
    .where(push_outbox.c.message_id == bindparam("message"))
    .values(mentor_id=_PSEUDONYM, recipient_id=_PSEUDONYM, payload=bindparam("words"))
)
_ERASE_AUDIT = (
    update(acknowledgements)
    .where(acknowledgements.c.mentor_id == _MENTOR)
    .values(mentor_id=_PSEUDONYM, note="")
)
_GUARD = and_(
    expiry_guards.c.mentor_id == bindparam("whose"),
    expiry_guards.c.certificate_type == bindparam("code"),
)
_GUARD_OF = select(expiry_guards).where(_GUARD)
_DELETE_GUARD = delete(expiry_guards).where(_GUARD)
_MERGE_GUARD = update(expiry_guards).where(_GUARD).values(notified_at=bindparam("told", type_=Instant))
_RENAME_GUARD = update(expiry_guards).where(_GUARD).values(mentor_id=_PSEUDONYM)


def export_mentor(connection: Connection, mentor_id: str, /) -> NoticeExport:
    """
    Return what is known of that mentor, as of one moment.
    """
    asked = {"mentors": _spelled(mentor_id)}
    return NoticeExport(
        mentor_id=mentor_id,
        notices=tuple(map(notice_of, connection.execute(_NOTICES, asked))),
        pushes=tuple(message_of(row, None) for row in connection.execute(_PUSHES, asked)),
        ends=tuple(map(end_of_row, connection.execute(_ENDS, asked))),
        acknowledgements=tuple(map(event_of, connection.execute(_AUDIT, asked))),
    )


def erase_mentor(connection: Connection, mentor_id: str, /) -> NoticeErasure:
    """
    Put pseudonyms in the place of that mentor, and delete what was written about them.
    """
    erased = NoticeErasure(pseudonym=mentor_pseudonym(mentor_id), notices=0, pushes=0, acknowledgements=0)
    for spelled in _spelled(mentor_id):
        erased = _erase(connection, spelled, erased)
    return erased


def _spelled(mentor_id: str) -> list[str]:
    return sorted({findable(each) for each in (mentor_id, *spellings_of([mentor_id]))})


def _erase(connection: Connection, mentor_id: str, erased: NoticeErasure) -> NoticeErasure:
    asked = {"mentor": mentor_id, "pseudonym": erased.pseudonym}
    # The guard first, which a run of the same mentor locks first.
    _erase_guards(connection, mentor_id, erased.pseudonym)
    # Under the pseudonym they would count as certificates that each whole feed lacks.
    connection.execute(_DELETE_ENDS, {"mentor": mentor_id})
    twins = connection.execute(_DELETE_TWINS, asked).rowcount
    notices = connection.execute(_ERASE_NOTICES, asked).rowcount
    connection.execute(_END_PUSHES, {"mentor": mentor_id})
    pushes = connection.execute(_PUSHES, {"mentors": [mentor_id]}).all()
    for row in pushes:
        words = {"message": row.message_id, "words": _without_words(row.payload)}
        connection.execute(_ERASE_PUSH, {**words, "pseudonym": erased.pseudonym})
    return attrs.evolve(
        erased,
        notices=erased.notices + twins + notices,
        pushes=erased.pushes + len(pushes),
        acknowledgements=erased.acknowledgements + connection.execute(_ERASE_AUDIT, asked).rowcount,
    )


def _erase_guards(connection: Connection, mentor_id: str, pseudonym: str) -> None:
    for row in connection.execute(_GUARDS.with_for_update(), {"mentors": [mentor_id]}).all():
        own = {"whose": mentor_id, "code": row.certificate_type}
        theirs = {"whose": pseudonym, "code": row.certificate_type}
        known = connection.execute(_GUARD_OF, theirs).one_or_none()
        if known is None:
            connection.execute(_RENAME_GUARD, own | {"pseudonym": pseudonym})
            continue
        told = max(filter(None, (known.notified_at, row.notified_at)), default=None)
        connection.execute(_MERGE_GUARD, theirs | {"told": told})
        connection.execute(_DELETE_GUARD, own)


def _without_words(payload: str) -> str:
    notification_id, tier, _, _, collapse_key, _ = json.loads(payload)
    return json.dumps((notification_id, tier, "", "", collapse_key, {}))

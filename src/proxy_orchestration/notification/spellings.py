"""
One person however their id is spelled: a store goes on under the spelling that it has.

Composed and decomposed letters look alike and are different texts. Notices,
guards, ends and pushes are kept under one of them, the first that came, and
whatever comes under another one is written as that one is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from unicodedata import normalize

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.notification.notices import (
    CertificateExpiryNotification,
    NoticeKey,
    PushMessage,
    notification_id_of,
)
from proxy_orchestration.notification.records import CertificateEnd, NoticeChunk, NoticeDraft


def spellings_of(ids: Iterable[str]) -> list[str]:
    """
    Return under which other texts a store may know these ids; none for those that have one spelling.
    """
    # Whole letters and their parts are what systems write; a stored mixture of both is not found.
    found = {form for each in ids if not each.isascii() for form in (each, *_forms(each))}
    return sorted(found)


def _forms(text: str) -> tuple[str, str]:
    return normalize("NFC", text), normalize("NFD", text)


def by_form(known: Iterable[str]) -> dict[str, str]:
    """
    Return the spelling that each id has, by its form; of two the composed one.
    """
    found: dict[str, str] = {}
    for text in known:
        form = id_form(text)
        if text == form or form not in found:
            found[form] = text
    return found


def ids_in(chunk: NoticeChunk) -> Iterator[str]:
    """
    Yield everybody of whom a chunk speaks, mentors first, as often as it does.
    """
    yield from (end.mentor_id for end in chunk.ends)
    for draft in chunk.drafts:
        yield from (draft.notice.mentor_id, draft.notice.recipient_id)
        yield from (other.recipient_id for other in draft.others)


def respelled(chunk: NoticeChunk, known: Mapping[str, str]) -> NoticeChunk:
    """
    Return the chunk in which everybody has one spelling.

    Args:
        chunk: what a run writes.
        known: the spelling that the store has, by form; whom it does not have keeps the first in the chunk.
    """
    names = _names(ids_in(chunk), known)
    if not names:
        return chunk
    return attrs.evolve(
        chunk,
        drafts=tuple(_draft(draft, names) for draft in chunk.drafts),
        ends=tuple(_ends(chunk.ends, names)),
    )


def respelled_ends(ends: Sequence[CertificateEnd], known: Mapping[str, str]) -> Sequence[CertificateEnd]:
    """
    Return the ends, each under the one spelling of its mentor, as `respelled` does.
    """
    names = _names((end.mentor_id for end in ends), known)
    return list(_ends(ends, names)) if names else ends


def about_form(end: CertificateEnd) -> tuple[str, str]:
    """
    Return whose end of which type it is, the same for each spelling of the mentor.
    """
    return id_form(end.mentor_id), end.certificate_type


def as_given(ends: Sequence[CertificateEnd], mentor_ids: Iterable[str]) -> Sequence[CertificateEnd]:
    """
    Return a store's ends, each under the spelling in which its mentor was given, first.
    """
    given: dict[str, str] = {}
    for text in mentor_ids:
        if not text.isascii():
            given.setdefault(id_form(text), text)
    if not given:
        return ends
    return [attrs.evolve(end, mentor_id=given.get(id_form(end.mentor_id), end.mentor_id)) for end in ends]


def _names(ids: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """
    Return what replaces a text, for those that are replaced.
    """
    spelled: dict[str, str] = {}
    names: dict[str, str] = {}
    for text in ids:
        if text.isascii():
            continue
        form = id_form(text)
        name = spelled.setdefault(form, known.get(form, text))
        if name != text:
            names[text] = name
    return names


def _ends(ends: Collection[CertificateEnd], names: Mapping[str, str]) -> Iterator[CertificateEnd]:
    return (attrs.evolve(end, mentor_id=names.get(end.mentor_id, end.mentor_id)) for end in ends)


def _draft(draft: NoticeDraft, names: Mapping[str, str]) -> NoticeDraft:
    notice = _notice(draft.notice, names)
    return attrs.evolve(
        draft,
        notice=notice,
        push=None if draft.push is None else _push(draft.push, notice),
        others=tuple(_notice(other, names) for other in draft.others),
        earlier=tuple(_key(key, names) for key in draft.earlier),
    )


def _key(key: NoticeKey, names: Mapping[str, str]) -> NoticeKey:
    mentor_id, recipient_id = (names.get(each, each) for each in (key.mentor_id, key.recipient_id))
    return key._replace(mentor_id=mentor_id, recipient_id=recipient_id)


def _notice(notice: CertificateExpiryNotification, names: Mapping[str, str]) -> CertificateExpiryNotification:
    key = _key(notice.key, names)
    if key == notice.key:
        return notice
    return attrs.evolve(
        notice,
        notification_id=notification_id_of(key),
        mentor_id=key.mentor_id,
        recipient_id=key.recipient_id,
    )


def _push(push: PushMessage, notice: CertificateExpiryNotification) -> PushMessage:
    if push.notification_id == notice.notification_id:
        return push
    name = notice.notification_id
    data = {key: name if text == push.notification_id else text for key, text in push.data.items()}
    return attrs.evolve(
        push, message_id=name, notification_id=name, recipient_id=notice.recipient_id, data=data
    )

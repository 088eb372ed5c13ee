"""
What a notification repository promises about inboxes as their recipients read them.
"""

from __future__ import annotations

from datetime import datetime

from proxy_orchestration.notification.inbox_pages import InboxPlace, InboxRow, InboxRows, InboxScope
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    GUARD,
    MINUTE,
    MORNING,
    OTHER_TYPE,
    URGENT,
    WARNING,
    acknowledgement,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
    notice_of,
)

reading_inboxes: list[Check[NotificationRepository]] = []

_THEIRS = InboxScope(recipient_id="coordinator-1", organization_id="org-1", with_unassigned=True)
_OWN = InboxScope(recipient_id="mentor-1", organization_id="org-1", with_unassigned=True)
_ELSEWHERE = InboxScope(recipient_id="mentor-1", organization_id="org-2", with_unassigned=True)


async def _told(store: NotificationRepository, *mentor_ids: str, at: datetime = MORNING) -> None:
    drafts = [draft_of(each, WARNING, coordinator(), at=at) for each in mentor_ids]
    await store.record(chunk_of(*drafts, at=at))


async def _read(store: NotificationRepository, scope: InboxScope = _OWN) -> InboxRows:
    return await store.read_inbox(scope, after=None, limit=9)


def _place(row: InboxRow) -> InboxPlace:
    return InboxPlace(row.notice.created_at, row.notice.notification_id)


async def _ids_by_page(store: NotificationRepository, *, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    place: InboxPlace | None = None
    while True:
        page = await store.read_inbox(_THEIRS, after=place, limit=limit)
        pages.append([row.notice.notification_id for row in page.rows])
        if not page.has_more:
            return pages
        place = _place(page.rows[-1])


@rule_of(reading_inboxes)
async def an_inbox_without_notices_is_an_empty_page(store: NotificationRepository) -> None:
    await _told(store, "mentor-2")

    expect("nothing", expected=InboxRows(rows=(), unread=0, has_more=False), actual=await _read(store))


@rule_of(reading_inboxes)
async def a_page_has_the_newest_first_with_the_end_that_each_tells(store: NotificationRepository) -> None:
    moments = [MORNING, MORNING + 2 * GUARD, MORNING + GUARD]
    for place, at in enumerate(moments):
        await _told(store, f"mentor-{place}", at=at)
    page = await _read(store, _THEIRS)

    told = [row.notice.created_at for row in page.rows]
    expect("by creation", expected=sorted(moments, reverse=True), actual=told)
    expect("the end", expected=[ENDS] * 3, actual=[row.ends_at for row in page.rows])
    expect(
        "nobody read one",
        expected=[(None, None)] * 3,
        actual=[(row.read_at, row.remind_at) for row in page.rows],
    )
    expect("the notice is whole", expected="mentor-1", actual=page.rows[0].notice.mentor_id)


@rule_of(reading_inboxes)
async def pages_follow_each_other_without_a_gap_whatever_comes_meanwhile(
    store: NotificationRepository,
) -> None:
    # All of one run have one moment: the ids break the tie.
    await _told(store, *(f"mentor-{number}" for number in range(5)))
    first = await store.read_inbox(_THEIRS, after=None, limit=2)
    expect("there are more", expected=True, actual=first.has_more)
    await _told(store, "mentor-9", at=MORNING + GUARD)
    rest = await store.read_inbox(_THEIRS, after=_place(first.rows[-1]), limit=3)

    ids = [row.notice.notification_id for row in (*first.rows, *rest.rows)]
    known = [notice_of(f"mentor-{number}", to=coordinator()).notification_id for number in range(5)]
    expect("each once", expected=sorted(known, reverse=True), actual=ids)
    expect("no more", expected=False, actual=rest.has_more)
    sizes = [len(page) for page in await _ids_by_page(store, limit=2)]
    expect("full pages", expected=[2, 2, 2], actual=sizes)


@rule_of(reading_inboxes)
async def a_page_holds_what_the_scope_covers_only(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")

    expect("another organization", expected=(), actual=(await _read(store, _ELSEWHERE)).rows)
    expect("its count", expected=0, actual=(await _read(store, _ELSEWHERE)).unread)
    changed = await store.mark_read(_ELSEWHERE, None, at=MORNING)
    expect("marks nothing", expected=0, actual=changed)
    later = await store.put_off(_ELSEWHERE, notice_of().notification_id, until=MORNING)
    expect("puts nothing off", expected=False, actual=later)
    other = await store.mark_read(_OWN, [notice_of(to=coordinator()).notification_id], at=MORNING)
    expect("nor another's", expected=0, actual=other)
    expect(
        "all is unread",
        expected=(1, 1),
        actual=((await _read(store)).unread, (await _read(store, _THEIRS)).unread),
    )


@rule_of(reading_inboxes)
async def what_is_read_is_counted_no_more_and_keeps_its_moment(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2", "mentor-3")
    first = notice_of("mentor-1", to=coordinator()).notification_id
    marks = [
        await store.mark_read(_THEIRS, [first, "no-such-notice"], at=MORNING),
        await store.mark_read(_THEIRS, [first], at=MORNING + MINUTE),
        await store.mark_read(_THEIRS, None, at=MORNING + 2 * MINUTE),
    ]
    page = await _read(store, _THEIRS)

    expect("newly read", expected=[1, 0, 2], actual=marks)
    expect("none is left", expected=0, actual=page.unread)
    read = {row.notice.mentor_id: row.read_at for row in page.rows}
    later = MORNING + 2 * MINUTE
    expect(
        "the first moment", expected={"mentor-1": MORNING, "mentor-2": later, "mentor-3": later}, actual=read
    )
    expect("the mentor's own is", expected=1, actual=(await _read(store)).unread)


@rule_of(reading_inboxes)
async def of_readers_at_once_one_finds_it_unread(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    answers = await at_once(*[lambda: store.mark_read(_OWN, None, at=MORNING) for _ in range(3)])

    expect("one", expected=[0, 0, 1], actual=sorted(answers))


@rule_of(reading_inboxes)
async def what_does_not_wait_any_more_is_not_unread_and_not_put_off(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.record(chunk_of(draft_of(of_type=OTHER_TYPE)))
    await store.acknowledge(acknowledgement(notice_of()))
    await store.renew([end_of(of_type=OTHER_TYPE)], at=MORNING)
    page = await _read(store)

    expect("both are there", expected=2, actual=len(page.rows))
    expect("none is unread", expected=0, actual=page.unread)
    for done in (notice_of(), notice_of(of_type=OTHER_TYPE)):
        answer = await store.put_off(_OWN, done.notification_id, until=MORNING + GUARD)
        expect("nothing to put off", expected=False, actual=answer)
    expect("marked all the same", expected=0, actual=await store.mark_read(_OWN, None, at=MORNING))
    expect("with a moment", expected=[MORNING] * 2, actual=[row.read_at for row in (await _read(store)).rows])


@rule_of(reading_inboxes)
async def a_notice_is_put_off_until_a_moment(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    wanted = notice_of().notification_id
    for until in (MORNING + MINUTE, MORNING + GUARD):
        expect("it waits", expected=True, actual=await store.put_off(_OWN, wanted, until=until))

    (row,) = (await _read(store)).rows
    expect("the last one", expected=MORNING + GUARD, actual=row.remind_at)
    (other,) = (await _read(store, _THEIRS)).rows
    expect("not the coordinator's", expected=None, actual=other.remind_at)


@rule_of(reading_inboxes)
async def the_latest_notice_about_each_certificate_is_known(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.record(chunk_of(draft_of(of_type=OTHER_TYPE)))
    later = MORNING + GUARD
    await store.record(chunk_of(draft_of("mentor-1", URGENT, at=later), at=later))

    found = {
        (row.notice.certificate_type, row.notice.tier): row.is_latest for row in (await _read(store)).rows
    }
    certificate = notice_of().certificate_type
    expected = {(certificate, URGENT): True, (OTHER_TYPE, WARNING): True, (certificate, WARNING): False}
    expect("by certificate", expected=expected, actual=found)
    (theirs,) = (await _read(store, _THEIRS)).rows
    expect("the coordinator has no later one", expected=True, actual=theirs.is_latest)


@rule_of(reading_inboxes)
async def ids_that_no_store_keeps_are_nobodys(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    for odd in UNKEEPABLE:
        scope = InboxScope(recipient_id=odd, organization_id=odd, with_unassigned=True)
        expect("no inbox", expected=(), actual=(await _read(store, scope)).rows)
        expect("nothing read", expected=0, actual=await store.mark_read(_OWN, [odd], at=MORNING))
        expect("nothing put off", expected=False, actual=await store.put_off(_OWN, odd, until=MORNING))
        page = await store.read_inbox(_OWN, after=InboxPlace(MORNING - MINUTE, odd), limit=9)
        expect("nothing before", expected=(), actual=page.rows)

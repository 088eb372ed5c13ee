"""
What a notice book promises about inboxes, acknowledgements and renewals.
"""

from __future__ import annotations

from datetime import timedelta

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.notices import Audience, NoticeStatus
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import Acknowledged
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ADVANCE,
    ANOTHER,
    ENDS,
    GUARD,
    HOLD,
    INSTANT,
    MINUTE,
    MORNING,
    OTHER_TYPE,
    RENEWED,
    URGENT,
    WARNING,
    acknowledgement,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
    expect_counts,
    inbox_of,
    notice_of,
    states_of,
    status_of,
    the_push,
)

keeping: list[Check[NotificationRepository]] = []

_PENDING, _ACKNOWLEDGED, _CLEARED = NoticeStatus.PENDING, NoticeStatus.ACKNOWLEDGED, NoticeStatus.CLEARED


async def _told(store: NotificationRepository, *mentor_ids: str) -> None:
    await store.record(chunk_of(*(draft_of(each, WARNING, coordinator()) for each in mentor_ids)))


@rule_of(keeping)
async def who_was_told_nothing_has_an_empty_inbox(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")

    expect("nothing", expected=[], actual=await inbox_of(store, "mentor-9"))
    expect("no such notice", expected=None, actual=await store.notification("no-such-notice"))


@rule_of(keeping)
async def an_inbox_has_the_oldest_first(store: NotificationRepository) -> None:
    moments = [MORNING + 2 * GUARD, MORNING, MORNING + GUARD]
    for place, at in enumerate(moments):
        await store.record(chunk_of(draft_of(f"mentor-{place}", WARNING, coordinator(), at=at), at=at))
    told = await inbox_of(store, "coordinator-1")

    expect("by creation", expected=sorted(moments), actual=[notice.created_at for notice in told])


@rule_of(keeping)
async def an_acknowledgement_is_written_on_the_notice(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2")
    notice, at = notice_of(to=coordinator()), MORNING + MINUTE
    event = acknowledgement(notice, by="coordinator-1", at=at, note="Ringt. Kurs på tirsdag æøå")
    expect("now", expected=Acknowledged.NOW, actual=await store.acknowledge(event))

    found = await store.notification(notice.notification_id)
    expect("marked", expected=_ACKNOWLEDGED, actual=found and found.status)
    marks = found and (found.acknowledged_by, found.acknowledged_at, found.note)
    expect("who, when, what", expected=("coordinator-1", at, event.note), actual=marks)
    expect("the mentor's own ends", expected=_ACKNOWLEDGED, actual=await status_of(store, notice_of()))
    waiting = await store.notifications_for("coordinator-1", unacknowledged_only=True)
    expect("the other waits", expected=["mentor-2"], actual=[each.mentor_id for each in waiting])
    expect("both are there", expected=2, actual=len(await inbox_of(store, "coordinator-1")))


@rule_of(keeping)
async def a_second_acknowledgement_changes_nothing(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    first = acknowledgement(notice_of(), note="først")
    await store.acknowledge(first)
    second = acknowledgement(notice_of(), by="mentor-2", at=MORNING + MINUTE)
    expect("before", expected=Acknowledged.BEFORE, actual=await store.acknowledge(second))

    found = await store.notification(first.notification_id)
    expect("the first stands", expected="mentor-1", actual=found and found.acknowledged_by)
    expect("one audit row", expected=[first], actual=list(await store.acknowledgements("org-1", limit=9)))


@rule_of(keeping)
async def of_acknowledgements_at_once_one_is_now(store: NotificationRepository) -> None:
    # Each has an audit row of its own to write, and a notice has one, with its copies to others.
    await _told(store, "mentor-1")
    copies = [notice_of(), notice_of(to=coordinator()), notice_of()]
    events = [acknowledgement(copy, by=f"mentor-{number}") for number, copy in enumerate(copies)]
    answers = await at_once(*[lambda event=event: store.acknowledge(event) for event in events])

    expect("one is now", expected=1, actual=answers.count(Acknowledged.NOW))
    winner = events[answers.index(Acknowledged.NOW)]
    expect("its audit row", expected=[winner], actual=list(await store.acknowledgements("org-1", limit=9)))


@rule_of(keeping)
async def an_acknowledgement_is_for_all_who_were_told_and_for_nothing_else(
    store: NotificationRepository,
) -> None:
    # The mentor's banner ends with it; another tier's does not.
    admins = [(Audience.CHAPTER_ADMIN, f"admin-{number}") for number in (1, 2)]
    await store.record(chunk_of(draft_of("mentor-1", WARNING, *admins)))
    await store.record(chunk_of(draft_of("mentor-1", URGENT, *admins), at=MORNING + GUARD))
    taken = notice_of(to=admins[0])
    await store.acknowledge(acknowledgement(taken, by="admin-1"))

    for copy in (taken, notice_of(to=admins[1]), notice_of()):
        expect("taken note of", expected=_ACKNOWLEDGED, actual=await status_of(store, copy))
    for other in (notice_of(tier=URGENT), notice_of(tier=URGENT, to=admins[0])):
        expect("another tier waits", expected=_PENDING, actual=await status_of(store, other))
    late = acknowledgement(notice_of(to=admins[1]), by="admin-2")
    expect("before", expected=Acknowledged.BEFORE, actual=await store.acknowledge(late))
    rows = await store.acknowledgements("org-1", limit=9)
    expect("one audit row", expected=["admin-1"], actual=[row.acknowledged_by for row in rows])


@rule_of(keeping)
async def what_is_not_there_or_cleared_is_not_acknowledged(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.renew([end_of()], at=MORNING)
    for notice in (notice_of(), notice_of("mentor-9")):
        answer = await store.acknowledge(acknowledgement(notice))
        expect("before", expected=Acknowledged.BEFORE, actual=answer)

    expect("still cleared", expected=_CLEARED, actual=await status_of(store, notice_of()))
    expect("no audit row", expected=[], actual=list(await store.acknowledgements("org-1", limit=9)))


@rule_of(keeping)
async def audit_rows_come_newest_first(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2", "mentor-3")
    for number in (2, 3, 1):
        notice = notice_of(f"mentor-{number}")
        await store.acknowledge(acknowledgement(notice, at=MORNING + number * MINUTE))
    rows = await store.acknowledgements("org-1", limit=2)

    expect("two of three", expected=["mentor-3", "mentor-2"], actual=[row.mentor_id for row in rows])
    expect("no other's", expected=[], actual=list(await store.acknowledgements("org-2", limit=9)))


@rule_of(keeping)
async def a_renewal_cancels_and_clears_what_is_for_an_earlier_end(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2")
    await store.record(chunk_of(draft_of("mentor-1", of_type=OTHER_TYPE)))
    expect("one message", expected=1, actual=(await store.renew([end_of()], at=MORNING + MINUTE)).cancelled)

    for notice in (notice_of(), notice_of(to=coordinator())):
        expect("cleared", expected=_CLEARED, actual=await status_of(store, notice))
    for notice in (notice_of("mentor-1", of_type=OTHER_TYPE), notice_of("mentor-2")):
        expect("another stays", expected=_PENDING, actual=await status_of(store, notice))
    waiting = await store.notifications_for("mentor-1", unacknowledged_only=True)
    expect("no longer waits", expected=[OTHER_TYPE], actual=[each.certificate_type for each in waiting])
    await expect_counts("two and the digest wait", store, queued=3, cancelled=1)


@rule_of(keeping)
async def a_renewal_again_cancels_nothing_more(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    for cancelled in (1, 0):
        answer = (await store.renew([end_of(), end_of("mentor-9")], at=MORNING)).cancelled
        expect("cancelled now", expected=cancelled, actual=answer)


@rule_of(keeping)
async def a_renewal_leaves_what_was_acknowledged(store: NotificationRepository) -> None:
    # Somebody took note of it; that is history, not a task.
    await _told(store, "mentor-1")
    await store.acknowledge(acknowledgement(notice_of()))
    await store.renew([end_of()], at=MORNING)

    expect("acknowledged", expected=_ACKNOWLEDGED, actual=await status_of(store, notice_of()))


@rule_of(keeping)
async def the_same_or_an_earlier_end_is_no_renewal(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    for end in (end_of(ends_at=ENDS), end_of(ends_at=ENDS - INSTANT, of=ANOTHER)):
        expect("none", expected=0, actual=(await store.renew([end], at=MORNING)).cancelled)
        results = await states_of(store, chunk_of(ends=[end]))
        expect("no draft", expected=[], actual=results)

    expect("pending", expected=_PENDING, actual=await status_of(store, notice_of()))
    await expect_counts("nothing cancelled", store, queued=2)


@rule_of(keeping)
async def a_revocation_cancels_and_clears_all(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.record(chunk_of(draft_of(ends_at=RENEWED, tier=URGENT), at=MORNING + GUARD))
    await store.record(chunk_of(draft_of(ends_at=RENEWED, tier=ADVANCE), at=MORNING + 2 * GUARD))
    expect(
        "both",
        expected=2,
        actual=(await store.renew([end_of(ends_at=None)], at=MORNING + 2 * GUARD)).cancelled,
    )

    waiting = await store.notifications_for("mentor-1", unacknowledged_only=True)
    expect("nothing waits", expected=[], actual=list(waiting))
    await expect_counts("but the digest", store, queued=1, cancelled=3)


@rule_of(keeping)
async def a_run_that_sees_a_later_end_or_a_revocation_cancels(store: NotificationRepository) -> None:
    # A register often shows a renewal before the host tells it by `renew`.
    await store.record(chunk_of(*(draft_of(f"mentor-{number}") for number in (1, 2, 3))))
    seen = [end_of("mentor-1", ENDS + INSTANT), end_of("mentor-2", None), end_of("mentor-3", ENDS)]
    await store.record(chunk_of(ends=seen, at=MORNING + MINUTE))

    await expect_counts("two", store, queued=1, cancelled=2)
    push = await the_push(store, at=MORNING + HOLD)
    expect("who stays", expected="mentor-3", actual=push.message.recipient_id)


@rule_of(keeping)
async def a_draft_for_a_later_end_replaces_what_is_queued(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of()))
    later = draft_of(ends_at=ENDS + timedelta(days=1))
    await store.record(chunk_of(later, at=MORNING + GUARD))
    push = await the_push(store, at=MORNING + GUARD + HOLD)

    expect("the later one's", expected=later.push, actual=push.message)
    await expect_counts("the earlier one's", store, leased=1, cancelled=1)


@rule_of(keeping)
async def an_acknowledgement_that_cannot_be_kept_marks_nothing(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    notice = notice_of(to=coordinator())
    for odd in UNKEEPABLE:
        call = store.acknowledge(acknowledgement(notice, by="coordinator-1", note=odd))
        await error_of(RecordRefusedError, f"the note {odd!r}", call)

    expect("it waits", expected=_PENDING, actual=await status_of(store, notice))
    expect("no audit row", expected=[], actual=list(await store.acknowledgements("org-1", limit=9)))

"""
What a notice book promises about ids in composed and decomposed Unicode spelling.
"""

from __future__ import annotations

from typing import Final

import attrs

from proxy_orchestration.notification.notices import NoticeStatus
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import DraftState, WholeFeed
from proxy_orchestration.testing.contracts.checks import Check, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ANOTHER,
    ENDS,
    GUARD,
    INSTANT,
    MINUTE,
    MORNING,
    RENEWED,
    TYPE,
    URGENT,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
    expect_counts,
    inbox_of,
    run_with,
    states_of,
    the_push,
)

spelling: list[Check[NotificationRepository]] = []

_COMPOSED: Final = "p\u00e5l"
_DECOMPOSED: Final = "pa\u030al"
_WAYS: Final = ((_COMPOSED, _DECOMPOSED), (f"{_DECOMPOSED}-2", f"{_COMPOSED}-2"))
_CREATED, _DUPLICATE, _DEFERRED = DraftState.CREATED, DraftState.DUPLICATE, DraftState.DEFERRED


@rule_of(spelling)
async def nobody_is_told_again_under_another_spelling(store: NotificationRepository) -> None:
    for first, second in _WAYS:
        await store.record(chunk_of(draft_of(first)))
        weighed = [fate.state for fate in (await store.weigh(chunk_of(draft_of(second)))).fates]
        told = await states_of(store, chunk_of(draft_of(second)))
        closer = await states_of(store, chunk_of(draft_of(second, URGENT)))

        expect("it is the same notice", expected=([_DUPLICATE], [_DUPLICATE]), actual=(weighed, told))
        expect("the guard is the same, too", expected=[_DEFERRED], actual=closer)
        seen = [one.mentor_id for one in await inbox_of(store, second)]
        expect("as it came first", expected=[first], actual=seen)


@rule_of(spelling)
async def an_inbox_is_found_by_any_spelling(store: NotificationRepository) -> None:
    draft = draft_of(_DECOMPOSED, earlier=[URGENT])
    await store.record(chunk_of(draft))
    seen = [await inbox_of(store, each) for each in (_COMPOSED, _DECOMPOSED)]
    open_ones = await store.notifications_for(_COMPOSED, unacknowledged_only=True)

    expect("by both", expected=[[draft.notice], [draft.notice]], actual=seen)
    expect("what is open, too", expected=[draft.notice], actual=list(open_ones))


@rule_of(spelling)
async def a_renewal_under_another_spelling_ends_what_was_told(store: NotificationRepository) -> None:
    told = draft_of(_COMPOSED)
    await store.record(chunk_of(told))
    cancelled = (await store.renew([end_of(_DECOMPOSED, of=ANOTHER)], at=MORNING)).cancelled
    (notice,) = await inbox_of(store, _COMPOSED)
    later = MORNING + GUARD
    stale = await states_of(store, chunk_of(draft_of(_DECOMPOSED, URGENT, at=later), at=later))

    expect("its push", expected=1, actual=cancelled)
    expect("its notice", expected=NoticeStatus.CLEARED, actual=notice.status)
    expect("an earlier end is stale", expected=[DraftState.STALE], actual=stale)
    await expect_counts("nothing is left to send", store, cancelled=1)


@rule_of(spelling)
async def a_certificate_is_one_under_any_spelling_of_its_mentor(store: NotificationRepository) -> None:
    # Corrected, revoked and withdrawn: each time another spelling tells of it.
    for first, second in _WAYS:
        await store.record(chunk_of(ends=[end_of(first), end_of(first, ENDS, of=ANOTHER)]))
        corrected = await store.record(chunk_of(ends=[end_of(second, ENDS - INSTANT)]))
        expect("the other counts", expected=(end_of(first, ENDS, of=ANOTHER),), actual=corrected.ends)
        revoked = await store.renew([end_of(second, None, of=ANOTHER)], at=MORNING)
        expect("the corrected one", expected=(end_of(first, ENDS - INSTANT),), actual=revoked.ends)
        weighed = await store.weigh(chunk_of(ends=[end_of(second, RENEWED, of=ANOTHER)]))
        expect("in a plan", expected=(end_of(first, RENEWED, of=ANOTHER),), actual=weighed.ends)
        later = MORNING + MINUTE
        seen = end_of(second, ENDS - INSTANT)
        await store.record(chunk_of(ends=[seen], at=later, complete=True))
        counted = await store.count_unseen(WholeFeed(scope=frozenset({(None, TYPE)}), since=later))
        expect("it was seen", expected=0, actual=counted.unseen)
        await store.renew([attrs.evolve(seen, ends_at=None)], at=later)


@rule_of(spelling)
async def a_push_goes_where_the_first_one_went(store: NotificationRepository) -> None:
    await store.record(chunk_of(ends=[end_of(_DECOMPOSED, draft_of().ends_at)]))
    draft = draft_of(_COMPOSED)
    await run_with(store, chunk_of(draft))
    push = (await the_push(store)).message
    (notice,) = await inbox_of(store, _DECOMPOSED)

    expect("under the known spelling", expected=_DECOMPOSED, actual=push.recipient_id)
    names = (notice.notification_id, notice.notification_id)
    expect("it is that notice's", expected=names, actual=(push.message_id, push.notification_id))


@rule_of(spelling)
async def a_coordinator_has_one_notice_and_one_digest(store: NotificationRepository) -> None:
    both = [coordinator(each) for each in (_DECOMPOSED, _COMPOSED)]
    twice = chunk_of(draft_of("mentor-1", draft_of().notice.tier, *both, pushed=False))
    (fate,) = (await store.record(twice)).fates
    await store.record(chunk_of(draft_of("mentor-2", draft_of().notice.tier, both[1], pushed=False)))
    inbox = await inbox_of(store, _COMPOSED)

    expect("told once of each", expected=1, actual=fate.others)
    expect(
        "of both mentors", expected=["mentor-1", "mentor-2"], actual=sorted(one.mentor_id for one in inbox)
    )
    expect("as came first", expected={_DECOMPOSED}, actual={one.recipient_id for one in inbox})
    await expect_counts("by one digest", store, queued=1)

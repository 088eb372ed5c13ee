"""
What a notification repository promises about the ends of certificates, and which of them counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain

from proxy_orchestration.notification.notices import NoticeStatus, PushState
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import (
    NO_TARGET,
    NOTHING_LEFT,
    CertificateEnd,
    DraftFate,
    DraftState,
    FeedCount,
    NoticeDraft,
    WholeFeed,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing.contracts.checks import Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ANOTHER,
    CERTIFICATE,
    ENDS,
    GUARD,
    HOLD,
    INSTANT,
    MORNING,
    OTHER_TYPE,
    OVER,
    RENEWED,
    TYPE,
    WARNING,
    chunk_of,
    claimed,
    coordinator,
    draft_of,
    end_of,
    ended,
    expect_counts,
    notice_of,
    states_of,
    status_of,
)

counting_ends: list[Check[NotificationRepository]] = []

_DAY = timedelta(days=1)
_NEXT = MORNING + _DAY
_PAGE = 2
_FEED = WholeFeed(scope=frozenset({(None, TYPE)}), since=_NEXT)


async def _saw(
    store: NotificationRepository, *ends: CertificateEnd, at: datetime = MORNING, complete: bool = False
) -> list[CertificateEnd]:
    return list((await store.record(chunk_of(ends=ends, at=at, complete=complete))).ends)


async def _state(store: NotificationRepository, mentor_id: str = "mentor-1") -> DraftState:
    (state,) = (fate.state for fate in (await store.weigh(chunk_of(draft_of(mentor_id)))).fates)
    return state


@rule_of(counting_ends)
async def the_end_that_counts_is_answered(store: NotificationRepository) -> None:
    later = end_of(of=ANOTHER, organization_id="org-1")
    expect("the later one", expected=[later], actual=await _saw(store, end_of(ends_at=ENDS), later))
    expect("of another call too", expected=[later], actual=await _saw(store, end_of(ends_at=ENDS + INSTANT)))
    weighed = (await store.weigh(chunk_of(ends=[end_of(ends_at=ENDS)]))).ends
    expect("weighed", expected=[later], actual=list(weighed))
    renewed = (await store.renew([end_of(ends_at=ENDS)], at=MORNING)).ends
    expect("of a renewal", expected=[later], actual=list(renewed))

    revoked = [end_of(ends_at=None), end_of(ends_at=None, of=ANOTHER, organization_id="org-1")]
    expect("none", expected=[end_of(ends_at=None, of="")], actual=await _saw(store, *revoked))


@rule_of(counting_ends)
async def a_new_end_of_a_certificate_takes_the_place_of_its_old_one(store: NotificationRepository) -> None:
    # A sentinel of 9999 that is corrected; a re-issue; a typo.
    for ends_at in (datetime.max.replace(tzinfo=ENDS.tzinfo) - _DAY, RENEWED, ENDS, RENEWED, ENDS):
        expect(
            "it counts", expected=[end_of(ends_at=ends_at)], actual=await _saw(store, end_of(ends_at=ends_at))
        )

    expect("and is told", expected=[DraftState.CREATED], actual=await states_of(store, chunk_of(draft_of())))


@rule_of(counting_ends)
async def of_two_ends_of_a_certificate_in_a_chunk_the_last_counts(store: NotificationRepository) -> None:
    told = await _saw(store, end_of(), end_of(ends_at=ENDS))

    expect("the last", expected=[end_of(ends_at=ENDS)], actual=told)


@rule_of(counting_ends)
async def a_correction_cancels_and_clears_what_is_for_the_old_end(store: NotificationRepository) -> None:
    for earlier in (False, True):
        mentor_id = f"mentor-{earlier}"
        await store.record(chunk_of(draft_of(mentor_id, WARNING, coordinator())))
        await _saw(store, end_of(mentor_id, ENDS - _DAY if earlier else ENDS + _DAY))

        for to in (None, coordinator()):
            status = await status_of(store, notice_of(mentor_id, to=to))
            expect("cleared", expected=NoticeStatus.CLEARED, actual=status)
    await expect_counts("cancelled", store, cancelled=2, queued=1)
    (digest,) = await claimed(store, at=MORNING + HOLD)
    expect("no digest tells of it", expected={}, actual=digest.digest and dict(digest.digest.counts))


@rule_of(counting_ends)
async def what_is_for_the_end_that_counts_stays(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of()))
    await _saw(store, end_of(ends_at=ENDS - _DAY, of=ANOTHER), end_of(ends_at=None, of="certificate-3"))

    expect("pending", expected=NoticeStatus.PENDING, actual=await status_of(store, notice_of()))
    await expect_counts("queued", store, queued=1)


@rule_of(counting_ends)
async def a_revoked_certificate_leaves_the_next_of_its_mentor(store: NotificationRepository) -> None:
    # A renewal that was seen once and taken back must not silence the certificate that is left.
    await _saw(store, end_of(ends_at=ENDS), end_of(of=ANOTHER))
    expect("silent", expected=DraftState.STALE, actual=await _state(store))
    left = await _saw(store, end_of(ends_at=None, of=ANOTHER))

    expect("the next", expected=[end_of(ends_at=ENDS)], actual=left)
    expect("told", expected=[DraftState.CREATED], actual=await states_of(store, chunk_of(draft_of())))


@rule_of(counting_ends)
async def a_revocation_of_the_last_one_cancels_and_clears_all(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator())))
    await _saw(store, end_of(ends_at=None))

    for to in (None, coordinator()):
        status = await status_of(store, notice_of(to=to))
        expect("cleared", expected=NoticeStatus.CLEARED, actual=status)
    await expect_counts("but the digest", store, cancelled=1, queued=1)


@rule_of(counting_ends)
async def what_was_cleared_waits_again_when_its_certificate_counts_again(
    store: NotificationRepository,
) -> None:
    draft = draft_of("mentor-1", WARNING, coordinator())
    await store.record(chunk_of(draft))
    await _saw(store, end_of(of=ANOTHER))
    await _saw(store, end_of(ends_at=None, of=ANOTHER))
    early = await store.record(chunk_of(draft, at=MORNING + GUARD - INSTANT))
    expect("not yet", expected=[DraftFate(state=DraftState.DUPLICATE)], actual=list(early.fates))
    late = chunk_of(draft, at=MORNING + GUARD)
    weighed = await store.weigh(late)
    fates = [DraftFate(state=DraftState.DUPLICATE, reopened=True)]
    expect("weighed", expected=fates, actual=list(weighed.fates))
    expect("again", expected=fates, actual=list((await store.record(late)).fates))

    for to in (None, coordinator()):
        status = await status_of(store, notice_of(to=to))
        expect("pending", expected=NoticeStatus.PENDING, actual=status)
    pushes = await claimed(store, at=MORNING + GUARD + HOLD)
    told = {push.message.recipient_id: push.digest and dict(push.digest.counts) for push in pushes}
    expect("both are told", expected={"mentor-1": None, "coordinator-1": {WARNING: 1}}, actual=told)
    again = await store.record(chunk_of(draft, at=MORNING + 2 * GUARD))
    expect("once", expected=[DraftFate(state=DraftState.DUPLICATE)], actual=list(again.fates))


@rule_of(counting_ends)
async def what_was_sent_before_it_was_cleared_is_not_sent_again(store: NotificationRepository) -> None:
    draft = draft_of()
    await store.record(chunk_of(draft))
    await store.complete_pushes([ended(push) for push in await claimed(store, at=MORNING + HOLD)])
    await _saw(store, end_of(of=ANOTHER))
    await _saw(store, end_of(ends_at=None, of=ANOTHER))
    await store.record(chunk_of(draft, at=MORNING + GUARD))

    expect("waits", expected=NoticeStatus.PENDING, actual=await status_of(store, notice_of()))
    await expect_counts("sent once", store, sent=1)


async def _taken_back(store: NotificationRepository, draft: NoticeDraft, *, at: datetime) -> None:
    """
    Let the certificate be renewed, the renewal be taken back, and a run tell of the old end again.
    """
    await _saw(store, end_of(of=ANOTHER))
    await _saw(store, end_of(ends_at=None, of=ANOTHER))
    again = await store.record(chunk_of(draft, at=at))
    fates = [DraftFate(state=DraftState.DUPLICATE, reopened=True)]
    expect("it counts again", expected=fates, actual=list(again.fates))


async def _cleared_before_it_is_told(store: NotificationRepository, *, at: datetime) -> None:
    await _saw(store, end_of(of=ANOTHER))
    empty = await claimed(store, at=at)
    await store.complete_pushes([ended(push, PushState.CANCELLED, code=NOTHING_LEFT) for push in empty])


async def _counts_told(store: NotificationRepository) -> list[dict[NotificationThresholdTier, int] | None]:
    """
    Return what the messages tell that are due in the end: a digest its counts, any other nothing.
    """
    due = await claimed(store, at=MORNING + 3 * GUARD)
    return [None if push.digest is None else dict(push.digest.counts) for push in due]


@rule_of(counting_ends)
async def a_notice_that_was_in_a_digest_may_wait_again(store: NotificationRepository) -> None:
    draft = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(draft))
    for times in (1, 2):
        pushes = await claimed(store, at=MORNING + times * GUARD)
        await store.complete_pushes([ended(push) for push in pushes])
        await _taken_back(store, draft, at=MORNING + times * GUARD)

    status = await status_of(store, notice_of(to=coordinator()))
    expect("pending", expected=NoticeStatus.PENDING, actual=status)
    digests = [push.digest for push in await claimed(store, at=MORNING + 3 * GUARD)]
    told = [dict(digest.counts) for digest in digests if digest is not None and digest.counts]
    expect("and in no second one", expected=[], actual=told)


@rule_of(counting_ends)
async def a_notice_whose_digest_was_empty_opens_another(store: NotificationRepository) -> None:
    # It was cleared before it was told, and waits again.
    draft = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(draft))
    for times in (1, 2):
        await _cleared_before_it_is_told(store, at=MORNING + times * GUARD)
        await _taken_back(store, draft, at=MORNING + times * GUARD)

    expect("it is told", expected=[{WARNING: 1}], actual=await _counts_told(store))


@rule_of(counting_ends)
async def a_notice_whose_digest_was_empty_is_in_the_next(store: NotificationRepository) -> None:
    # It waits again while a digest of others is under way, and is the first to open the one that follows.
    draft = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(draft))
    await _cleared_before_it_is_told(store, at=MORNING + HOLD)
    await store.record(chunk_of(draft_of("mentor-2", WARNING, coordinator(), pushed=False)))
    (under_way,) = await claimed(store, at=MORNING + HOLD)
    await _taken_back(store, draft, at=MORNING + GUARD)
    await store.complete_pushes([ended(under_way)])

    expect("it is told", expected=[{WARNING: 1}], actual=await _counts_told(store))


@rule_of(counting_ends)
async def a_notice_that_waits_again_is_not_covered_by_a_digest_that_left_it_out(
    store: NotificationRepository,
) -> None:
    # An earlier digest had counted it, and ended without telling of it.
    draft = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(draft))
    (counted,) = await claimed(store, at=MORNING + HOLD)
    await _saw(store, end_of(of=ANOTHER))
    await store.complete_pushes([ended(counted, PushState.CANCELLED, code="opted_out")])
    await store.record(chunk_of(draft_of("mentor-2", WARNING, coordinator(), pushed=False)))
    (under_way,) = await claimed(store, at=MORNING + HOLD)
    await _taken_back(store, draft, at=MORNING + GUARD)
    await store.complete_pushes([ended(under_way)])

    expect("the next tells of it", expected=[{WARNING: 1}], actual=await _counts_told(store))


@rule_of(counting_ends)
async def a_notice_that_was_told_opens_no_digest_when_it_waits_again(store: NotificationRepository) -> None:
    # An empty one would take the place of a dead one, which can be replayed.
    draft = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(draft))
    pushes = await claimed(store, at=MORNING + HOLD)
    await store.complete_pushes([ended(push, PushState.DEAD, code=NO_TARGET) for push in pushes])
    await _taken_back(store, draft, at=MORNING + GUARD)
    await expect_counts("none", store, dead=1)
    await store.replay_dead(None, now=MORNING + GUARD)

    told = [push.digest and dict(push.digest.counts) for push in await claimed(store, at=MORNING + GUARD)]
    expect("the dead one's", expected=[{WARNING: 1}], actual=told)


@rule_of(counting_ends)
async def a_plan_knows_what_its_own_ends_clear(store: NotificationRepository) -> None:
    # The same day in another zone is the same window.
    await store.record(chunk_of(draft_of()))
    moved = chunk_of(draft_of(ends_at=ENDS + HOLD), at=MORNING + GUARD)
    weighed, recorded = await store.weigh(moved), await store.record(moved)

    expect("as it is recorded", expected=recorded, actual=weighed)
    fates = [DraftFate(state=DraftState.DUPLICATE, reopened=True)]
    expect("it waits again", expected=fates, actual=list(recorded.fates))


@rule_of(counting_ends)
async def who_held_a_message_that_is_queued_again_does_not_complete_it(store: NotificationRepository) -> None:
    draft = draft_of()
    await store.record(chunk_of(draft))
    (held,) = await claimed(store, at=MORNING + HOLD, hold=OVER)
    await _saw(store, end_of(of=ANOTHER))
    await _saw(store, end_of(ends_at=None, of=ANOTHER))
    await store.record(chunk_of(draft, at=MORNING + GUARD))

    expect("too late", expected=0, actual=await store.complete_pushes([ended(held)]))
    await expect_counts("it waits", store, queued=1)


@rule_of(counting_ends)
async def of_two_certificates_at_once_one_sees_the_other(store: NotificationRepository) -> None:
    # Two runs beside each other, each with one of a mentor's certificates.
    names = [f"mentor-{number}" for number in range(4)]
    later = chunk_of(ends=[end_of(name, of=ANOTHER) for name in names])
    await at_once(lambda: store.record(chunk_of(*map(draft_of, names))), lambda: store.record(later))

    for name in names:
        expect("nobody waits for the earlier", expected=DraftState.STALE, actual=await _state(store, name))
    waiting = [push.message.recipient_id for push in await claimed(store, at=MORNING + HOLD)]
    expect("nor is told of it", expected=[], actual=waiting)


@rule_of(counting_ends)
async def an_id_is_one_certificate_s_in_its_organization(store: NotificationRepository) -> None:
    await _saw(store, end_of(organization_id="org-1"))
    told = await _saw(store, end_of(ends_at=ENDS, organization_id="org-2"))

    expect("another's", expected=[end_of(organization_id="org-1")], actual=told)


@rule_of(counting_ends)
async def an_end_without_an_id_is_that_of_the_certificate_that_ends_then(
    store: NotificationRepository,
) -> None:
    # As it is known from the time before ends had ids.
    await _saw(store, end_of(of=""))
    expect("another's", expected=[end_of(of="")], actual=await _saw(store, end_of(ends_at=ENDS)))
    await _saw(store, end_of(of=ANOTHER))

    left = await _saw(store, end_of(ends_at=None, of=ANOTHER))
    expect("it had a name", expected=[end_of(ends_at=ENDS)], actual=left)


@rule_of(counting_ends)
async def before_a_host_s_own_word_no_end_without_an_id_stands(store: NotificationRepository) -> None:
    await _saw(store, end_of(of=""))
    noted = await store.renew([end_of(ends_at=ENDS)], at=MORNING)

    expect("the host's", expected=[end_of(ends_at=ENDS)], actual=list(noted.ends))


@rule_of(counting_ends)
async def what_a_whole_feed_lacks_is_counted_and_withdrawn(store: NotificationRepository) -> None:
    names = [f"mentor-{number}" for number in range(6)]
    await _saw(store, *(end_of(name) for name in names))
    await _saw(store, *(end_of(name) for name in names[1:]), at=_NEXT, complete=True)
    count = FeedCount(known=6, unseen=1)
    expect("one of six", expected=count, actual=await store.count_unseen(_FEED))

    left = [end_of("mentor-0", None, of="")]
    expect("it counts no more", expected=left, actual=list(await store.withdraw(_FEED, limit=9)))
    expect("no other", expected=[], actual=list(await store.withdraw(_FEED, limit=9)))
    count = FeedCount(known=5, unseen=0)
    expect("none of five", expected=count, actual=await store.count_unseen(_FEED))


@rule_of(counting_ends)
async def a_withdrawal_leaves_the_next_and_cancels_what_is_queued(store: NotificationRepository) -> None:
    later = draft_of(ends_at=ENDS + _DAY)
    await store.record(chunk_of(later))
    await _saw(store, end_of(ends_at=ENDS, of=ANOTHER), at=_NEXT, complete=True)
    left = await store.withdraw(_FEED, limit=9)

    expect("the next", expected=[end_of(ends_at=ENDS, of=ANOTHER)], actual=list(left))
    expect("cleared", expected=NoticeStatus.CLEARED, actual=await status_of(store, later.notice))
    await expect_counts("cancelled", store, cancelled=1)


@rule_of(counting_ends)
async def a_whole_feed_is_of_its_organizations_and_types(store: NotificationRepository) -> None:
    await _saw(
        store, end_of(of_type=OTHER_TYPE), end_of(organization_id="org-2"), end_of(organization_id="org-1")
    )
    feed = WholeFeed(scope=frozenset({(None, TYPE), ("org-1", OTHER_TYPE)}), since=_NEXT)
    expect("nothing of its own", expected=FeedCount(known=0, unseen=0), actual=await store.count_unseen(feed))

    expect("nothing is withdrawn", expected=[], actual=list(await store.withdraw(feed, limit=9)))


@rule_of(counting_ends)
async def what_another_run_sees_meanwhile_is_not_withdrawn(store: NotificationRepository) -> None:
    await _saw(store, end_of("mentor-1"), end_of("mentor-2"))
    await _saw(store, end_of("mentor-1", of=ANOTHER), at=_NEXT)
    await _saw(store, end_of("mentor-1"), at=_NEXT, complete=True)
    await _saw(store, end_of("mentor-1"), at=MORNING, complete=True)
    count = FeedCount(known=3, unseen=1)

    expect("only the one that nobody saw", expected=count, actual=await store.count_unseen(_FEED))


@rule_of(counting_ends)
async def a_withdrawal_takes_a_page_at_a_time(store: NotificationRepository) -> None:
    names = [f"mentor-{number}" for number in range(5)]
    await _saw(store, *(end_of(name) for name in names))
    pages = [[end.mentor_id for end in await store.withdraw(_FEED, limit=2)] for _ in range(4)]

    expect("two, two, one, none", expected=[2, 2, 1, 0], actual=list(map(len, pages)))
    expect("each once", expected=names, actual=sorted(chain.from_iterable(pages)))


@rule_of(counting_ends)
async def an_end_without_an_id_is_withdrawn_beside_one_that_was_seen(store: NotificationRepository) -> None:
    await _saw(store, end_of("mentor-1", of=""), end_of("mentor-2", of=""))
    await _saw(store, end_of("mentor-1", ENDS), at=_NEXT, complete=True)
    count = FeedCount(known=2, unseen=1)
    expect("of the mentor that was seen", expected=count, actual=await store.count_unseen(_FEED))

    left = [end_of("mentor-1", ENDS)]
    expect("the named one", expected=left, actual=list(await store.withdraw(_FEED, limit=9)))


@rule_of(counting_ends)
async def what_counts_is_read_in_pages(store: NotificationRepository) -> None:
    ends = [end_of(f"mentor-{number}") for number in range(5)]
    others = [end_of("mentor-1", of_type=OTHER_TYPE), end_of("mentor-7", None), end_of("mentor-8", of="")]
    await _saw(store, *ends, *others, end_of("mentor-1", organization_id="org-1"))
    found: list[CertificateEnd] = []
    page: Sequence[CertificateEnd] = ends
    while page:
        page = await store.counted_in({(None, TYPE)}, after=found[-1] if found else None, limit=_PAGE)
        expect("at the most", expected=True, actual=len(page) <= _PAGE)
        found.extend(page)

    expected = sorted([*ends, others[2]], key=lambda end: end.mentor_id)
    expect("each once", expected=expected, actual=sorted(found, key=lambda end: end.mentor_id))


@rule_of(counting_ends)
async def ends_that_no_longer_count_are_forgotten_and_wake_nothing(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1")))
    await _saw(store, end_of("mentor-1", of=ANOTHER), end_of("mentor-2", None), end_of("mentor-3", ENDS))
    expect("not before", expected=0, actual=await store.forget_ends(before=MORNING))
    await _saw(store, end_of("mentor-4", None), at=RENEWED)
    expect("revoked and passed", expected=2, actual=await store.forget_ends(before=ENDS + INSTANT))
    expect("once", expected=0, actual=await store.forget_ends(before=ENDS + INSTANT))

    expect("still silent", expected=DraftState.STALE, actual=await _state(store))
    kept = await store.counted_in({(None, TYPE)}, after=None, limit=9)
    names = sorted((end.mentor_id, end.certificate_id) for end in kept)
    expect("what counts", expected=[("mentor-1", ANOTHER), ("mentor-3", CERTIFICATE)], actual=names)

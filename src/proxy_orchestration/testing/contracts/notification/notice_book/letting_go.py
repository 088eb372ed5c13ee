"""
What a notification repository promises about retention and about erasing one mentor.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from proxy_orchestration._pseudonyms import mentor_pseudonym, pseudonym_of
from proxy_orchestration.notification.erasure import ERASED, NoticeErasure, NoticeExport
from proxy_orchestration.notification.inbox_pages import InboxScope
from proxy_orchestration.notification.notices import (
    NoticeStatus,
    PushState,
)
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import NO_TARGET, DraftFate, DraftState, FeedCount, WholeFeed
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ANOTHER,
    ENDS,
    GUARD,
    HOLD,
    MINUTE,
    MORNING,
    OTHER_TYPE,
    OVER,
    RENEWED,
    TYPE,
    URGENT,
    WARNING,
    acknowledgement,
    chunk_of,
    claimed,
    coordinator,
    draft_of,
    end_of,
    ended,
    expect_counts,
    inbox_of,
    notice_of,
    run_that_ended,
    run_with,
    states_of,
)

letting_go_of_notices: list[Check[NotificationRepository]] = []

_HOUR_LATER = MORNING + HOLD
_LATER = MORNING + timedelta(days=400)


async def _sent(store: NotificationRepository, *, state: PushState = PushState.SENT) -> None:
    """
    Send all that is due an hour after the morning, digests included.
    """
    pushes = await claimed(store, at=_HOUR_LATER)
    await store.complete_pushes([ended(push, state) for push in pushes])


async def _told(store: NotificationRepository, *mentor_ids: str) -> None:
    await store.record(chunk_of(*(draft_of(each, WARNING, coordinator()) for each in mentor_ids)))


async def _erased(store: NotificationRepository, mentor_id: str = "mentor-1") -> NoticeErasure:
    return await store.erase_mentor(mentor_id)


def _nothing(mentor_id: str) -> NoticeExport:
    return NoticeExport(mentor_id=mentor_id, notices=(), pushes=(), ends=(), acknowledgements=())


@rule_of(letting_go_of_notices)
async def what_is_purged_is_shown_no_more_and_never_told_again(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await _sent(store)
    await store.acknowledge(acknowledgement(notice_of(), note="Ringt"))
    emptied = [await store.purge_notices(created_before=MORNING + MINUTE) for _ in range(2)]
    expect("both, once", expected=[2, 0], actual=emptied)

    for recipient in ("mentor-1", "coordinator-1"):
        expect("no inbox", expected=[], actual=await inbox_of(store, recipient))
        scope = InboxScope(recipient_id=recipient, organization_id="org-1", with_unassigned=True)
        page = await store.read_inbox(scope, after=None, limit=9)
        expect("no page", expected=((), 0), actual=(page.rows, page.unread))
    expect("no notice", expected=None, actual=await store.notification(notice_of().notification_id))
    expect("nothing of it", expected=(), actual=(await store.export_mentor("mentor-1")).notices)
    again = chunk_of(draft_of("mentor-1", WARNING, coordinator()), at=MORNING + GUARD)
    expect("a duplicate", expected=[DraftState.DUPLICATE], actual=await states_of(store, again))
    await expect_counts("no push", store, sent=2)
    rows = await store.acknowledgements("org-1", limit=9)
    expect("the audit row stays", expected=["Ringt"], actual=[row.note for row in rows])


@rule_of(letting_go_of_notices)
async def what_still_has_work_to_do_is_not_purged(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.acknowledge(acknowledgement(notice_of()))
    # The mentor's push is queued, and no digest has told of the coordinator's.
    expect("nothing yet", expected=0, actual=await store.purge_notices(created_before=_LATER))
    await _sent(store)
    expect("nothing so young", expected=0, actual=await store.purge_notices(created_before=MORNING))
    expect("both", expected=2, actual=await store.purge_notices(created_before=_LATER))


@rule_of(letting_go_of_notices)
async def a_recipient_s_latest_pending_notice_stays(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING)))
    later = MORNING + GUARD
    await store.record(chunk_of(draft_of("mentor-1", URGENT, at=later), at=later))
    await store.complete_pushes([ended(push) for push in await claimed(store, at=later)])
    expect("the earlier one", expected=1, actual=await store.purge_notices(created_before=_LATER))

    expect("the banner's", expected=[URGENT], actual=[each.tier for each in await inbox_of(store)])


@rule_of(letting_go_of_notices)
async def messages_that_are_done_with_are_deleted(store: NotificationRepository) -> None:
    mentors = [f"mentor-{number}" for number in range(5)]
    await run_with(store, chunk_of(*(draft_of(each) for each in mentors)))
    pushes = {push.message.recipient_id: push for push in await claimed(store)}
    states = (PushState.SENT, PushState.CANCELLED, PushState.EXPIRED, PushState.DEAD)
    completions = [ended(pushes[name], state) for name, state in zip(mentors, states, strict=False)]
    await store.complete_pushes(completions)
    expect("none so young", expected=0, actual=await store.purge_pushes(due_before=MORNING))
    expect("the done ones", expected=3, actual=await store.purge_pushes(due_before=MORNING + MINUTE))
    await expect_counts("what can be sent stays", store, dead=1, leased=1)
    # The dead one's time is over by then, and nobody can be told by a replay.
    expect("the dead one", expected=1, actual=await store.purge_pushes(due_before=_LATER))
    await expect_counts("what is held stays", store, leased=1)
    expect(
        "nobody again", expected=[DraftState.DUPLICATE], actual=await states_of(store, chunk_of(draft_of()))
    )


@rule_of(letting_go_of_notices)
async def a_cancelled_message_whose_attempt_is_over_is_deleted(store: NotificationRepository) -> None:
    # Its dispatcher was to send it once more, or was killed with it; its words must not stay for ever.
    mentors = [f"mentor-{number}" for number in range(3)]
    await store.record(chunk_of(*map(draft_of, mentors)))
    held = await claimed(store, at=_HOUR_LATER, limit=2)
    killed = await claimed(store, at=_HOUR_LATER, hold=OVER)
    await store.renew([end_of(name, None) for name in mentors], at=_HOUR_LATER)
    again = ended(held[0], PushState.QUEUED, code="retry")
    expect("too late", expected=0, actual=await store.complete_pushes([again]))
    deleted = await store.purge_pushes(due_before=_LATER)
    expect("both", expected=1 + len(killed), actual=deleted)

    await expect_counts("what is under lease stays", store, cancelled=1)
    expect("and may be sent", expected=1, actual=await store.complete_pushes([ended(held[1])]))


@rule_of(letting_go_of_notices)
async def an_open_digest_and_the_last_one_stay(store: NotificationRepository) -> None:
    # By the last one the recipient gets no second one on that day.
    await _told(store, "mentor-1")
    await _sent(store)
    second = draft_of("mentor-2", WARNING, coordinator(), at=_HOUR_LATER)
    await store.record(chunk_of(second, at=_HOUR_LATER))
    for push in await claimed(store, at=_HOUR_LATER + GUARD):
        state, code = (PushState.DEAD, "attempts_exhausted") if push.digest else (PushState.SENT, "")
        await store.complete_pushes([ended(push, state, code=code)])
    expect("the mentors' own", expected=2, actual=await store.purge_pushes(due_before=_LATER))
    await expect_counts("the digests", store, sent=1, dead=1)
    expect("queued again", expected=1, actual=await store.replay_dead(None, now=_HOUR_LATER))
    (push,) = await claimed(store, at=_HOUR_LATER)
    expect("told when", expected=_HOUR_LATER, actual=push.digest and push.digest.told_at)


@rule_of(letting_go_of_notices)
async def old_runs_are_deleted_with_their_shares(store: NotificationRepository) -> None:
    for number, at in enumerate((MORNING, MORNING + GUARD)):
        run = run_that_ended(f"run-{number}", at=at)
        await store.log_run(run)
    emptied = await store.purge_runs(started_before=MORNING)
    expect("one", expected=1, actual=emptied)

    left = await store.list_runs(None, after=None, limit=9)
    expect("the younger", expected=["run-1"], actual=[run.run_id for run in left])


@rule_of(letting_go_of_notices)
async def an_export_has_all_about_one_mentor(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2")
    event = acknowledgement(notice_of(), by="coordinator-1", note="Ringt")
    await store.acknowledge(event)
    told = await store.export_mentor("mentor-1")

    names = {(notice.mentor_id, notice.recipient_id) for notice in told.notices}
    expect("to whomever", expected={("mentor-1", "mentor-1"), ("mentor-1", "coordinator-1")}, actual=names)
    expect("their message", expected=(draft_of().push,), actual=told.pushes)
    expect("their end", expected=(end_of(ends_at=ENDS),), actual=told.ends)
    expect("who took note", expected=(event,), actual=told.acknowledgements)
    for nobody in ("mentor-9", "coordinator-1", *UNKEEPABLE):
        expect("nothing", expected=_nothing(nobody), actual=await store.export_mentor(nobody))


@rule_of(letting_go_of_notices)
async def an_erasure_leaves_no_name_and_no_word(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2")
    await store.acknowledge(acknowledgement(notice_of("mentor-1"), by="coordinator-1", note="Ringt Kari"))
    answers = [await _erased(store), await _erased(store)]

    pseudonym = pseudonym_of("mentor-1")
    done = NoticeErasure(pseudonym=pseudonym, notices=2, pushes=1, acknowledgements=1)
    nothing = NoticeErasure(pseudonym=pseudonym, notices=0, pushes=0, acknowledgements=0)
    expect("what was erased", expected=[done, nothing], actual=answers)
    expect("nothing by the id", expected=_nothing("mentor-1"), actual=await store.export_mentor("mentor-1"))
    left = await store.export_mentor(pseudonym)
    words = {(each.title, each.body, each.note, each.deep_link) for each in left.notices}
    expect("no word", expected={(ERASED, ERASED, "", None)}, actual=words)
    made_of = {(each.expires, each.holder_name, each.locale) for each in left.notices}
    expect("nothing to make words of", expected={(None, "", None)}, actual=made_of)
    expect(
        "no push's", expected=[("", "", {})], actual=[(p.title, p.body, dict(p.data)) for p in left.pushes]
    )
    (row,) = await store.acknowledgements("org-1", limit=9)
    expect(
        "the audit row",
        expected=(pseudonym, "coordinator-1", ""),
        actual=(row.mentor_id, row.acknowledged_by, row.note),
    )
    theirs = {each.mentor_id: each for each in await inbox_of(store, "coordinator-1")}
    expect(
        "the other mentor's stays",
        expected=notice_of("mentor-2", to=coordinator()),
        actual=theirs["mentor-2"],
    )
    expect("the erased one's", expected={"mentor-2", pseudonym}, actual=set(theirs))


@rule_of(letting_go_of_notices)
async def an_erasure_finds_a_mentor_by_any_spelling(store: NotificationRepository) -> None:
    # Stored with a letter and its ring apart, asked for by the whole letter.
    stored, asked = "pa\u030al", "p\u00e5l"
    await _told(store, stored)
    known = await store.export_mentor(asked)
    erased = await _erased(store, asked)

    expect(
        "what is exported",
        expected=(2, 1, 1),
        actual=tuple(map(len, (known.notices, known.pushes, known.ends))),
    )
    expect("one pseudonym", expected=mentor_pseudonym(stored), actual=erased.pseudonym)
    expect("what is erased", expected=(2, 1), actual=(erased.notices, erased.pushes))
    for spelling in (stored, asked):
        expect("nothing left", expected=_nothing(spelling), actual=await store.export_mentor(spelling))
    again = chunk_of(draft_of(asked, WARNING, coordinator()), at=MORNING + GUARD)
    expect("a duplicate", expected=[DraftState.DUPLICATE], actual=await states_of(store, again))


@rule_of(letting_go_of_notices)
async def an_erasure_forgets_how_a_mentor_was_spelled(store: NotificationRepository) -> None:
    stored, later = "pa\u030al", "p\u00e5l"
    await _told(store, stored)
    await _erased(store, stored)
    told = await store.record(chunk_of(ends=[end_of(later)], at=MORNING + GUARD))

    expect("as it comes", expected=[later], actual=[end.mentor_id for end in told.ends])


@rule_of(letting_go_of_notices)
async def what_waited_for_an_erased_mentor_ends(store: NotificationRepository) -> None:
    # A lease, a queued push, a dead one, and a coordinator's digest.
    await _told(store, "mentor-1", "mentor-2")
    leases = await claimed(store, at=_HOUR_LATER, hold=OVER)
    held = [push for push in leases if push.message.recipient_id == "mentor-1"]
    await _erased(store)
    expect("its lease", expected=0, actual=await store.complete_pushes([ended(held[0], PushState.DEAD)]))
    expect("no replay", expected=0, actual=await store.replay_dead(None, now=MORNING))

    waiting = await store.notifications_for("coordinator-1", unacknowledged_only=True)
    expect("waits for nobody", expected=["mentor-2"], actual=[each.mentor_id for each in waiting])
    digests = [push.digest for push in await claimed(store, at=_HOUR_LATER) if push.digest]
    expect("a digest without it", expected=[{WARNING: 1}], actual=[dict(each.counts) for each in digests])
    counts = await store.count_pushes()
    expect("cancelled", expected=1, actual=counts.get(PushState.CANCELLED))


@rule_of(letting_go_of_notices)
async def nobody_is_told_again_because_of_an_erasure(store: NotificationRepository) -> None:
    # The host's feed goes on for a while.
    await _told(store, "mentor-1")
    await _erased(store)
    again = chunk_of(draft_of("mentor-1", WARNING, coordinator()), at=MORNING + GUARD)
    weighed = [fate.state for fate in (await store.weigh(again)).fates]
    expect("a plan knows", expected=[DraftState.DUPLICATE], actual=weighed)
    expect("a duplicate", expected=[DraftState.DUPLICATE], actual=await states_of(store, again))
    too_soon = chunk_of(draft_of("mentor-1", URGENT, at=MORNING + MINUTE), at=MORNING + MINUTE)
    expect("the guard stands", expected=[DraftState.DEFERRED], actual=await states_of(store, too_soon))
    other = chunk_of(draft_of("mentor-1", of_type=OTHER_TYPE), at=MORNING + MINUTE)
    expect("another type is new", expected=[DraftState.CREATED], actual=await states_of(store, other))

    expect("nothing for the coordinator", expected=1, actual=len(await inbox_of(store, "coordinator-1")))


@rule_of(letting_go_of_notices)
async def what_comes_after_an_erasure_is_told_and_can_be_erased(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await _erased(store)
    renewed = draft_of("mentor-1", WARNING, coordinator(), ends_at=RENEWED, at=MORNING + GUARD)
    created = await states_of(store, chunk_of(renewed, at=MORNING + GUARD))
    expect("told", expected=[DraftState.CREATED], actual=created)
    second = await _erased(store)

    expect("erased too", expected=(2, 1), actual=(second.notices, second.pushes))
    again = chunk_of(renewed, at=MORNING + 2 * GUARD)
    expect("and no more", expected=[DraftState.DUPLICATE], actual=await states_of(store, again))
    told = await store.export_mentor(pseudonym_of("mentor-1"))
    expect("no end", expected=(), actual=told.ends)
    statuses = {notice.status for notice in told.notices}
    expect("nothing waits", expected={NoticeStatus.CLEARED}, actual=statuses)


@rule_of(letting_go_of_notices)
async def what_was_told_before_an_erasure_is_known_after_the_next_notice(
    store: NotificationRepository,
) -> None:
    # The mentor is told of another tier under the id, and then the register finds the first end right.
    before = draft_of("mentor-1", WARNING, coordinator())
    await store.record(chunk_of(before))
    await _erased(store)
    again = draft_of("mentor-1", URGENT, coordinator(), at=MORNING + GUARD, earlier=[WARNING])
    fates = (await store.record(chunk_of(again, at=MORNING + GUARD))).fates
    expect("nothing missed", expected=[DraftFate(state=DraftState.CREATED, others=1)], actual=list(fates))
    late = chunk_of(before, at=MORNING + 2 * GUARD)
    expected = [DraftFate(state=DraftState.DUPLICATE)]
    expect("a plan knows", expected=expected, actual=list((await store.weigh(late)).fates))
    expect("a duplicate", expected=expected, actual=list((await store.record(late)).fates))

    later = draft_of("mentor-1", URGENT, at=MORNING + 2 * GUARD, earlier=[WARNING], ends_at=RENEWED)
    fates = (await store.record(chunk_of(later, at=MORNING + 2 * GUARD))).fates
    expect("another window is new", expected=[(WARNING,)], actual=[fate.missed for fate in fates])


@rule_of(letting_go_of_notices)
async def who_is_told_of_an_erased_mentor_is_told_once(store: NotificationRepository) -> None:
    # Another coordinator than before, while the feed goes on.
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator())))
    await _erased(store)
    draft = draft_of("mentor-1", WARNING, coordinator("coordinator-2"))
    for days, others in enumerate((1, 0)):
        fates = (await store.record(chunk_of(draft, at=MORNING + days * GUARD))).fates
        expected = [DraftFate(state=DraftState.DUPLICATE, others=others)]
        expect("the other one once", expected=expected, actual=list(fates))
    too_soon = chunk_of(draft_of("mentor-1", URGENT, at=MORNING + MINUTE), at=MORNING + MINUTE)
    expect("the guard stands", expected=[DraftState.DEFERRED], actual=await states_of(store, too_soon))
    await store.renew([end_of("mentor-1")], at=MORNING)

    (told,) = await inbox_of(store, "coordinator-2")
    expect("a renewal clears it", expected=NoticeStatus.CLEARED, actual=told.status)


@rule_of(letting_go_of_notices)
async def no_feed_lacks_who_was_erased(store: NotificationRepository) -> None:
    # Else each erasure would bring whole feeds nearer to the fifth that is refused.
    ends = [end_of("mentor-1"), end_of("mentor-2"), end_of("mentor-2", ENDS, of=ANOTHER)]
    await store.record(chunk_of(ends=ends))
    await _erased(store)
    feed = WholeFeed(scope=frozenset({(None, TYPE)}), since=MORNING + MINUTE)

    counted = await store.count_unseen(feed)
    expect("the other's alone", expected=FeedCount(known=2, unseen=2), actual=counted)
    known = await store.counted_in(feed.scope, after=None, limit=9)
    expect("nobody else", expected={"mentor-2"}, actual={end.mentor_id for end in known})


@rule_of(letting_go_of_notices)
async def what_was_purged_or_erased_is_not_shown_again_by_an_end_that_counts_again(
    store: NotificationRepository,
) -> None:
    await _told(store, "mentor-1", "mentor-2")
    renewals = [end_of(name, RENEWED, of=ANOTHER) for name in ("mentor-1", "mentor-2")]
    await store.renew(renewals, at=MORNING)
    for push in await claimed(store, at=_HOUR_LATER):
        await store.complete_pushes([ended(push)])
    await _erased(store)
    expect("the other's two", expected=4, actual=await store.purge_notices(created_before=_HOUR_LATER))
    await store.renew([attrs.evolve(end, ends_at=None) for end in renewals], at=_HOUR_LATER)
    at = MORNING + GUARD
    drafts = [draft_of(name, WARNING, coordinator()) for name in ("mentor-1", "mentor-2")]
    told = (await store.record(chunk_of(*drafts, at=at))).fates

    expect("told once", expected=[DraftFate(state=DraftState.DUPLICATE)] * 2, actual=list(told))
    for name in ("mentor-1", "mentor-2", pseudonym_of("mentor-1"), "coordinator-1"):
        expect(f"nothing for {name}", expected=[], actual=await inbox_of(store, name))
    expect("nothing to send", expected=[], actual=await claimed(store, at=at + GUARD))


@rule_of(letting_go_of_notices)
async def a_digest_without_a_target_does_not_tell_of_the_erased_again(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2")
    await store.acknowledge(acknowledgement(notice_of("mentor-2")))
    for push in await claimed(store, at=_HOUR_LATER):
        await store.complete_pushes([ended(push, PushState.DEAD, code=NO_TARGET)])
    await _erased(store)
    await _erased(store, "mentor-2")
    await store.replay_dead(None, now=_HOUR_LATER)

    digests = [push.digest for push in await claimed(store, at=_HOUR_LATER) if push.digest]
    expect("counts nothing", expected=[{}], actual=[dict(each.counts) for each in digests])

"""
What a notice book promises about recording.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import DraftFate, DraftState
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ADVANCE,
    ANOTHER,
    ENDS,
    GUARD,
    HOLD,
    INSTANT,
    MORNING,
    OTHER_TYPE,
    RENEWED,
    URGENT,
    WARNING,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
    expect_counts,
    inbox_of,
    notice_of,
    states_of,
    the_push,
)

recording: list[Check[NotificationRepository]] = []

_CREATED, _DUPLICATE = DraftState.CREATED, DraftState.DUPLICATE
_DEFERRED, _STALE = DraftState.DEFERRED, DraftState.STALE


@rule_of(recording)
async def an_empty_chunk_writes_nothing(store: NotificationRepository) -> None:
    expect("no result", expected=[], actual=list((await store.record(chunk_of())).fates))
    await expect_counts("no message", store)


@rule_of(recording)
async def a_notice_and_its_push_are_kept_as_drafted(store: NotificationRepository) -> None:
    draft = draft_of()
    results = (await store.record(chunk_of(draft))).fates

    expect("created", expected=[DraftFate(state=_CREATED)], actual=list(results))
    expect("the notice", expected=draft.notice, actual=await store.notification(draft.notice.notification_id))
    push = await the_push(store, at=MORNING + HOLD)
    expect("the message", expected=draft.push, actual=push.message)
    expect("no digest", expected=None, actual=push.digest)


@rule_of(recording)
async def a_draft_without_a_push_is_a_notice_only(store: NotificationRepository) -> None:
    draft = draft_of(pushed=False)
    expect("created", expected=[_CREATED], actual=await states_of(store, chunk_of(draft)))

    expect("the notice", expected=[draft.notice], actual=await inbox_of(store))
    await expect_counts("no message", store)


@rule_of(recording)
async def one_key_is_one_notice_whenever_it_is_told(store: NotificationRepository) -> None:
    # A nightly run that is repeated, late or killed tells nobody twice.
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator()), draft_of("mentor-2")))
    for hours in (0, 1, 20, 99):
        at = MORNING + timedelta(hours=hours)
        again = draft_of("mentor-1", WARNING, coordinator(), at=at), draft_of("mentor-2", at=at)
        results = (await store.record(chunk_of(*again, at=at))).fates
        expect("told before", expected=[DraftFate(state=_DUPLICATE)] * 2, actual=list(results))

    expect("the first notice", expected=[notice_of()], actual=await inbox_of(store))
    expect("the other's too", expected=1, actual=len(await inbox_of(store, "coordinator-1")))
    await expect_counts("two messages and one digest", store, queued=3)


@rule_of(recording)
async def fates_come_in_the_order_of_the_drafts(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-2"), draft_of("mentor-3", ADVANCE)))
    drafts = [draft_of(f"mentor-{number}") for number in (3, 1, 2)]
    states = await states_of(store, chunk_of(*drafts))

    expect("each its own", expected=[_DEFERRED, _CREATED, _DUPLICATE], actual=states)


@rule_of(recording)
async def of_records_at_once_with_one_key_one_creates(store: NotificationRepository) -> None:
    # Two nightly runs may overlap, and both see no notice before they insert.
    chunk = chunk_of(draft_of("mentor-1", WARNING, coordinator()), draft_of("mentor-2"))
    answers = await at_once(*[lambda: store.record(chunk)] * 3)

    for place in range(2):
        states = sorted(answer.fates[place].state.value for answer in answers)
        expect("one creates", expected=["created", "duplicate", "duplicate"], actual=states)
    expect("others once", expected=1, actual=sum(results.fates[0].others for results in answers))
    await expect_counts("two messages and one digest", store, queued=3)


@rule_of(recording)
async def of_tiers_at_once_the_guard_lets_one_pass(store: NotificationRepository) -> None:
    # The keys differ, so only the guard's own row stands between two notices to one mentor.
    chunks = chunk_of(draft_of(tier=WARNING)), chunk_of(draft_of(tier=URGENT))
    answers = await at_once(lambda: store.record(chunks[0]), lambda: store.record(chunks[1]))

    states = {result.state for results in answers for result in results.fates}
    expect("one passes", expected={_CREATED, _DEFERRED}, actual=states)
    expect("one notice", expected=1, actual=len(await inbox_of(store)))
    await expect_counts("one message", store, queued=1)


@rule_of(recording)
async def the_guard_defers_until_it_is_exactly_over(store: NotificationRepository) -> None:
    # The key of a deferred draft is not consumed, so a later run tells.
    await store.record(chunk_of(draft_of(tier=ADVANCE)))
    early, late = MORNING + GUARD - INSTANT, MORNING + GUARD
    warning = draft_of("mentor-1", WARNING, coordinator(), at=late)
    too_early = (await store.record(chunk_of(warning, at=early))).fates

    expect("just below", expected=[DraftFate(state=_DEFERRED)], actual=list(too_early))
    expect("nothing of it", expected=None, actual=await store.notification(warning.notice.notification_id))
    expect("of nobody's", expected=[], actual=await inbox_of(store, "coordinator-1"))
    await expect_counts("no message", store, queued=1)
    passed = (await store.record(chunk_of(warning, at=late))).fates
    expect("exactly", expected=[DraftFate(state=_CREATED, others=1)], actual=list(passed))


@rule_of(recording)
async def the_guard_lets_pass_what_comes_later(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of(tier=ADVANCE)))
    after = MORNING + GUARD + INSTANT

    expect("above", expected=[_CREATED], actual=await states_of(store, chunk_of(draft_of(), at=after)))
    again = await states_of(store, chunk_of(draft_of(tier=URGENT), at=after + GUARD - INSTANT))
    expect("counted anew from the last", expected=[_DEFERRED], actual=again)


@rule_of(recording)
async def what_was_not_created_takes_no_guard(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of(tier=ADVANCE)))
    before = MORNING + timedelta(hours=19)
    expect(
        "told",
        expected=[_DUPLICATE],
        actual=await states_of(store, chunk_of(draft_of(tier=ADVANCE), at=before)),
    )
    expect("held", expected=[_DEFERRED], actual=await states_of(store, chunk_of(draft_of(), at=before)))

    passed = await states_of(store, chunk_of(draft_of(), at=MORNING + GUARD))
    expect("counted from what was created", expected=[_CREATED], actual=passed)


@rule_of(recording)
async def the_guard_is_of_one_mentor_and_type(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of()))
    others = draft_of("mentor-1", of_type=OTHER_TYPE), draft_of("mentor-2")

    expect("free", expected=[_CREATED] * 2, actual=await states_of(store, chunk_of(*others)))


@rule_of(recording)
async def an_earlier_run_after_a_later_one_is_deferred(store: NotificationRepository) -> None:
    # The guard is in the runs' time, and a run may be repeated for a day that is over.
    await store.record(chunk_of(draft_of()))
    before = chunk_of(draft_of(tier=ADVANCE), at=MORNING - 2 * GUARD)

    expect("held", expected=[_DEFERRED], actual=await states_of(store, before))


@rule_of(recording)
async def a_draft_is_stale_once_a_later_end_is_known(store: NotificationRepository) -> None:
    # An old row of a register, in a later chunk, must not tell about a renewed certificate; decision 38.
    await store.record(chunk_of(ends=[end_of("mentor-1", of=ANOTHER)]))
    await store.renew([end_of("mentor-2", of=ANOTHER)], at=MORNING)
    old = [draft_of(mentor_id, WARNING, coordinator()) for mentor_id in ("mentor-1", "mentor-2")]
    for _ in range(2):  # its own, earlier end does not replace the later one
        results = (await store.record(chunk_of(*old))).fates
        expect("stale", expected=[DraftFate(state=_STALE)] * 2, actual=list(results))

    expect("nothing of it", expected=[], actual=await inbox_of(store))
    expect("of nobody's", expected=[], actual=await inbox_of(store, "coordinator-1"))
    await expect_counts("no message", store)
    new = [draft_of(mentor_id, ends_at=RENEWED) for mentor_id in ("mentor-1", "mentor-2")]
    expect("the later end's own", expected=[_CREATED] * 2, actual=await states_of(store, chunk_of(*new)))


@rule_of(recording)
async def a_corrected_end_is_told_though_a_later_one_was_known(store: NotificationRepository) -> None:
    # Of the same certificate, by the host's own word or by a run's; decision 217.
    names = [f"mentor-{number}" for number in (1, 2, 3)]
    await store.record(chunk_of(ends=[end_of(name) for name in names]))
    await store.record(chunk_of(ends=[end_of("mentor-3", of=ANOTHER)]))
    await store.renew([end_of("mentor-1", ENDS)], at=MORNING)
    chunk = chunk_of(*map(draft_of, names))

    states = await states_of(store, chunk)
    expect("the corrected ones", expected=[_CREATED, _CREATED, _STALE], actual=states)


@rule_of(recording)
async def a_draft_is_stale_once_its_own_chunk_tells_a_later_end(store: NotificationRepository) -> None:
    chunk = chunk_of(draft_of("mentor-1"), draft_of("mentor-2"), ends=[end_of("mentor-1", of=ANOTHER)])
    weighed = [result.state for result in (await store.weigh(chunk)).fates]

    expect("weighed", expected=[_STALE, _CREATED], actual=weighed)
    expect("recorded", expected=[_STALE, _CREATED], actual=await states_of(store, chunk))


@rule_of(recording)
async def what_was_told_is_stale_too_once_a_later_end_is_known(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of()))
    await store.renew([end_of(ends_at=ENDS + INSTANT, of=ANOTHER)], at=MORNING)

    expect("stale first", expected=[_STALE], actual=await states_of(store, chunk_of(draft_of())))


@rule_of(recording)
async def a_later_end_is_of_one_mentor_and_type(store: NotificationRepository) -> None:
    await store.renew([end_of("mentor-1", of_type=OTHER_TYPE), end_of("mentor-2")], at=MORNING)

    expect("not stale", expected=[_CREATED], actual=await states_of(store, chunk_of(draft_of())))


@rule_of(recording)
async def a_later_run_completes_what_others_were_not_told(store: NotificationRepository) -> None:
    # The directory may have failed in the run before; decision 39.
    admins = (Audience.CHAPTER_ADMIN, "admin-1"), (Audience.CHAPTER_ADMIN, "admin-2")
    await store.record(chunk_of(draft_of("mentor-1", WARNING, admins[0])))
    again = draft_of("mentor-1", WARNING, *admins)
    results = (await store.record(chunk_of(again))).fates

    expect("one is new", expected=[DraftFate(state=_DUPLICATE, others=1)], actual=list(results))
    expect("the new one", expected=[again.others[1]], actual=await inbox_of(store, "admin-2"))
    expect("the known one", expected=1, actual=len(await inbox_of(store, "admin-1")))
    await expect_counts("a digest each", store, queued=3)


@rule_of(recording)
async def a_created_draft_tells_which_tiers_were_missed(store: NotificationRepository) -> None:
    first = draft_of("mentor-1", ADVANCE)
    await store.record(chunk_of(first))
    later = MORNING + 2 * GUARD
    drafts = [
        draft_of(mentor_id, URGENT, earlier=(ADVANCE, WARNING)) for mentor_id in ("mentor-1", "mentor-2")
    ]
    results = (await store.record(chunk_of(*drafts, at=later))).fates
    again = (await store.record(chunk_of(*drafts, at=later))).fates

    missed = [(WARNING,), (ADVANCE, WARNING)]
    expect("those without a notice", expected=missed, actual=[result.missed for result in results])
    expect("told once", expected=[(), ()], actual=[result.missed for result in again])


@rule_of(recording)
async def weighing_answers_the_same_and_writes_nothing(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1"), draft_of("mentor-2", ADVANCE)))
    await store.renew([end_of("mentor-3", of=ANOTHER)], at=MORNING)
    chunk = chunk_of(
        draft_of("mentor-1", WARNING, coordinator()),
        draft_of("mentor-2"),
        draft_of("mentor-3"),
        draft_of("mentor-4", URGENT, coordinator(), earlier=(ADVANCE,)),
        ends=[end_of("mentor-2", ends_at=None, of=ANOTHER)],
    )
    weighed = [list((await store.weigh(chunk)).fates) for _ in range(2)]

    expect("nobody is told", expected=[], actual=await inbox_of(store, "coordinator-1"))
    await expect_counts("nothing is cancelled", store, queued=2)
    recorded = list((await store.record(chunk)).fates)
    expect("the same", expected=[recorded] * 2, actual=weighed)
    states = [_DUPLICATE, _DEFERRED, _STALE, _CREATED]
    expect("one of each", expected=states, actual=[result.state for result in recorded])


@rule_of(recording)
async def a_chunk_with_a_text_that_cannot_be_kept_is_refused_whole(store: NotificationRepository) -> None:
    for odd in UNKEEPABLE:
        draft = draft_of("mentor-2")
        bad = attrs.evolve(draft, notice=attrs.evolve(draft.notice, body=odd))
        for name, call in (("record", store.record), ("weigh", store.weigh)):
            await error_of(RecordRefusedError, f"{name} {odd!r}", call(chunk_of(draft_of(), bad)))
        await error_of(RecordRefusedError, f"renew {odd!r}", store.renew([end_of(odd, RENEWED)], at=MORNING))

    await expect_counts("no message", store)
    expect("no notice", expected=[], actual=await inbox_of(store))

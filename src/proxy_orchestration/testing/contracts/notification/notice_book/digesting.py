"""
What a notification repository promises about a coordinator's digest.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from proxy_orchestration.notification.notices import Audience, PushState
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import MOST_NEAREST, NO_TARGET, NOTHING_LEFT, Digest, LeasedPush
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing.contracts.checks import Check, at_once, broken, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    GUARD,
    HOLD,
    INSTANT,
    LONG,
    MINUTE,
    MORNING,
    OVER,
    RENEWED,
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
    notice_of,
    retried,
    run_that_ended,
)

digesting: list[Check[NotificationRepository]] = []

_NEXT_DAY = MORNING + timedelta(days=1)
_DAY = timedelta(days=1)


async def _told(
    store: NotificationRepository, *mentor_ids: str, at: datetime = MORNING, run_id: str = "run-1"
) -> None:
    drafts = [draft_of(each, WARNING, coordinator(), at=at, pushed=False) for each in mentor_ids]
    await store.record(chunk_of(*drafts, at=at, run_id=run_id))


async def _digests(
    store: NotificationRepository, *, at: datetime = _NEXT_DAY, hold: float = OVER
) -> dict[str, LeasedPush]:
    """
    Return the digests that are due at that moment, by recipient; their leases are over at once.
    """
    due = [push for push in await claimed(store, at=at, hold=hold) if push.digest is not None]
    found = {push.message.recipient_id: push for push in due}
    expect("one digest a recipient", expected=len(due), actual=len(found))
    return found


async def _push(
    store: NotificationRepository,
    recipient_id: str = "coordinator-1",
    *,
    at: datetime = _NEXT_DAY,
    hold: float = OVER,
) -> LeasedPush:
    push = (await _digests(store, at=at, hold=hold)).get(recipient_id)
    if push is None:
        broken(f"no digest of {recipient_id} is due")
    return push


async def _digest(
    store: NotificationRepository, recipient_id: str = "coordinator-1", *, at: datetime = _NEXT_DAY
) -> Digest:
    digest = (await _push(store, recipient_id, at=at)).digest
    if digest is None:
        broken("a digest tells nothing")
    return digest


async def _counts(
    store: NotificationRepository, recipient_id: str = "coordinator-1"
) -> dict[NotificationThresholdTier, int]:
    return dict((await _digest(store, recipient_id)).counts)


@rule_of(digesting)
async def a_digest_is_a_message_without_a_text(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    message = (await _push(store)).message

    expect("its id", expected=message.message_id, actual=message.notification_id)
    expect("no words", expected=("", ""), actual=(message.title, message.body))
    expect("a tier", expected=WARNING, actual=message.tier)
    expect("replaces older ones", expected="certificate-expiry-digest", actual=message.collapse_key)


@rule_of(digesting)
async def a_recipient_has_one_open_digest(store: NotificationRepository) -> None:
    admin = (Audience.CHAPTER_ADMIN, "admin-1")
    for number in range(3):
        drafts = [
            draft_of(f"mentor-{number}-{each}", WARNING, coordinator(), admin, pushed=False) for each in "ab"
        ]
        await store.record(chunk_of(*drafts))
    await expect_counts("one each", store, queued=2)
    await _told(store, "mentor-9", at=_NEXT_DAY)

    await expect_counts("the same on another day", store, queued=2)
    expect("with both days'", expected={WARNING: 7}, actual=await _counts(store))


@rule_of(digesting)
async def of_notices_at_once_one_opens_the_digest(store: NotificationRepository) -> None:
    names = [f"mentor-{number}" for number in range(4)]
    await at_once(*[lambda name=name: _told(store, name, run_id=name) for name in names])

    await expect_counts("one", store, queued=1)
    expect("with all", expected={WARNING: 4}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_counts_notices_by_tier(store: NotificationRepository) -> None:
    both = coordinator(), coordinator("coordinator-2")
    first = draft_of("mentor-1", WARNING, *both), draft_of("mentor-2", URGENT, both[0])
    await store.record(chunk_of(*first))
    await store.record(chunk_of(draft_of("mentor-3", WARNING, both[0]), draft_of("mentor-4")))
    found = {name: push.digest and dict(push.digest.counts) for name, push in (await _digests(store)).items()}

    expected = {"coordinator-1": {WARNING: 2, URGENT: 1}, "coordinator-2": {WARNING: 1}}
    expect("each its own", expected=expected, actual=found)


@rule_of(digesting)
async def a_digest_counts_no_notice_of_the_recipient_as_a_mentor(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("coordinator-1", URGENT, pushed=False)))
    await _told(store, "mentor-1")

    expect("the mentors'", expected={WARNING: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_counts_as_it_is_claimed(store: NotificationRepository) -> None:
    # The text is made when it is sent, so that it tells nothing that is over.
    await _told(store, "mentor-1", "mentor-2")
    expect("both", expected={WARNING: 2}, actual=await _counts(store))
    await store.renew([end_of("mentor-1")], at=MORNING)
    expect("without the renewed one", expected={WARNING: 1}, actual=await _counts(store))
    await store.acknowledge(acknowledgement(notice_of("mentor-2", to=coordinator())))
    expect("with the acknowledged one", expected={WARNING: 1}, actual=await _counts(store))
    await store.record(chunk_of(draft_of("mentor-3", URGENT, coordinator(), pushed=False)))

    expect("with a new one", expected={WARNING: 1, URGENT: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_names_what_ends_first(store: NotificationRepository) -> None:
    days = [3, 1, 2, *range(4, 4 + MOST_NEAREST)]
    drafts = [
        draft_of(f"mentor-{day}", WARNING, coordinator(), ends_at=ENDS + day * _DAY, pushed=False)
        for day in days
    ]
    await store.record(chunk_of(*drafts))
    expected = [end_of(f"mentor-{day}", ENDS + day * _DAY, of="") for day in range(1, 1 + MOST_NEAREST)]
    expect("the nearest", expected=expected, actual=list((await _digest(store)).nearest))
    await store.record(chunk_of(ends=[end_of("mentor-1", RENEWED)]))

    expected = [end_of(f"mentor-{day}", ENDS + day * _DAY, of="") for day in range(2, 2 + MOST_NEAREST)]
    expect("none that was renewed", expected=expected, actual=list((await _digest(store)).nearest))


@rule_of(digesting)
async def a_digest_names_no_renewed_certificate_that_was_acknowledged(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", "mentor-2")
    await store.acknowledge(acknowledgement(notice_of("mentor-1", to=coordinator())))
    await store.record(chunk_of(ends=[end_of("mentor-1")]))
    digest = await _digest(store)

    expect("the other's", expected={WARNING: 1}, actual=dict(digest.counts))
    expect("its name", expected=["mentor-2"], actual=[end.mentor_id for end in digest.nearest])


@rule_of(digesting)
async def a_digest_of_renewed_certificates_only_is_empty(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.renew([end_of("mentor-1")], at=MORNING)

    digest = await _digest(store)
    expect("nothing left", expected=({}, ()), actual=(dict(digest.counts), tuple(digest.nearest)))


@rule_of(digesting)
async def a_digest_is_due_when_its_run_ends(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.log_run(run_that_ended("run-2", at=MORNING + MINUTE))
    expect("not by another's end", expected={}, actual=await _digests(store, at=MORNING + 5 * MINUTE))
    await store.log_run(run_that_ended("run-1", at=MORNING + 5 * MINUTE))
    expect("not before", expected={}, actual=await _digests(store, at=MORNING + 5 * MINUTE - INSTANT))

    expect("then", expected=MORNING, actual=(await _digest(store, at=MORNING + 5 * MINUTE)).opened_at)


@rule_of(digesting)
async def a_killed_run_s_digest_is_due_after_an_hour(store: NotificationRepository) -> None:
    # Counted from its first notice, however long the run went on writing.
    await _told(store, "mentor-1")
    await _told(store, "mentor-2", at=MORNING + 30 * MINUTE)
    expect("not before", expected={}, actual=await _digests(store, at=MORNING + HOLD - INSTANT))

    digest = await _digest(store, at=MORNING + HOLD)
    expect("both are told", expected={WARNING: 2}, actual=dict(digest.counts))


@rule_of(digesting)
async def of_two_runs_the_last_to_write_makes_a_digest_due(store: NotificationRepository) -> None:
    await _told(store, "mentor-1", run_id="run-1")
    await _told(store, "mentor-2", run_id="run-2")
    await store.log_run(run_that_ended("run-1"))
    expect("not yet", expected={}, actual=await _digests(store, at=MORNING))
    await store.log_run(run_that_ended("run-2"))

    expect("both are told", expected={WARNING: 2}, actual=dict((await _digest(store, at=MORNING)).counts))


@rule_of(digesting)
async def a_digest_that_waits_is_due_with_the_next_run(store: NotificationRepository) -> None:
    # It was put off until a day later; what a run adds is told when that run ends.
    await _told(store, "mentor-1")
    push = await _push(store, at=MORNING + HOLD, hold=LONG)
    await store.complete_pushes([retried(push, MORNING + 2 * _DAY, counted=False)])
    await _told(store, "mentor-2", at=_NEXT_DAY, run_id="run-2")
    expect("not yet", expected={}, actual=await _digests(store, at=_NEXT_DAY))
    await store.log_run(run_that_ended("run-2", at=_NEXT_DAY))

    expect("both are told", expected={WARNING: 2}, actual=await _counts(store))


@rule_of(digesting)
async def what_was_sent_is_covered(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.complete_pushes([ended(await _push(store, at=_NEXT_DAY))])
    await expect_counts("it was sent, and none is open", store, sent=1)
    await _told(store, "mentor-2", at=_NEXT_DAY)
    digest = await _digest(store, at=_NEXT_DAY + HOLD)

    expect("the new one alone", expected={WARNING: 1}, actual=dict(digest.counts))
    expect("by name", expected=["mentor-2"], actual=[end.mentor_id for end in digest.nearest])
    expect("when they were told", expected=_NEXT_DAY, actual=digest.told_at)


@rule_of(digesting)
async def what_nobody_can_be_told_is_covered_too(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.complete_pushes([ended(await _push(store), PushState.DEAD, code=NO_TARGET)])
    await _told(store, "mentor-2")

    digest = await _digest(store)
    expect("the new one alone", expected={WARNING: 1}, actual=dict(digest.counts))
    expect("nobody was told", expected=None, actual=digest.told_at)


@rule_of(digesting)
async def a_completion_covers_what_its_claim_counted(store: NotificationRepository) -> None:
    for state, code in ((PushState.SENT, ""), (PushState.DEAD, NO_TARGET)):
        await _told(store, f"mentor-1-{code}")
        push = await _push(store, hold=LONG)
        await _told(store, f"mentor-2-{code}", at=_NEXT_DAY)
        await store.complete_pushes([ended(push, state, code=code)])
        await store.log_run(run_that_ended(at=_NEXT_DAY))

        digest = await _digest(store)
        names = [end.mentor_id for end in digest.nearest]
        expect("what came since waits", expected=[f"mentor-2-{code}"], actual=names)
        await store.complete_pushes([ended(await _push(store))])


@rule_of(digesting)
async def a_completion_under_an_old_token_covers_nothing(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    old = await _push(store)
    await _push(store)
    expect("too late", expected=0, actual=await store.complete_pushes([ended(old)]))

    expect("still to be told", expected={WARNING: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_dead_digest_s_notices_wait_for_the_next(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.complete_pushes([ended(await _push(store), PushState.DEAD, code="attempts_exhausted")])
    expect("nothing is due", expected={}, actual=await _digests(store))
    await _told(store, "mentor-2", at=_NEXT_DAY)

    expect("nor now", expected={}, actual=await _digests(store, at=_NEXT_DAY + HOLD - INSTANT))
    push = await _push(store, at=_NEXT_DAY + HOLD)
    told = push.digest and dict(push.digest.counts)
    expect("both, as if it were new", expected=({WARNING: 2}, 1), actual=(told, push.attempts))


@rule_of(digesting)
async def a_dead_digest_is_replayed_with_its_notices(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    for code in ("payload_invalid", NO_TARGET):
        await store.complete_pushes([ended(await _push(store), PushState.DEAD, code=code)])
        expect("one", expected=1, actual=await store.replay_dead(None, now=_NEXT_DAY))

        expect(code, expected={WARNING: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_that_never_had_a_target_is_replayed_with_all_its_notices(
    store: NotificationRepository,
) -> None:
    # It died with the first, took the second in, and died for another reason with the third.
    for number, code in enumerate((NO_TARGET, NO_TARGET, "attempts_exhausted")):
        await _told(store, f"mentor-{number}")
        await store.complete_pushes([ended(await _push(store), PushState.DEAD, code=code)])
    await store.replay_dead(None, now=_NEXT_DAY)

    expect("all three", expected={WARNING: 3}, actual=await _counts(store))


@rule_of(digesting)
async def what_was_cleared_when_its_digest_was_replayed_is_told_if_it_waits_again(
    store: NotificationRepository,
) -> None:
    await _told(store, "mentor-1", "mentor-2")
    await store.complete_pushes([ended(await _push(store), PushState.DEAD, code=NO_TARGET)])
    await store.renew([end_of("mentor-1")], at=MORNING)
    await store.replay_dead(None, now=_NEXT_DAY)
    replayed = await _push(store)
    counts = replayed.digest and dict(replayed.digest.counts)
    expect("the other's", expected={WARNING: 1}, actual=counts)
    await store.complete_pushes([ended(replayed)])
    await _told(store, "mentor-1", at=_NEXT_DAY - HOLD)

    expect("now it", expected={WARNING: 1}, actual=await _counts(store))


@rule_of(digesting)
async def what_a_cancelled_digest_counted_waits_for_the_next(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.complete_pushes([ended(await _push(store), PushState.CANCELLED, code="opted_out")])
    expect("nothing is due", expected={}, actual=await _digests(store))
    await _told(store, "mentor-2")

    expect("both", expected={WARNING: 2}, actual=await _counts(store))


@rule_of(digesting)
async def an_emptied_digest_leaves_the_next_to_a_new_notice(store: NotificationRepository) -> None:
    await _told(store, "mentor-1")
    await store.renew([end_of("mentor-1")], at=MORNING)
    old = await _push(store)
    await store.complete_pushes([ended(old, PushState.CANCELLED, code=NOTHING_LEFT)])
    await expect_counts("none is open", store, cancelled=1)
    await store.record(chunk_of(draft_of("mentor-2", URGENT, coordinator(), pushed=False)))

    expect("the new one's", expected={URGENT: 1}, actual=await _counts(store))
    expect("the old lease is over", expected=0, actual=await store.complete_pushes([ended(old)]))


@rule_of(digesting)
async def a_digest_is_not_emptied_while_a_notice_comes(store: NotificationRepository) -> None:
    # The dispatcher saw it empty, and the notice came before its answer.
    await _told(store, "mentor-1")
    await store.renew([end_of("mentor-1")], at=MORNING)
    empty = await _push(store, hold=LONG)
    await store.record(chunk_of(draft_of("mentor-2", URGENT, coordinator(), pushed=False)))
    await store.complete_pushes([ended(empty, PushState.CANCELLED, code=NOTHING_LEFT)])

    await expect_counts("another waits", store, cancelled=1, queued=1)
    expect("and tells", expected={URGENT: 1}, actual=await _counts(store))


@rule_of(digesting)
async def what_the_guard_defers_opens_no_digest(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of(tier=URGENT, pushed=False)))
    held = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(held))
    await expect_counts("none", store)
    await store.record(chunk_of(held, at=MORNING + GUARD))

    await expect_counts("one when it passes", store, queued=1)

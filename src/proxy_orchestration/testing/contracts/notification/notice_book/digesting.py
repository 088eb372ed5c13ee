"""
What a notification repository promises about a coordinator's digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from proxy_orchestration.notification.notices import Audience, PushState
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import NOTHING_LEFT, LeasedPush
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    GUARD,
    MORNING,
    OVER,
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
    midnight_after,
    notice_of,
)

digesting: list[Check[NotificationRepository]] = []

_NEXT_DAY = MORNING + timedelta(days=1)


async def _digest(store: NotificationRepository, recipient_id: str = "coordinator-1") -> LeasedPush:
    """
    Return that recipient's digest, which is due; its lease is over at once.
    """
    due = await claimed(store, at=_NEXT_DAY, hold=OVER)
    found = [push for push in due if push.message.recipient_id == recipient_id]
    if len(found) != 1:
        broken(f"one digest of {recipient_id} is due: expected 1, got {len(found)}")
    return found[0]


async def _counts(
    store: NotificationRepository, recipient_id: str = "coordinator-1"
) -> Mapping[NotificationThresholdTier, int]:
    push = await _digest(store, recipient_id)
    if push.digest is None:
        broken("a digest has no counts")
    return dict(push.digest)


@rule_of(digesting)
async def a_digest_is_a_message_without_a_text(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    message = (await _digest(store)).message
    day = MORNING.date()

    name = f"digest:coordinator-1:{day}"
    expect("its ids", expected=(name, name), actual=(message.message_id, message.notification_id))
    expect("no words", expected=("", ""), actual=(message.title, message.body))
    expect("a tier", expected=WARNING, actual=message.tier)
    expect("replaces older ones", expected="certificate-expiry-digest", actual=message.collapse_key)
    expect("ends with the day", expected=midnight_after(day), actual=message.expires_at)


@rule_of(digesting)
async def a_recipient_has_one_digest_a_day(store: NotificationRepository) -> None:
    admin = (Audience.CHAPTER_ADMIN, "admin-1")
    for number in range(3):
        drafts = [
            draft_of(f"mentor-{number}-{each}", WARNING, coordinator(), admin, pushed=False) for each in "ab"
        ]
        await store.record(chunk_of(*drafts))
    await expect_counts("one each", store, queued=2)
    drafts = [draft_of("mentor-9", WARNING, coordinator(), pushed=False, at=_NEXT_DAY)]
    await store.record(chunk_of(*drafts, at=_NEXT_DAY))

    await expect_counts("another on another day", store, queued=3)


@rule_of(digesting)
async def a_digest_counts_the_day_s_notices_by_tier(store: NotificationRepository) -> None:
    both = coordinator(), coordinator("coordinator-2")
    first = draft_of("mentor-1", WARNING, *both), draft_of("mentor-2", URGENT, both[0])
    await store.record(chunk_of(*first))
    await store.record(chunk_of(draft_of("mentor-3", WARNING, both[0]), draft_of("mentor-4")))

    expect("the first's", expected={WARNING: 2, URGENT: 1}, actual=await _counts(store))
    expect("the second's", expected={WARNING: 1}, actual=await _counts(store, "coordinator-2"))


@rule_of(digesting)
async def a_digest_leaves_out_other_days(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator())))
    await store.record(chunk_of(draft_of("mentor-2", URGENT, coordinator(), at=_NEXT_DAY), at=_NEXT_DAY))
    due = await claimed(store, at=_NEXT_DAY)

    counts = sorted((push.message.message_id, push.digest) for push in due if push.digest is not None)
    days = [f"digest:coordinator-1:{moment.date()}" for moment in (MORNING, _NEXT_DAY)]
    expected = [(days[0], {WARNING: 1}), (days[1], {URGENT: 1})]
    expect("each day's own", expected=expected, actual=[(name, dict(digest)) for name, digest in counts])


@rule_of(digesting)
async def a_digest_counts_no_notice_of_the_recipient_as_a_mentor(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("coordinator-1", URGENT, pushed=False)))
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))

    expect("the mentors'", expected={WARNING: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_counts_as_it_is_claimed(store: NotificationRepository) -> None:
    # The text is made when it is sent, so that it tells nothing that is over.
    drafts = [draft_of(f"mentor-{number}", WARNING, coordinator(), pushed=False) for number in (1, 2)]
    await store.record(chunk_of(*drafts))
    expect("both", expected={WARNING: 2}, actual=await _counts(store))
    await store.renew([end_of("mentor-1")], at=MORNING)
    expect("without the renewed one", expected={WARNING: 1}, actual=await _counts(store))
    await store.acknowledge(acknowledgement(notice_of("mentor-2", to=coordinator())))
    expect("with the acknowledged one", expected={WARNING: 1}, actual=await _counts(store))
    await store.record(chunk_of(draft_of("mentor-3", URGENT, coordinator(), pushed=False)))

    expect("with a new one", expected={WARNING: 1, URGENT: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_of_renewed_certificates_only_is_empty(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    await store.renew([end_of("mentor-1")], at=MORNING)

    expect("nothing left", expected={}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_that_was_sent_is_not_opened_again(store: NotificationRepository) -> None:
    # A recipient gets one a day; what came later stands in the inbox.
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    await store.complete_pushes([ended(await _digest(store))])
    await store.record(chunk_of(draft_of("mentor-2", WARNING, coordinator(), pushed=False)))

    expect("nothing is due", expected=[], actual=await claimed(store, at=_NEXT_DAY))
    await expect_counts("it was sent", store, sent=1)


@rule_of(digesting)
async def a_digest_that_had_nothing_left_is_opened_by_a_new_notice(store: NotificationRepository) -> None:
    # Nobody was told anything yet that day; decision 52.
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    await store.renew([end_of("mentor-1")], at=MORNING)
    old = await _digest(store)
    await store.complete_pushes([ended(old, PushState.CANCELLED, code=NOTHING_LEFT)])
    await store.record(chunk_of(draft_of("mentor-2", URGENT, coordinator(), pushed=False)))

    await expect_counts("it waits again", store, queued=1)
    again = await _digest(store)
    expect("as if it were new", expected=({URGENT: 1}, 1), actual=(dict(again.digest or {}), again.attempts))
    expect("the old lease is over", expected=0, actual=await store.complete_pushes([ended(old)]))


@rule_of(digesting)
async def a_digest_is_not_emptied_while_a_notice_comes(store: NotificationRepository) -> None:
    # The dispatcher saw it empty, and the notice came before its answer.
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    await store.renew([end_of("mentor-1")], at=MORNING)
    empty = await _digest(store)
    await store.record(chunk_of(draft_of("mentor-2", URGENT, coordinator(), pushed=False)))
    await store.complete_pushes([ended(empty, PushState.CANCELLED, code=NOTHING_LEFT)])

    await expect_counts("it waits", store, queued=1)
    expect("and tells", expected={URGENT: 1}, actual=await _counts(store))


@rule_of(digesting)
async def a_digest_that_was_cancelled_otherwise_stays_so(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator(), pushed=False)))
    await store.complete_pushes([ended(await _digest(store), PushState.CANCELLED, code="opted_out")])
    await store.record(chunk_of(draft_of("mentor-2", WARNING, coordinator(), pushed=False)))

    expect("nothing is due", expected=[], actual=await claimed(store, at=_NEXT_DAY))


@rule_of(digesting)
async def what_the_guard_defers_opens_no_digest(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of(tier=URGENT, pushed=False)))
    held = draft_of("mentor-1", WARNING, coordinator(), pushed=False)
    await store.record(chunk_of(held))
    await expect_counts("none", store)
    await store.record(chunk_of(held, at=MORNING + GUARD))

    await expect_counts("one when it passes", store, queued=1)

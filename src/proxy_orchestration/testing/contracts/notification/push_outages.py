"""
What a push outbox promises about messages whose dispatchers, providers or devices failed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.ports import DeviceAnswerCounts, NotificationRepository
from proxy_orchestration.notification.records import DeadPush, DeviceAnswers, LeasedPush
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    MINUTE,
    MORNING,
    OVER,
    TYPE,
    WARNING,
    chunk_of,
    claimed,
    coordinator,
    draft_of,
    ended,
    push_of,
    retried,
    run_with,
    the_push,
)

outlasting: list[Check[NotificationRepository]] = []
counting: list[Check[DeviceAnswerCounts]] = []

_DEVICES: Final = ("f1", "f2")


@rule_of(outlasting)
async def a_lease_that_ends_without_a_word_is_counted(store: NotificationRepository) -> None:
    await run_with(store, chunk_of(draft_of()))
    lost = [(await the_push(store, hold=OVER)).lost for _ in range(3)]
    expect("each one", expected=[0, 1, 2], actual=lost)
    last = await the_push(store, hold=OVER)
    await store.complete_pushes([retried(last, MORNING)])

    again = await the_push(store)
    expect("an answer ends the row", expected=(0, "retry"), actual=(again.lost, again.code))
    expect("and counts as an attempt", expected=5, actual=again.attempts)


@rule_of(outlasting)
async def a_message_that_was_not_tried_keeps_its_lost_leases(store: NotificationRepository) -> None:
    await run_with(store, chunk_of(draft_of()))
    await the_push(store, hold=OVER)
    suspect = await the_push(store)
    back = attrs.evolve(ended(suspect, PushState.QUEUED), counted=False, untried=True)
    expect("held", expected=1, actual=await store.complete_pushes([back]))

    again = await the_push(store)
    expect("as it was", expected=(1, 2), actual=(again.lost, again.attempts))
    await store.complete_pushes([ended(again, PushState.DEAD)])
    await store.replay_dead(None, now=MORNING)
    replayed = await the_push(store)
    expect("a replay begins afresh", expected=(0, 1), actual=(replayed.lost, replayed.attempts))


@rule_of(outlasting)
async def devices_that_are_owed_stay_owed(store: NotificationRepository) -> None:
    # Also over quiet hours, which say nothing about devices, and over a kill.
    await run_with(store, chunk_of(draft_of()))
    first = await the_push(store)
    expect("all at first", expected=None, actual=first.message.owed)
    await store.complete_pushes([attrs.evolve(retried(first, MORNING), owed=_DEVICES)])
    second = await the_push(store, hold=OVER)
    expect("those", expected=_DEVICES, actual=second.message.owed)
    third = await the_push(store)
    await store.complete_pushes([retried(third, MORNING)])

    fourth = await the_push(store)
    expect("still", expected=_DEVICES, actual=fourth.message.owed)
    expect("the same otherwise", expected=first.message, actual=attrs.evolve(fourth.message, owed=None))


@rule_of(outlasting)
async def a_lease_says_what_its_message_is_about(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1", WARNING, coordinator())))
    pushes = await claimed(store, at=MORNING + timedelta(days=1))

    about = {(push.digest is None, push.mentor_id, push.certificate_type) for push in pushes}
    expect("a digest of none", expected={(True, "mentor-1", TYPE), (False, None, None)}, actual=about)


async def _dead(store: NotificationRepository, *numbers: int) -> list[LeasedPush]:
    """
    Let a message die in each of these minutes.
    """
    found = []
    for number in numbers:
        at = MORNING + number * MINUTE
        await run_with(store, chunk_of(draft_of(f"mentor-{number}", at=at), at=at, run_id=f"run-{number}"))
        push = await the_push(store, at=at)
        await store.complete_pushes([ended(push, PushState.DEAD, code=f"why-{number}")])
        found.append(push)
    return found


@rule_of(outlasting)
async def dead_messages_are_listed_with_reason_mentor_and_type(store: NotificationRepository) -> None:
    (push,) = await _dead(store, 1)
    notice = draft_of("mentor-1", at=MORNING + MINUTE).notice
    expected = DeadPush(
        message_id=push.message.message_id,
        recipient_id="mentor-1",
        mentor_id="mentor-1",
        certificate_type=TYPE,
        tier=notice.tier,
        code="why-1",
        attempts=1,
        claimed_at=MORNING + MINUTE,
        expires_at=push_of(notice).expires_at,
        organization_id="org-1",
    )
    found = await store.dead_pushes(organization_id=None, after=None, limit=9)
    expect("it", expected=[expected], actual=list(found))

    await store.replay_dead(None, now=MORNING)
    left = await store.dead_pushes(organization_id=None, after=None, limit=9)
    expect("none once it is replayed", expected=[], actual=list(left))


@rule_of(outlasting)
async def dead_messages_come_page_by_page_the_longest_dead_first(store: NotificationRepository) -> None:
    await _dead(store, 1, 2, 3)
    pages: list[list[str]] = []
    after = None
    for _ in range(3):
        page = await store.dead_pushes(organization_id=None, after=after, limit=2)
        pages.append([push.recipient_id for push in page])
        if page:
            after = page[-1].claimed_at, page[-1].message_id

    expect("each once", expected=[["mentor-1", "mentor-2"], ["mentor-3"], []], actual=pages)


@rule_of(outlasting)
async def dead_messages_are_their_organization_s(store: NotificationRepository) -> None:
    draft = draft_of("mentor-1", WARNING, coordinator())
    bare = draft_of("mentor-2")
    of_nobody = attrs.evolve(bare, notice=attrs.evolve(bare.notice, organization_id=None))
    await store.record(chunk_of(draft, of_nobody))
    pushes = await claimed(store, at=MORNING + timedelta(days=1))
    await store.complete_pushes([ended(push, PushState.DEAD, code="why") for push in pushes])

    async def whose(organization_id: str | None) -> list[tuple[str, str | None]]:
        found = await store.dead_pushes(organization_id=organization_id, after=None, limit=9)
        return sorted((push.recipient_id, push.organization_id) for push in found)

    nobody, own = ("mentor-2", None), [("coordinator-1", "org-1"), ("mentor-1", "org-1")]
    expect("a digest too", expected=[*own, nobody], actual=await whose("org-1"))
    expect("not another's", expected=[nobody], actual=await whose("org-2"))
    expect("the host sees all", expected=[*own, nobody], actual=await whose(None))
    for text in UNKEEPABLE:
        expect("nobody's", expected=[nobody], actual=await whose(text))


@rule_of(counting)
async def answers_add_up_over_all_who_count(counts: DeviceAnswerCounts) -> None:
    await at_once(
        *[lambda: counts.count_device_answers("fcm", answered=19, gone=19, window=1000) for _ in range(5)]
    )
    sums = await counts.count_device_answers("fcm", answered=5, gone=0, window=1000)
    expect("all of them", expected=DeviceAnswers(answered=100, gone=95), actual=sums)

    other = await counts.count_device_answers("other", answered=1, gone=0, window=1000)
    expect("a channel of its own", expected=DeviceAnswers(answered=1), actual=other)


@rule_of(counting)
async def older_answers_weigh_less(counts: DeviceAnswerCounts) -> None:
    first = await counts.count_device_answers("fcm", answered=9, gone=9, window=10)
    second = await counts.count_device_answers("fcm", answered=2, gone=0, window=10)
    expect("up to the window", expected=DeviceAnswers(answered=9, gone=9), actual=first)
    expect("halved beyond it", expected=DeviceAnswers(answered=5, gone=4), actual=second)

    many = await counts.count_device_answers("new", answered=21, gone=7, window=10)
    expect("from the first call on", expected=DeviceAnswers(answered=10, gone=3), actual=many)

"""
What a push outbox promises.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.testing.contracts.checks import (
    Check,
    at_once,
    expect,
    expect_seconds,
    rule_of,
)
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    HOLD,
    INSTANT,
    LONG,
    MINUTE,
    MORNING,
    OVER,
    acknowledgement,
    chunk_of,
    claimed,
    draft_of,
    end_of,
    ended,
    expect_counts,
    retried,
    run_that_ended,
    run_with,
    the_push,
)

sending: list[Check[NotificationRepository]] = []


async def _queue(store: NotificationRepository, *numbers: int) -> None:
    for number in numbers:
        at = MORNING + number * MINUTE
        run_id = f"run-{number}"
        await store.record(chunk_of(draft_of(f"mentor-{number}", at=at), at=at, run_id=run_id))
        await store.log_run(run_that_ended(run_id, at=at))


async def _whose(store: NotificationRepository, *, minutes: int, limit: int = 9) -> list[str]:
    found = await claimed(store, at=MORNING + minutes * MINUTE, limit=limit)
    return [push.message.recipient_id for push in found]


@rule_of(sending)
async def an_empty_outbox_is_due_never(store: NotificationRepository) -> None:
    expect("no message", expected=[], actual=await claimed(store))
    expect("no wait", expected=None, actual=await store.push_wait(now=MORNING))
    await expect_counts("no counts", store)
    expect("none to replay", expected=0, actual=await store.replay_dead(None, now=MORNING))


@rule_of(sending)
async def a_message_is_due_from_its_moment_on(store: NotificationRepository) -> None:
    await _queue(store, 1)
    due = MORNING + MINUTE
    expect("too early", expected=[], actual=await claimed(store, at=due - INSTANT))
    expect("until then", expected=60.0, actual=await store.push_wait(now=MORNING))
    expect("now", expected=0, actual=await store.push_wait(now=due))
    expect("since", expected=0, actual=await store.push_wait(now=due + MINUTE))

    expect("it is claimed", expected=1, actual=len(await claimed(store, at=due)))


@rule_of(sending)
async def a_claim_brings_the_notice_along_as_it_is_now(store: NotificationRepository) -> None:
    # So that the words are those of the day on which it is sent, and not of the day it was written.
    notice = attrs.evolve(draft_of().notice, expires=ENDS.date(), holder_name="Kari Nordmann", locale="nb-NO")
    await run_with(store, chunk_of(attrs.evolve(draft_of(), notice=notice)))
    await store.acknowledge(acknowledgement(notice))
    push = await the_push(store)
    found = await store.notification(notice.notification_id)

    expect("the notice of the inbox", expected=found, actual=push.notice)
    kept = None if found is None else (found.expires, found.holder_name, found.locale, found.status.value)
    whole = (ENDS.date(), "Kari Nordmann", "nb-NO", "acknowledged")
    expect("with what its words are made of", expected=whole, actual=kept)


@rule_of(sending)
async def a_claim_brings_no_notice_that_was_purged(store: NotificationRepository) -> None:
    # It has no words any more; those of the message are sent.
    await run_with(store, chunk_of(draft_of()))
    await store.complete_pushes([ended(await the_push(store), PushState.DEAD, code="payload_invalid")])
    await store.acknowledge(acknowledgement(draft_of().notice))
    expect("purged", expected=1, actual=await store.purge_notices(created_before=MORNING + MINUTE))
    await store.replay_dead(None, now=MORNING)

    push = await the_push(store)
    expect("the message alone", expected=(draft_of().push, None), actual=(push.message, push.notice))


@rule_of(sending)
async def a_message_is_due_when_its_run_ends(store: NotificationRepository) -> None:
    # What a later chunk of the run supersedes must not be sent before.
    await store.record(chunk_of(draft_of("mentor-1")))
    await store.log_run(run_that_ended("run-2", at=MORNING + MINUTE))
    expect("not by another's end", expected=[], actual=await _whose(store, minutes=9))
    await store.log_run(run_that_ended("run-1", at=MORNING + 9 * MINUTE))
    expect("not before", expected=[], actual=await _whose(store, minutes=8))

    expect("then", expected=["mentor-1"], actual=await _whose(store, minutes=9))


@rule_of(sending)
async def a_killed_run_s_message_is_due_after_an_hour(store: NotificationRepository) -> None:
    await store.record(chunk_of(draft_of("mentor-1")))
    expect("not before", expected=[], actual=await claimed(store, at=MORNING + HOLD - INSTANT))

    expect(
        "then", expected="mentor-1", actual=(await the_push(store, at=MORNING + HOLD)).message.recipient_id
    )


@rule_of(sending)
async def a_message_of_a_run_for_a_later_day_waits_for_that_day(store: NotificationRepository) -> None:
    day = MORNING + timedelta(days=1)
    await store.record(attrs.evolve(chunk_of(draft_of("mentor-1")), as_of=day))
    await store.log_run(run_that_ended(at=MORNING))
    expect("not before", expected=[], actual=await claimed(store, at=day - INSTANT))

    expect("then", expected="mentor-1", actual=(await the_push(store, at=day)).message.recipient_id)


@rule_of(sending)
async def those_due_first_come_first(store: NotificationRepository) -> None:
    await _queue(store, 3, 1, 4, 2)

    expect("two", expected=["mentor-1", "mentor-2"], actual=await _whose(store, minutes=9, limit=2))
    expect("the due one", expected=["mentor-3"], actual=await _whose(store, minutes=3))
    expect("the rest", expected=["mentor-4"], actual=await _whose(store, minutes=9))


@rule_of(sending)
async def of_claims_at_once_one_gets_a_message(store: NotificationRepository) -> None:
    await _queue(store, 1, 2, 3)
    answers = await at_once(*[lambda: _whose(store, minutes=9, limit=2)] * 3)

    names = sorted(name for answer in answers for name in answer)
    expect("each once", expected=["mentor-1", "mentor-2", "mentor-3"], actual=names)


@rule_of(sending)
async def a_leased_message_is_nobody_else_s(store: NotificationRepository) -> None:
    await _queue(store, 0)
    push = await the_push(store, hold=60)

    expect("the first attempt", expected=1, actual=push.attempts)
    expect("held", expected=[], actual=await claimed(store, at=MORNING + timedelta(days=9)))
    expect_seconds("until the lease ends", at_most=60, actual=await store.push_wait(now=MORNING))
    await expect_counts("leased", store, leased=1)


@rule_of(sending)
async def a_lease_that_is_over_is_leased_anew(store: NotificationRepository) -> None:
    # Its dispatcher may have been killed, before or after sending: at least once, under one id.
    await _queue(store, 0)
    first = await the_push(store, hold=OVER)
    expect("due at once", expected=0, actual=await store.push_wait(now=MORNING))
    second = await the_push(store)

    expect("attempts count at the claim", expected=(1, 2), actual=(first.attempts, second.attempts))
    expect("another token", expected=True, actual=first.token != second.token)
    expect("the same message", expected=first.message, actual=second.message)


@rule_of(sending)
async def an_old_token_changes_nothing(store: NotificationRepository) -> None:
    # A dispatcher that slept beyond its lease must not end the attempt of another.
    await _queue(store, 0)
    old = await the_push(store, hold=OVER)
    new = await the_push(store)
    for completion in (ended(old), ended(old, PushState.DEAD), retried(old, MORNING, counted=False)):
        expect("not held", expected=0, actual=await store.complete_pushes([completion]))

    await expect_counts("leased still", store, leased=1)
    expect("the holder's counts", expected=1, actual=await store.complete_pushes([ended(new)]))
    await expect_counts("sent", store, sent=1)


@rule_of(sending)
async def a_lease_that_is_over_still_completes_unless_taken(store: NotificationRepository) -> None:
    # It was sent; forgetting that would send it again.
    await _queue(store, 0)
    push = await the_push(store, hold=OVER)

    expect("held", expected=1, actual=await store.complete_pushes([ended(push)]))
    expect("not again", expected=[], actual=await claimed(store))


@rule_of(sending)
async def every_ending_is_final(store: NotificationRepository) -> None:
    await _queue(store, 1, 2, 3, 4)
    endings = PushState.SENT, PushState.DEAD, PushState.CANCELLED, PushState.EXPIRED
    pushes = await claimed(store, at=MORNING + 9 * MINUTE, hold=OVER)
    completions = [ended(push, state, code="why") for push, state in zip(pushes, endings, strict=True)]
    expect("all held", expected=4, actual=await store.complete_pushes(completions))

    await expect_counts("one each", store, sent=1, dead=1, cancelled=1, expired=1)
    expect("none is due", expected=[], actual=await claimed(store, at=MORNING + timedelta(days=9)))
    expect("none waits", expected=None, actual=await store.push_wait(now=MORNING))


@rule_of(sending)
async def a_completion_counts_once(store: NotificationRepository) -> None:
    await _queue(store, 0)
    push = await the_push(store)
    await store.complete_pushes([ended(push)])
    expect("held no more", expected=0, actual=await store.complete_pushes([retried(push, MORNING)]))

    await expect_counts("sent still", store, sent=1)
    expect("none given", expected=0, actual=await store.complete_pushes([]))


@rule_of(sending)
async def completions_of_several_answer_how_many_held(store: NotificationRepository) -> None:
    await _queue(store, 1, 2)
    at = MORNING + 9 * MINUTE
    (old,) = await claimed(store, at=at, limit=1, hold=OVER)
    pushes = await claimed(store, at=at)
    others = [push for push in pushes if push.message != old.message]
    answer = await store.complete_pushes([ended(old), *map(ended, others)])

    expect("one of two", expected=(2, 1), actual=(len(pushes), answer))
    await expect_counts("the other is leased", store, sent=1, leased=1)


@rule_of(sending)
async def of_two_endings_of_one_lease_the_first_counts(store: NotificationRepository) -> None:
    await _queue(store, 0)
    push = await the_push(store)
    answer = await store.complete_pushes([ended(push), ended(push, PushState.DEAD), ended(push)])

    expect("one lease", expected=1, actual=answer)
    await expect_counts("sent", store, sent=1)


@rule_of(sending)
async def each_of_several_ends_as_its_own_completion_says(store: NotificationRepository) -> None:
    # They may be one statement; one whose lease was lost costs the others nothing.
    await _queue(store, *range(6))
    at, later = MORNING + 9 * MINUTE, MORNING + 20 * MINUTE
    lost, sent, dead, soon, late, untried = await claimed(store, at=at, hold=OVER)
    (taken,) = await claimed(store, at=at, limit=1, hold=LONG)
    expect("taken over", expected=lost.message, actual=taken.message)
    put_back = attrs.evolve(retried(late, later, counted=False), owed=("æ", 'say "no"'))
    completions = [
        put_back,
        ended(sent),
        ended(lost),
        attrs.evolve(retried(untried, at + MINUTE), untried=True, code=""),
        ended(dead, PushState.DEAD, code="gone"),
        retried(soon, at),
    ]
    expect("all but one", expected=5, actual=await store.complete_pushes(completions))

    await expect_counts("each its own", store, leased=1, sent=1, dead=1, queued=3)
    first, second = await claimed(store, at=at + MINUTE)
    (third,) = await claimed(store, at=later)
    expect("due first", expected=[soon.message, untried.message], actual=[first.message, second.message])
    expect(
        "due later, and owed", expected=attrs.evolve(late.message, owed=put_back.owed), actual=third.message
    )
    expect("attempts", expected=[2, 2, 1], actual=[one.attempts for one in (first, second, third)])
    expect("codes", expected=["retry", "", "retry"], actual=[one.code for one in (first, second, third)])


@rule_of(sending)
async def a_retry_is_due_at_its_moment(store: NotificationRepository) -> None:
    await _queue(store, 0)
    push = await the_push(store)
    due = MORNING + 5 * MINUTE
    expect("held", expected=1, actual=await store.complete_pushes([retried(push, due)]))

    await expect_counts("queued", store, queued=1)
    expect("until then", expected=300.0, actual=await store.push_wait(now=MORNING))
    expect("too early", expected=[], actual=await claimed(store, at=due - INSTANT))
    again = await the_push(store, at=due)
    expect("the second attempt", expected=2, actual=again.attempts)
    expect("under a new token", expected=True, actual=push.token != again.token)


@rule_of(sending)
async def an_attempt_that_does_not_count_is_given_back(store: NotificationRepository) -> None:
    # Quiet hours and a provider that is down are not the message's fault.
    await _queue(store, 0)
    for _ in range(3):
        push = await the_push(store)
        expect("the first still", expected=1, actual=push.attempts)
        await store.complete_pushes([retried(push, MORNING, counted=False)])


@rule_of(sending)
async def a_dead_message_keeps_no_other_waiting(store: NotificationRepository) -> None:
    await _queue(store, 0, 1)
    await store.complete_pushes([ended(await the_push(store), PushState.DEAD, code="gone")])

    expect("the next", expected=["mentor-1"], actual=await _whose(store, minutes=1, limit=1))


@rule_of(sending)
async def a_dead_message_is_replayed_with_no_attempt_counted(store: NotificationRepository) -> None:
    await _queue(store, 0)
    push = await the_push(store)
    await store.complete_pushes([ended(push, PushState.DEAD)])
    now = MORNING + 9 * MINUTE
    expect("one", expected=1, actual=await store.replay_dead(None, now=now))

    await expect_counts("queued", store, queued=1)
    expect("due then", expected=[], actual=await claimed(store, at=now - INSTANT))
    again = await the_push(store, at=now)
    expect("the first attempt", expected=(push.message, 1), actual=(again.message, again.attempts))
    expect("the old token is over", expected=0, actual=await store.complete_pushes([ended(push)]))


@rule_of(sending)
async def only_dead_messages_that_are_named_are_replayed(store: NotificationRepository) -> None:
    await _queue(store, 1, 2, 3, 4)
    pushes = await claimed(store, at=MORNING + 9 * MINUTE, limit=3)
    dead, sent = pushes[:2], pushes[2]
    await store.complete_pushes([ended(sent), *(ended(push, PushState.DEAD) for push in dead)])
    names = [dead[1].message.message_id, sent.message.message_id, "no-such-message"]
    expect("one", expected=1, actual=await store.replay_dead(names, now=MORNING))
    expect("nobody", expected=0, actual=await store.replay_dead([], now=MORNING))

    await expect_counts("the others stay", store, queued=2, dead=1, sent=1)
    expect("all that are left", expected=1, actual=await store.replay_dead(None, now=MORNING))


@rule_of(sending)
async def a_cancelled_message_is_not_claimed(store: NotificationRepository) -> None:
    await _queue(store, 0, 1)
    await store.renew([end_of("mentor-0")], at=MORNING)

    expect("the other", expected=["mentor-1"], actual=await _whose(store, minutes=9))
    await expect_counts("cancelled", store, cancelled=1, leased=1)


@rule_of(sending)
async def a_dead_message_of_an_end_that_is_over_is_not_replayed(store: NotificationRepository) -> None:
    # A replay days later would tell about an end that is over; decision 52.
    await _queue(store, 0, 1, 2)
    pushes = await claimed(store, at=MORNING + 9 * MINUTE)
    await store.complete_pushes([ended(push, PushState.DEAD) for push in pushes])
    cancelled = (await store.renew([end_of("mentor-0"), end_of("mentor-1", None)], at=MORNING)).cancelled

    expect("both", expected=2, actual=cancelled)
    expect("the other", expected=1, actual=await store.replay_dead(None, now=MORNING))
    await expect_counts("two are cancelled", store, cancelled=2, queued=1)


@rule_of(sending)
async def what_was_sent_while_it_was_cancelled_is_sent(store: NotificationRepository) -> None:
    # The provider took it, and the outbox says what happened.
    await _queue(store, 0)
    push = await the_push(store)
    await store.renew([end_of("mentor-0")], at=MORNING)
    expect("it was held", expected=1, actual=await store.complete_pushes([ended(push)]))

    await expect_counts("sent", store, sent=1)


@rule_of(sending)
async def what_was_cancelled_meanwhile_is_not_sent_again(store: NotificationRepository) -> None:
    await _queue(store, 0, 1)
    pushes = await claimed(store, at=MORNING + 9 * MINUTE)
    await store.renew([end_of("mentor-0"), end_of("mentor-1", None)], at=MORNING)
    await store.complete_pushes(
        [retried(push, MORNING, counted=bool(place)) for place, push in enumerate(pushes)]
    )

    await expect_counts("cancelled", store, cancelled=2)
    expect("never due", expected=[], actual=await claimed(store, at=MORNING + timedelta(days=9)))
    expect("no wait", expected=None, actual=await store.push_wait(now=MORNING))


@rule_of(sending)
async def a_lease_of_a_cancelled_message_is_not_taken_over(store: NotificationRepository) -> None:
    await _queue(store, 0)
    await the_push(store, hold=OVER)
    await store.renew([end_of("mentor-0")], at=MORNING)

    expect("nobody gets it", expected=[], actual=await claimed(store, at=MORNING + MINUTE))


@rule_of(sending)
async def what_was_sent_is_not_cancelled_later(store: NotificationRepository) -> None:
    await _queue(store, 0)
    await store.complete_pushes([ended(await the_push(store))])
    expect("none", expected=0, actual=(await store.renew([end_of("mentor-0", None)], at=MORNING)).cancelled)

    await expect_counts("sent", store, sent=1)


@rule_of(sending)
async def the_wait_is_for_what_is_due_first(store: NotificationRepository) -> None:
    await _queue(store, 0, 2, 5)
    await the_push(store, hold=600)
    expect("the queued one", expected=120.0, actual=await store.push_wait(now=MORNING))
    await store.complete_pushes([ended(push) for push in await claimed(store, at=MORNING + 2 * MINUTE)])

    expect("the next", expected=180.0, actual=await store.push_wait(now=MORNING + 2 * MINUTE))

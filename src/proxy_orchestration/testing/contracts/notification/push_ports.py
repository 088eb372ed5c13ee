"""
What the ports around a dispatcher promise: the sender, devices, recipients and opt-outs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushTarget
from proxy_orchestration.notification.ports import (
    PushEligibility,
    PushSender,
    PushTargetDirectory,
    RecipientDirectory,
)
from proxy_orchestration.notification.records import Eligibility, MentorRecipients
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing.contracts.checks import Check, at_once, broken, expect, rule_of
from proxy_orchestration.testing.contracts.host_samples import samples

delivering: list[Check[PushSender]] = []
resolving: list[Check[RecipientDirectory]] = []
reaching: list[Check[PushTargetDirectory]] = []
asking: list[Check[PushEligibility]] = []

_NOBODY: Final = "nobody-whom-any-directory-knows"


def _messages() -> list[PushMessage]:
    """
    Return a message for each of the sample's people.
    """
    expires_at = SystemClock().now() + timedelta(days=1)
    return [
        PushMessage(
            message_id=f"message-of-{who}",
            notification_id=f"notice-of-{who}",
            recipient_id=who,
            tier=NotificationThresholdTier.URGENT_7,
            title="A certificate ends soon",
            body="Renew it.",
            data={"v": "1"},
            collapse_key=f"notice-of-{who}",
            expires_at=expires_at,
        )
        for who in samples().mentor_ids
    ]


async def _answered(sender: PushSender, messages: list[PushMessage]) -> list[str]:
    outcomes = list(await sender.send(messages))
    expect("outcomes", expected={PushOutcome}, actual={type(each) for each in outcomes} or {PushOutcome})
    return sorted(outcome.message_id for outcome in outcomes)


@rule_of(delivering)
async def each_message_has_one_answer(sender: PushSender) -> None:
    messages = _messages()
    asked = sorted(message.message_id for message in messages)

    expect("one outcome for each", expected=asked, actual=await _answered(sender, messages))


@rule_of(delivering)
async def nothing_to_send_is_nothing_to_answer(sender: PushSender) -> None:
    expect("no outcome", expected=[], actual=await _answered(sender, []))


@rule_of(delivering)
async def a_message_that_comes_again_is_answered_again(sender: PushSender) -> None:
    # A dispatcher that was killed is followed by one that sends under the same ids.
    messages = _messages()
    first = await _answered(sender, messages)

    expect("the same messages", expected=first, actual=await _answered(sender, messages[::-1]))


@rule_of(delivering)
async def several_tasks_send_at_once(sender: PushSender) -> None:
    sent = await at_once(*[lambda message=message: _answered(sender, [message]) for message in _messages()])
    asked = sorted(message.message_id for message in _messages())

    expect("each its own answer", expected=asked, actual=sorted(each for (each,) in sent))


@rule_of(resolving)
async def only_mentors_asked_about_are_answered(directory: RecipientDirectory) -> None:
    asked = samples().mentor_ids
    for some in (asked, asked[:1], asked[::-1]):
        found = await directory.resolve(some)
        expect("nobody else", expected=set(), actual=set(found) - set(some))


@rule_of(resolving)
async def recipients_are_told_as_recipients(directory: RecipientDirectory) -> None:
    found = await directory.resolve(samples().mentor_ids)
    for recipients in found.values():
        if not isinstance(recipients, MentorRecipients):
            broken(f"MentorRecipients are asked for, got {type(recipients).__name__}")
        told = [*recipients.chapter_admin_ids, recipients.coordinator_id or "-"]
        expect("ids", expected={str}, actual={type(each) for each in told})


@rule_of(resolving)
async def a_mentor_whom_nobody_knows_is_no_error(directory: RecipientDirectory) -> None:
    found = await directory.resolve([_NOBODY])
    nobody = found.get(_NOBODY, MentorRecipients())

    expect("no coordinator", expected=None, actual=nobody.coordinator_id)
    expect("nobody of nobody", expected=0, actual=len(await directory.resolve([])))


@rule_of(resolving)
async def many_mentors_are_answered_as_each_alone(directory: RecipientDirectory) -> None:
    asked = samples().mentor_ids
    alone = await at_once(*[lambda each=each: directory.resolve([each]) for each in asked])
    together = dict(await directory.resolve(asked))

    expect("the same", expected=together, actual={who: told for one in alone for who, told in one.items()})


async def _device(directory: PushTargetDirectory) -> PushTarget:
    first = samples().mentor_ids[0]
    devices = (await directory.targets_of([first])).get(first, ())
    return devices[0] if devices else broken("the first mentor of the samples has a device")


@rule_of(reaching)
async def only_devices_of_those_asked_about_are_told(directory: PushTargetDirectory) -> None:
    asked = samples().mentor_ids
    for some in (asked, asked[:1]):
        found = await directory.targets_of(some)
        expect("nobody else", expected=set(), actual=set(found) - set(some))
        kinds = {type(device) for devices in found.values() for device in devices}
        expect("devices", expected=set(), actual=kinds - {PushTarget})
    expect("none of nobody", expected=0, actual=len(await directory.targets_of([])))
    unknown = await directory.targets_of([_NOBODY])
    expect("none of who has none", expected=[], actual=list(unknown.get(_NOBODY, ())))


@rule_of(reaching)
async def a_pruned_device_is_forgotten_and_no_other(directory: PushTargetDirectory) -> None:
    asked = samples().mentor_ids
    device, before = await _device(directory), await directory.targets_of(asked)
    await directory.prune(asked[0], device)
    await directory.prune(asked[0], device)  # another dispatcher had the same answer
    left = {who: list(devices) for who, devices in (await directory.targets_of(asked)).items() if devices}

    expected = {who: [each for each in devices if each != device] for who, devices in before.items()}
    expect("all but that one", expected={who: rest for who, rest in expected.items() if rest}, actual=left)


@rule_of(reaching)
async def a_device_that_told_its_address_since_stays(directory: PushTargetDirectory) -> None:
    device = await _device(directory)
    if device.updated_at is None:
        return
    earlier = attrs.evolve(device, updated_at=device.updated_at - timedelta(days=1))
    await directory.prune(samples().mentor_ids[0], earlier)

    expect("its newer word", expected=device, actual=await _device(directory))


@rule_of(asking)
async def only_recipients_asked_about_have_a_wish(eligibility: PushEligibility) -> None:
    asked = samples().mentor_ids
    found = await eligibility.check(asked)

    expect("nobody else", expected=set(), actual=set(found) - set(asked))
    expect("wishes", expected=set(), actual={type(wish) for wish in found.values()} - {Eligibility})
    expect("none of nobody", expected=0, actual=len(await eligibility.check([])))


@rule_of(asking)
async def a_recipient_whom_nobody_knows_is_no_error(eligibility: PushEligibility) -> None:
    wish = (await eligibility.check([_NOBODY])).get(_NOBODY, Eligibility())

    expect("pushes as usual", expected=False, actual=wish.opted_out)


@rule_of(asking)
async def many_recipients_are_answered_as_each_alone(eligibility: PushEligibility) -> None:
    asked = samples().mentor_ids
    alone = await at_once(*[lambda each=each: eligibility.check([each]) for each in asked])

    expect(
        "the same",
        expected=dict(await eligibility.check(asked)),
        actual={who: wish for one in alone for who, wish in one.items()},
    )

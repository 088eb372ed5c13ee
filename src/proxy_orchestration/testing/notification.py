"""
Scripted doubles of the parts that notification depends on: a push sender, directories and opt-outs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushTarget
from proxy_orchestration.notification.records import Eligibility, MentorRecipients
from proxy_orchestration.testing.scripted_replies import Reply, succeed

PushScript: TypeAlias = Callable[[PushMessage, int], PushOutcome | None]
"""
A function that returns the outcome of a message, or `None` for no answer.

It gets the message, and the number of the attempt, from 1.
"""


def _delivered(message: PushMessage, _attempt: int) -> PushOutcome:
    return PushOutcome.delivered(message)


def _devices(targets: Mapping[str, Sequence[PushTarget]]) -> dict[str, list[PushTarget]]:
    return {recipient_id: list(devices) for recipient_id, devices in targets.items()}


@attrs.define(eq=False)
class ScriptedPushSender:
    """
    A `PushSender` that a plain function decides.

    Attributes:
        script: returns the outcome of each message; by default all are delivered.
        reply: what happens before a call answers: waits, an error or a hang.
        clock: times the waits.
        sent: every message given to `send`, in order.
    """

    script: PushScript = _delivered
    reply: Reply = attrs.field(factory=succeed)
    clock: Clock = attrs.field(factory=SystemClock)
    sent: list[PushMessage] = attrs.field(init=False, factory=list)
    _attempts: dict[str, int] = attrs.field(init=False, repr=False, factory=dict)

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Do what the script says for each message.
        """
        await checkpoint()
        self.sent.extend(messages)
        await self.reply.wait(self.clock)
        await self.reply.finish()
        outcomes = []
        for message in messages:
            attempt = self._attempts[message.message_id] = self._attempts.get(message.message_id, 0) + 1
            outcome = self.script(message, attempt)
            if outcome is not None:
                outcomes.append(outcome)
        return outcomes


@attrs.define(eq=False)
class ScriptedRecipientDirectory:
    """
    A `RecipientDirectory` over a mapping.

    Attributes:
        recipients: the recipients for each mentor.
        reply: what happens before a question is answered.
        clock: times the waits.
        asked: the mentors of every question, in order.
    """

    recipients: Mapping[str, MentorRecipients] = attrs.field(factory=dict)
    reply: Reply = attrs.field(factory=succeed)
    clock: Clock = attrs.field(factory=SystemClock)
    asked: list[tuple[str, ...]] = attrs.field(init=False, factory=list)

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return the answers for the known mentors.
        """
        await checkpoint()
        self.asked.append(tuple(mentor_ids))
        await self.reply.wait(self.clock)
        await self.reply.finish()
        return {each: self.recipients[each] for each in mentor_ids if each in self.recipients}


@attrs.define(eq=False)
class ScriptedPushEligibility:
    """
    A `PushEligibility` over a mapping.

    Attributes:
        standings: the wishes of each recipient.
        reply: what happens before a question is answered.
        clock: times the waits.
    """

    standings: Mapping[str, Eligibility] = attrs.field(factory=dict)
    reply: Reply = attrs.field(factory=succeed)
    clock: Clock = attrs.field(factory=SystemClock)

    async def check(self, recipient_ids: Collection[str], /) -> Mapping[str, Eligibility]:
        """
        Return the answers for the known recipients.
        """
        await checkpoint()
        await self.reply.wait(self.clock)
        await self.reply.finish()
        return {each: self.standings[each] for each in recipient_ids if each in self.standings}


@attrs.define(eq=False)
class ScriptedPushTargetDirectory:
    """
    A `PushTargetDirectory` over a mapping, from which it removes pruned devices.

    Attributes:
        targets: the devices of each recipient; a copy, from which pruning removes.
        reply: what happens before a question is answered.
        clock: times the waits.
        pruned: the recipient and device of every pruning that removed one, in order.
    """

    targets: dict[str, list[PushTarget]] = attrs.field(factory=dict, converter=_devices)
    reply: Reply = attrs.field(factory=succeed)
    clock: Clock = attrs.field(factory=SystemClock)
    pruned: list[tuple[str, PushTarget]] = attrs.field(init=False, factory=list)

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return the answers for the known recipients.
        """
        await checkpoint()
        await self.reply.wait(self.clock)
        await self.reply.finish()
        return {each: tuple(self.targets[each]) for each in recipient_ids if each in self.targets}

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Remove the device, unless it has reported its address since then.
        """
        await checkpoint()
        devices = self.targets.get(recipient_id, [])
        if target in devices:
            devices.remove(target)
            self.pruned.append((recipient_id, target))

"""
A scripted audit logger that keeps the events it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.audit import AuditEvent, RegistrationAuditEvent
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.testing.scripted_replies import Reply, succeed

AuditScript: TypeAlias = Callable[[AuditEvent, int], Reply]
"""A function that decides one delivery. It gets the event, and the number of this delivery, from 1."""

RegistrationAuditScript: TypeAlias = Callable[[RegistrationAuditEvent, int], Reply]
"""
A function that decides one delivery about a single registration.

It gets the event, and the number of this delivery, from 1.
"""


def _always_take(_event: object, _attempt: int) -> Reply:
    return succeed()


@attrs.define(eq=False)
class RecordingAuditLogger:
    """
    A `ProxyAuditLogger` and `RegistrationAuditLogger` that keeps the events that it takes.

    Attributes:
        script: decides what happens at each delivery of a settled run; by default every event is
            taken.
        clock: times `slow` replies.
        registration_script: decides what happens at each delivery of a single registration, in the
            same way.
        deliveries: every delivered event of a settled run, repeated ones included, in order.
        events: the events that were taken, repeated ones included, without failed deliveries.
        registrations: the events of single registrations that were taken, repeated ones included,
            in order.
    """

    script: AuditScript = _always_take
    clock: Clock = attrs.field(factory=SystemClock)
    registration_script: RegistrationAuditScript = attrs.field(default=_always_take, kw_only=True)
    deliveries: list[AuditEvent] = attrs.field(init=False, factory=list)
    events: list[AuditEvent] = attrs.field(init=False, factory=list)
    registrations: list[RegistrationAuditEvent] = attrs.field(init=False, factory=list)
    _attempts: Counter[str] = attrs.field(init=False, repr=False, factory=Counter)

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        """
        Do what the script says for this delivery.
        """
        self.deliveries.append(event)
        reply = self.script(event, self._count(event.event_id))
        with anyio.CancelScope(shield=reply.stubborn):
            await checkpoint()
            await reply.wait(self.clock)
            if reply.writes:
                self.events.append(event)
            await reply.finish()

    async def log_proxy_registration(self, event: RegistrationAuditEvent, /) -> None:
        """
        Do what the script for single registrations says for this delivery.
        """
        reply = self.registration_script(event, self._count(event.event_id))
        with anyio.CancelScope(shield=reply.stubborn):
            await checkpoint()
            await reply.wait(self.clock)
            if reply.writes:
                self.registrations.append(event)
            await reply.finish()

    def _count(self, event_id: str) -> int:
        self._attempts[event_id] += 1
        return self._attempts[event_id]

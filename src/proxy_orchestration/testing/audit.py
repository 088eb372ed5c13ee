"""
An audit logger that remembers, and fails where a test wants it to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.testing.replies import Reply, succeed

AuditScript: TypeAlias = Callable[[AuditEvent, int], Reply]
"""Decides one delivery: the event, and which delivery of it this is, from 1."""


def _always_take(_event: AuditEvent, _attempt: int) -> Reply:
    return succeed()


@attrs.define(eq=False)
class RecordingAuditLogger:
    """
    A `ProxyAuditLogger` that keeps what it takes.

    Attributes:
        script: decides each delivery; by default every event is taken.
        clock: times `slow` replies.
        deliveries: every event handed over, repeats included, in order.
        events: those taken, repeats included; a delivery that failed is not.
    """

    script: AuditScript = _always_take
    clock: Clock = attrs.field(factory=SystemClock)
    deliveries: list[AuditEvent] = attrs.field(init=False, factory=list)
    events: list[AuditEvent] = attrs.field(init=False, factory=list)

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        """
        Do what the script says for this delivery.
        """
        self.deliveries.append(event)
        attempt = sum(delivered.event_id == event.event_id for delivered in self.deliveries)
        reply = self.script(event, attempt)
        with anyio.CancelScope(shield=reply.stubborn):
            await checkpoint()
            await reply.wait(self.clock)
            if reply.writes:
                self.events.append(event)
            await reply.finish()

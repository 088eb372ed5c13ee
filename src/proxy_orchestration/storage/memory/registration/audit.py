"""
The memory store's audit outbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._moments import remaining
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.registration.erasure import erased_event, names


@attrs.define(slots=False)
class _HeldEvent:
    event: AuditEvent
    held_until: float
    hold: float

    def remaining(self, now: float) -> float:
        """
        Return the seconds for which it is held.
        """
        return remaining(self.held_until, self.hold, now)


@attrs.define(eq=False, slots=False)
class MemoryAuditOutbox:
    """
    Events that no logger is known to have taken; a taken one is forgotten.

    Attributes:
        clock: holds end by its `monotonic`.
    """

    clock: Clock = attrs.field(factory=SystemClock)
    _outbox: dict[str, _HeldEvent] = attrs.field(init=False, repr=False, factory=dict)

    async def claim_audit_events(self, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        """
        Return free events, those that were free first, and hold them.
        """
        await checkpoint()
        now = self.clock.monotonic()
        free = [held for held in self._outbox.values() if not held.remaining(now)]
        claimed = sorted(free, key=lambda held: held.held_until)[:limit]
        for held in claimed:
            held.held_until, held.hold = now + hold, hold
        return [held.event for held in claimed]

    async def audit_wait(self) -> float | None:
        """
        Return the seconds until the next event is free, or `None` without any.
        """
        await checkpoint()
        now = self.clock.monotonic()
        return min((held.remaining(now) for held in self._outbox.values()), default=None)

    async def mark_audited(self, event_id: str, /) -> None:
        """
        Forget the event.
        """
        await checkpoint()
        self._outbox.pop(event_id, None)

    async def purge_audit_events(self, *, settled_before: datetime) -> int:  # noqa: ARG002 - a port's name
        """
        Delete nothing: a taken event is forgotten already.
        """
        await checkpoint()
        return 0

    def _events_naming(self, organization_id: str, mentor_id: str) -> list[AuditEvent]:
        events = (held.event for held in self._outbox.values())
        return [event for event in events if names(event, organization_id, mentor_id)]

    def _erase_events(self, organization_id: str, mentor_id: str) -> int:
        known = self._events_naming(organization_id, mentor_id)
        for event in known:
            self._outbox[event.event_id].event = erased_event(event, mentor_id)
        return len(known)

    def _hold(self, event: AuditEvent, seconds: float) -> None:
        self._outbox[event.event_id] = _HeldEvent(event, self.clock.monotonic() + seconds, seconds)

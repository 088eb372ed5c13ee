"""
The memory store's audit outbox.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.clock import Clock, SystemClock


@attrs.define(slots=False)
class _HeldEvent:
    event: AuditEvent
    held_until: float


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
        free = [held for held in self._outbox.values() if held.held_until <= now]
        claimed = sorted(free, key=lambda held: held.held_until)[:limit]
        for held in claimed:
            held.held_until = now + hold
        return [held.event for held in claimed]

    async def audit_wait(self) -> float | None:
        """
        Return the seconds until the next event is free, or `None` without any.
        """
        await checkpoint()
        if not self._outbox:
            return None
        soonest = min(held.held_until for held in self._outbox.values())
        return max(0.0, soonest - self.clock.monotonic())

    async def mark_audited(self, event_id: str, /) -> None:
        """
        Forget the event.
        """
        await checkpoint()
        self._outbox.pop(event_id, None)

    def _hold(self, event: AuditEvent, seconds: float) -> None:
        self._outbox[event.event_id] = _HeldEvent(event, self.clock.monotonic() + seconds)

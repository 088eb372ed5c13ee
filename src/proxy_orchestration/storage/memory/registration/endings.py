"""
The memory store's outbox of settled runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.registration.batches import BatchSummary


@attrs.define(slots=False)
class _HeldEnding:
    summary: BatchSummary
    held_until: float


@attrs.define(eq=False, slots=False)
class MemoryEndingsOutbox:
    """
    Settled runs that the host is not known to have been told of.

    Attributes:
        clock: holds end by its `monotonic`.
    """

    clock: Clock = attrs.field(factory=SystemClock)
    _endings: dict[tuple[str, int], _HeldEnding] = attrs.field(init=False, repr=False, factory=dict)

    async def claim_endings(self, *, limit: int, hold: float) -> Sequence[BatchSummary]:
        """
        Return free runs, those that were free first, and hold them.
        """
        await checkpoint()
        now = self.clock.monotonic()
        free = [held for held in self._endings.values() if held.held_until <= now]
        claimed = sorted(free, key=lambda held: held.held_until)[:limit]
        for held in claimed:
            held.held_until = now + hold
        return [held.summary for held in claimed]

    async def endings_wait(self) -> float | None:
        """
        Return the seconds until the next run is free, or `None` without any.
        """
        await checkpoint()
        if not self._endings:
            return None
        soonest = min(held.held_until for held in self._endings.values())
        return max(0.0, soonest - self.clock.monotonic())

    async def mark_told(self, batch_id: str, run: int, /) -> None:
        """
        Forget the run.
        """
        await checkpoint()
        self._endings.pop((batch_id, run), None)

    def _put_ending(self, summary: BatchSummary) -> None:
        self._endings[summary.batch_id, summary.run] = _HeldEnding(summary, self.clock.monotonic())

    def _untold(self) -> set[str]:
        return {batch_id for batch_id, _ in self._endings}

    def _relabel_endings(self, batch_id: str, label: str | None) -> None:
        for (of, _), held in self._endings.items():
            if of == batch_id:
                held.summary = attrs.evolve(held.summary, label=label)

    def _drop_endings(self, batch_id: str) -> None:
        for name in [name for name in self._endings if name[0] == batch_id]:
            del self._endings[name]

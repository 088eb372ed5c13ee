"""
A batch's current run in the memory store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from proxy_orchestration._moments import remaining
from proxy_orchestration.access import Actor
from proxy_orchestration.registration.conflicts import Override
from proxy_orchestration.registration.ledger import NewRun, RunPurpose
from proxy_orchestration.registration.runs import CancelMark, UnfinishedItem
from proxy_orchestration.registration.states import ItemState


@attrs.frozen(kw_only=True)
class StoredPause:
    """
    A pause of a run.

    Attributes:
        since: on the store's clock.
        paused_at, paused_by, code: as it was told.
    """

    since: float
    paused_at: datetime
    paused_by: str | None
    code: str | None


@attrs.define(eq=False, kw_only=True)
class StoredRun:
    """
    The current run of a batch.

    Attributes:
        number: from 1.
        actor: who opened it.
        base: the log's length when it was opened.
        size: items it settles, those with a verdict included.
        work: the positions of the others, in request order.
        overrides: the decisions to override that it carries out, by position.
        claimed: how many of `work` were claimed: the watermark.
        called: up to which of them calls may have been made.
        alone: the place of the one that is called and no other, or `None`.
        unfinished: what drivers told of items without an outcome, by place, and when each is due.
        due_at, waits: nothing is due before, on the store's clock, and how long that was.
        first_call_at: on the store's clock.
        fence: raised by every acquisition; 0 when nobody drove it.
        lease_until, lease_ttl: when the lease ends, on the store's clock, and how long it is.
        driven_for: seconds of driving, as the drivers told.
        cancel_mark, cancel_reason, cancel_wished_at: the first wish to cancel.
        settled_at, counts: how it ended.
        purpose: what it was opened for; `None` for the submission.
        retried_by, decided_by, cancelled_by: who did so last, up to this run.
        pause: since when it is paused, on both clocks, by whom and why; `None` if it is not.
    """

    number: int
    actor: Actor
    base: int
    size: int
    work: Sequence[int]
    overrides: Mapping[int, Override] = attrs.field(factory=dict)
    claimed: int = 0
    called: int = 0
    alone: int | None = None
    unfinished: dict[int, tuple[UnfinishedItem, float]] = attrs.field(factory=dict)
    due_at: float = -math.inf
    waits: float = 0.0
    first_call_at: float | None = None
    fence: int = 0
    lease_until: float = -math.inf
    lease_ttl: float = 0.0
    driven_for: float = 0.0
    cancel_mark: CancelMark | None = None
    cancel_reason: str | None = attrs.field(default=None, repr=False)
    cancel_wished_at: datetime | None = None
    settled_at: datetime | None = None
    counts: Mapping[ItemState, int] = attrs.field(factory=dict)
    purpose: RunPurpose | None = None
    retried_by: str | None = None
    decided_by: str | None = None
    cancelled_by: str | None = None
    pause: StoredPause | None = None

    @property
    def is_paused(self) -> bool:
        """
        Return whether nothing of it may be claimed; a cancel overrules a pause.
        """
        return self.pause is not None and self.cancel_mark is None and self.settled_at is None

    def resume(self, now: float) -> None:
        """
        Let it be driven again; the time since its first call stood still.
        """
        if self.pause is not None and self.first_call_at is not None:
            self.first_call_at += max(0.0, now - self.pause.since)
        self.pause = None

    def hold(self, now: float, ttl: float) -> None:
        """
        Let the lease last for that long from now.
        """
        self.lease_until, self.lease_ttl = now + ttl, ttl
        self.due_at = -math.inf

    def release(self, now: float, *, due_in: float) -> None:
        """
        Let another driver have it after that long; at once where a cancel came meanwhile.
        """
        self.lease_until, self.alone = -math.inf, None
        if self.cancel_mark is None:
            self.due_at, self.waits = now + due_in if due_in > 0 else -math.inf, due_in

    def follow(self, before: StoredRun, opening: NewRun) -> None:
        """
        Note who opened this run for what, and keep who acted last before.
        """
        opener = opening.actor.user_id
        self.purpose = opening.purpose
        self.retried_by = opener if opening.purpose is RunPurpose.RETRY else before.retried_by
        self.decided_by = opener if opening.purpose is RunPurpose.REVIEW else before.decided_by
        self.cancelled_by, self.cancel_reason = before.cancelled_by, before.cancel_reason

    def lease_remaining(self, now: float) -> float:
        """
        Return the seconds for which the lease lasts; 0 when it is over, or was written by a later clock.
        """
        return remaining(self.lease_until, self.lease_ttl, now)

    def due_in(self, now: float) -> float:
        """
        Return the seconds until something is due.
        """
        return remaining(self.due_at, self.waits, now)

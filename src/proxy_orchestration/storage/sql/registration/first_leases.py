"""
The lease on a batch's first run, taken by whoever accepts the batch and drives it at once.

All of it follows from the request: nothing is read back of what the same transaction has just written.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from sqlalchemy import bindparam, insert

from proxy_orchestration.registration.ledger import NewBatch
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import Lease, WorkItem
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN
from proxy_orchestration.storage.sql.schema import runs

FIRST_FENCE: Final = 1

INSERT_DRIVEN_RUN: Final = insert(runs).values(
    fence=FIRST_FENCE,
    called_fence=FIRST_FENCE,
    lease_until=store_now() + bindparam("ttl"),
    lease_ttl=bindparam("ttl"),
    claimed=bindparam("claimed_first"),
    called=bindparam("called_first"),
)
"""A run that somebody drives from its first moment on."""


@attrs.frozen(kw_only=True)
class Beginning:
    """
    How a batch that is accepted is driven at once.

    Attributes:
        ttl: seconds for which its first run is leased.
        claim: how many items are claimed at most.
        called: how many of them may be called.
    """

    ttl: float
    claim: int
    called: int

    def columns(self, new: NewBatch) -> dict[str, Any]:
        """
        Return what the row of the run says of it.
        """
        claim = self._claim(new)
        return {
            "ttl": float(self.ttl),
            "claimed_first": claim,
            "called_first": min(claim, self.called),
        }

    def lease(self, new: NewBatch, batch_id: str) -> Lease:
        """
        Return the lease, once the batch is stored.
        """
        claim = self._claim(new)
        return Lease(
            batch_id=batch_id,
            run=FIRST_RUN,
            fence=FIRST_FENCE,
            actor=new.actor,
            run_items=len(new.entries),
            base=0,
            tail=len(new.verdicts),
            claimed_now=_first_work(new, claim),
            called=min(claim, self.called),
            claimed=claim,
            mode=new.mode,
            on_conflict=new.on_conflict,
            trace_context=new.trace_context,
        )

    def _claim(self, new: NewBatch) -> int:
        # What shares one fate is claimed by whoever can tell whether the service can do that; decision 141.
        is_whole = new.mode is SubmissionMode.ATOMIC
        return 0 if is_whole else min(self.claim, len(new.entries) - len(new.verdicts))


def _first_work(new: NewBatch, claim: int) -> tuple[WorkItem, ...]:
    sent = (each for each in enumerate(new.entries) if each[1].item_key not in new.verdicts)
    return tuple(
        WorkItem(
            item=position,
            mentor_id=entry.mentor_id,
            activity=entry.activity,
            epoch=0,
            in_doubt=False,
            override_of=new.overrides[entry.item_key].activity_id
            if entry.item_key in new.overrides
            else None,
            place=place,
            item_key=entry.item_key,
        )
        for place, (position, entry) in zip(range(1, claim + 1), sent, strict=False)
    )

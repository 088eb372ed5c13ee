"""
The public methods that read batches.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.batches import (
    BatchFilter,
    BatchPage,
    BatchSummary,
    BulkSubmissionResult,
    ItemPage,
)
from proxy_orchestration.registration.queries import BatchQueries
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization


class ReadingVerbs:
    """
    The part of an orchestrator that reads, and neither waits nor changes anything.
    """

    __slots__ = ()
    _authorization: Authorization
    _queries: BatchQueries

    async def get_bulk_submission_status(self, batch_id: str, *, actor: Actor) -> BulkSubmissionResult:
        """
        Return the batch with every mentor's state, as of one moment.

        Raises:
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor)
        await self._authorization.authorized_batch(batch_id, actor, Action.READ)
        return await self._queries.result(batch_id)

    async def get_batch_summary(self, batch_id: str, *, actor: Actor) -> BatchSummary:
        """
        Return the batch without its outcomes, as of one moment; for those who poll.

        Raises:
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor)
        await self._authorization.authorized_batch(batch_id, actor, Action.READ)
        return await self._queries.summary(batch_id)

    async def read_items(
        self,
        batch_id: str,
        *,
        actor: Actor,
        states: Collection[ItemState] | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> ItemPage:
        """
        Return some items of the batch with their activities, in request order, as of one moment.

        Args:
            batch_id: the batch.
            actor: who asks.
            states: only items that are in one of these now; `None` for all.
            after: only items that follow this place, from 0.
            limit: at most so many, 1 to 100.

        Raises:
            InvalidValueError: `after` or `limit` is out of range.
            NotAuthorizedError, BatchNotFoundError.
        """
        check_arguments(batch_id=batch_id, actor=actor, states=states, after=after, limit=limit)
        await self._authorization.authorized_batch(batch_id, actor, Action.READ)
        return await self._queries.items(batch_id, states=states, after=after, limit=limit)

    async def list_batches(  # noqa: PLR0913 - every filter may be left out
        self,
        *,
        actor: Actor,
        page: int = 1,
        limit: int = 20,
        statuses: Collection[BulkStatus] | None = None,
        needs_review: bool | None = None,
        label: str | None = None,
        coordinator_id: str | None = None,
        submitted_from: datetime | None = None,
        submitted_before: datetime | None = None,
        cursor: str | None = None,
    ) -> BatchPage:
        """
        Return one page of the batches that the actor may know of, newest first.

        Args:
            actor: who asks.
            page: from 1.
            limit: batches per page, 1 to 100.
            statuses: only these; `None` for all.
            needs_review: true for those in which mentors wait for a decision that can be taken now,
                whatever their status; false for all others.
            label: only those with exactly this label.
            coordinator_id: only those of this coordinator.
            submitted_from: only those accepted from this moment on; aware.
            submitted_before: only those accepted before this moment; aware.
            cursor: only those that follow the page that had it as `next_cursor`; pages count from there.

        Raises:
            InvalidValueError: `page`, `limit` or a moment is out of range, or the cursor is none.
            NotAuthorizedError.
        """
        found_by = BatchFilter(
            label=label,
            coordinator_id=coordinator_id,
            submitted_from=submitted_from,
            submitted_before=submitted_before,
            needs_review=needs_review,
            cursor=cursor,
        )
        check_arguments(actor=actor, page=page, limit=limit, statuses=statuses)
        check_arguments(**attrs.asdict(found_by))
        return await self._queries.list_batches(
            actor, page=page, limit=limit, statuses=statuses, found_by=found_by
        )

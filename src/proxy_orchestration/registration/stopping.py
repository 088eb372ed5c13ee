"""
Cancels, pauses and deletes batches, for the public methods.
"""

from __future__ import annotations

import attrs

from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration.access import Action, Actor
from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.batches import BatchSummary, CancelReport
from proxy_orchestration.registration.execution.coordinator import Coordinator
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ownership import check_service, is_of_another_service
from proxy_orchestration.registration.queries import BatchQueries
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.registration.submission.authorization import Authorization


@attrs.define(eq=False, kw_only=True)
class Stopping:
    """
    Stores what a person wants of a run that is not settled, and tells its driver in this process.
    """

    coordinator: Coordinator
    authorization: Authorization
    queries: BatchQueries

    async def cancel(self, batch_id: str, actor: Actor, reason: str | None) -> CancelReport:
        """
        Cancel what was not begun, wait for the calls in flight, and return what is true then.
        """
        coordinator = self.coordinator
        record = await self.authorization.authorized_batch(batch_id, actor, Action.CANCEL)
        if record.settled_at is not None and record.cancel_wished_at is None:
            await self._check_no_reviews(
                batch_id,
                "no call is in progress that a cancel could stop. Decide about these mentors; you may skip "
                "them.",
            )
        mark = await coordinator.ledger.cancel_run(
            batch_id, reason=reason, wished_at=coordinator.clock.now(), cancelled_by=actor.user_id
        )
        coordinator.cancel_watch.notify(batch_id)
        coordinator.progress.notify(batch_id)
        await wait_at_most(
            coordinator.clock,
            coordinator.settings.cancel_grace,
            lambda: self._settled(record, mark.run),
        )
        return await self.queries.cancel_report(batch_id, mark)

    async def _settled(self, record: BatchRecord, run: int) -> None:
        # A driver looks up what is in doubt: another service would not find its records; decision 230.
        if is_of_another_service(record, self.coordinator.service_name):
            await self._settled_elsewhere(record.batch_id, run)
        else:
            await self.coordinator.drive_until_settled(record.batch_id, run)

    async def _settled_elsewhere(self, batch_id: str, run: int) -> None:
        coordinator = self.coordinator
        with coordinator.progress.subscribe(batch_id) as subscription:
            while (now := await self.queries.record(batch_id)).run == run and now.settled_at is None:
                await subscription.wait(coordinator.clock, coordinator.settings.poll_interval)

    async def pause(self, batch_id: str, actor: Actor) -> BatchSummary:
        """
        Have nothing more of the current run called, and return what is true then.
        """
        coordinator = self.coordinator
        record = await self.authorization.authorized_batch(batch_id, actor, Action.PAUSE)
        await coordinator.ledger.pause_run(
            batch_id, record.run, paused_at=coordinator.clock.now(), paused_by=actor.user_id
        )
        coordinator.cancel_watch.notify(batch_id)
        coordinator.progress.notify(batch_id)
        return await self.queries.summary(batch_id)

    async def resume(self, batch_id: str, actor: Actor) -> BatchSummary:
        """
        Let the current run be driven again, and say so to whoever drives here.
        """
        coordinator = self.coordinator
        record = await self.authorization.authorized_batch(batch_id, actor, Action.PAUSE)
        check_service(record, coordinator.service_name)
        await coordinator.ledger.resume_run(batch_id, record.run)
        coordinator.work.notify("")
        coordinator.progress.notify(batch_id)
        return await self.queries.summary(batch_id)

    async def check_may_delete(self, batch_id: str, *, with_open_reviews: bool) -> None:
        """
        Accept a batch in which nobody waits for a decision, or one whose open reviews may go with it.

        Raises:
            BatchStateError: somebody does.
        """
        if not with_open_reviews:
            await self._check_no_reviews(
                batch_id,
                "deleting the batch would drop them. Decide first, or delete it with with_open_reviews=True.",
            )

    async def _check_no_reviews(self, batch_id: str, advice: str) -> None:
        waiting = (await self.queries.summary(batch_id)).counts.get(ItemState.NEEDS_REVIEW, 0)
        if waiting:
            raise BatchStateError(batch_id, f"{waiting} of its mentors wait for a decision, and {advice}")

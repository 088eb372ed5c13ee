"""
Stops a batch that is under way, for the verbs.
"""

from __future__ import annotations

import attrs

from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration.access import Action, Actor
from proxy_orchestration.registration.batches import CancelReport
from proxy_orchestration.registration.execution.coordinator import Coordinator
from proxy_orchestration.registration.queries import BatchQueries
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
        await self.authorization.authorized_batch(batch_id, actor, Action.CANCEL)
        mark = await coordinator.ledger.cancel_run(
            batch_id, reason=reason, wished_at=coordinator.clock.now(), cancelled_by=actor.user_id
        )
        coordinator.cancel_requests.notify(batch_id)
        coordinator.progress.notify(batch_id)
        await wait_at_most(
            coordinator.clock,
            coordinator.settings.cancel_grace,
            lambda: coordinator.drive_until_settled(batch_id, mark.run),
        )
        return await self.queries.cancel_report(batch_id, mark)

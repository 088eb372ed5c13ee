"""
Looks whether a run was cancelled or paused while its driver has nothing to write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import Notifier
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.execution.attempts import StopReason
from proxy_orchestration.registration.execution.run_context import RunContext
from proxy_orchestration.registration.ports import BatchLedger

_log = logging.getLogger(_loggers.DRIVER)


@attrs.define(eq=False, kw_only=True)
class CancelWatch:
    """
    Tells one driver of a cancel request or a pause, be it made in this process or in another.

    Attributes:
        context: the run.
        ledger: where a request is stored.
        cancel_requests: wakes the driver of a batch that is cancelled or paused in this process.
        last_write: returns when the driver last wrote; a commit tells of a request by itself.
        on_cancel: called when there is a request.
        on_pause: called at each look that finds the run paused.
    """

    context: RunContext
    ledger: BatchLedger
    cancel_requests: Notifier[None]
    last_write: Callable[[], float]
    on_cancel: Callable[[], None]
    on_pause: Callable[[], None]

    async def run(self) -> None:
        """
        Look at least every `poll_interval`, until there is a request.
        """
        context = self.context
        pause = context.settings.poll_interval
        with self.cancel_requests.subscribe(context.lease.batch_id) as subscription:
            while context.state.stop is not StopReason.CANCEL_REQUESTED:
                notified = await subscription.wait(context.clock, pause)
                silent = context.clock.monotonic() - self.last_write() >= pause
                if notified or silent:
                    await self._look()

    async def _look(self) -> None:
        lease = self.context.lease
        try:
            record = await self.ledger.get(lease.batch_id)
        except RepositoryUnavailableError as error:
            _log.warning(
                "could not look for a wish to cancel batch %s: %s",
                lease.batch_id,
                error,
                extra={"batch_id": lease.batch_id, "run": lease.run, "error": type(error).__name__},
            )
            return
        current = record if record is not None and record.run == lease.run else None
        if current is not None and current.cancel_wished_at is not None:
            self.on_cancel()
        elif current is not None and current.paused_at is not None:
            self.on_pause()

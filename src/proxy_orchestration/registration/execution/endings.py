"""
Calls the host's `on_run_settled` for stored settled runs, so that a crash loses none.
"""

from __future__ import annotations

import logging

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.registration.ports import BatchLedger, OnRunSettled
from proxy_orchestration.registration.settings import BulkSettings

_log = logging.getLogger(_loggers.DRIVES)


@attrs.define(eq=False, kw_only=True)
class Endings:
    """
    The host's hook for settled runs, and the store's outbox of those that it was not told of.
    """

    ledger: BatchLedger
    clock: Clock
    settings: BulkSettings
    hook: OnRunSettled | None = None

    async def tell_pending(self, *, wait: bool = False) -> None:
        """
        Tell each untold run that nobody holds, once; without a hook nothing is.

        Args:
            wait: also for those whose teller may have been killed, until its hold ends.
        """
        hook, tried = self.hook, set[tuple[str, int]]()
        hold = 2 * self.settings.audit_timeout
        while hook is not None:
            claimed = await self.ledger.claim_endings(limit=1, hold=hold)
            if not claimed:
                remaining = await self.ledger.endings_wait()
                if not wait or tried or remaining is None:
                    return
                await self.clock.sleep(min(remaining, hold))
            for summary in claimed:
                name = (summary.batch_id, summary.run)
                if name in tried:
                    return  # its hold ran out while others were told; the next pass tells it again
                if not await self._told(hook, summary):
                    tried.add(name)

    async def _told(self, hook: OnRunSettled, summary: BatchSummary) -> bool:
        try:
            await ask(lambda: hook(summary), clock=self.clock, seconds=self.settings.audit_timeout)
        except NoAnswerError:
            _log_untold(summary, "no answer in time", TimeoutError.__name__)
            return False
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            name = type(error).__name__
            _log_untold(summary, name, name)
            return False
        await self.ledger.mark_told(summary.batch_id, summary.run)
        return True


def _log_untold(summary: BatchSummary, why: str, error: str) -> None:
    _log.error(
        "on_run_settled failed for run %d of batch %s (%s); it will be called again",
        summary.run,
        summary.batch_id,
        why,
        extra={"batch_id": summary.batch_id, "run": summary.run, "error": error},
    )

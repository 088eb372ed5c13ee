"""
Delivers stored audit events to the audit logger, so that a crash loses none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio
import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration.audit import AuditEvent, ProxyAuditLogger
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.registration.ports import BatchLedger, SupportsMarkingMany
from proxy_orchestration.registration.settings import BulkSettings

_log = logging.getLogger(_loggers.DRIVES)


@attrs.define(eq=False, kw_only=True)
class AuditDelivery:
    """
    The host's audit logger, and the store's outbox of what it has not taken.

    Attributes:
        write: does a write to its end although this task is cancelled.
    """

    ledger: BatchLedger
    audit_logger: ProxyAuditLogger
    clock: Clock
    settings: BulkSettings
    write: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    _taken: list[AuditEvent] = attrs.field(factory=list, init=False)
    _is_awaited: bool = attrs.field(default=False, init=False)
    _turn: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)

    async def deliver(self, event: AuditEvent) -> bool:
        """
        Tell the audit logger, for `audit_timeout` at most; return whether it took the event.
        """
        try:
            await ask(lambda: self._tell(event), clock=self.clock, seconds=self.settings.audit_timeout)
        except NoAnswerError:
            _log_untaken(event, "no answer in time", TimeoutError())
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            _log_untaken(event, type(error).__name__, error)
        else:
            return True
        finally:
            # Also when this task is cancelled, or the logger would be told twice; decision 60. Whoever
            # waits for its turn to write takes along what others were told meanwhile; decision 295.
            if self._taken and not self._is_awaited:
                await self._note_taken()
        return False

    async def _tell(self, event: AuditEvent) -> None:
        await self.audit_logger.log_bulk_submission(event)
        self._taken.append(event)

    async def _note_taken(self) -> None:
        noted: list[AuditEvent] = []

        async def note_in_turn() -> None:
            async with self._turn:
                self._is_awaited = False
                noted.extend(self._take())
                await self._mark([event.event_id for event in noted])

        self._is_awaited = True
        try:
            await self.write(note_in_turn)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            reason = str(error) if isinstance(error, OrchestrationError) else type(error).__name__
            for event in noted or self._take():
                _log_untaken(event, reason, error)
        finally:
            if not noted:  # its turn never came
                self._is_awaited = False

    def _take(self) -> list[AuditEvent]:
        taken, self._taken = self._taken, []
        return taken

    async def _mark(self, event_ids: Sequence[str]) -> None:
        if len(event_ids) > 1 and isinstance(self.ledger, SupportsMarkingMany):
            await self.ledger.mark_all_audited(event_ids)
            return
        for event_id in event_ids:
            await self.ledger.mark_audited(event_id)

    async def deliver_pending(self, *, wait: bool = False) -> int:
        """
        Deliver each stored event that nobody holds once; return how many the logger took.

        Args:
            wait: also for events whose deliverer may have been killed, until
                its hold on them ends; not after one was refused.
        """
        tried: set[str] = set()
        taken, refused = 0, False
        hold = 2 * self.settings.audit_timeout
        while True:
            events = await self.ledger.claim_audit_events(limit=1, hold=hold)
            if not events:
                remaining = await self.ledger.audit_wait()
                if not wait or refused or remaining is None:
                    return taken
                await self.clock.sleep(min(remaining, hold))
                continue
            event = events[0]
            if event.event_id in tried:
                return taken  # its hold ran out while this pass told the others; the next one tells it again
            tried.add(event.event_id)
            took_it = await self.deliver(event)
            taken += took_it
            refused |= not took_it


def _log_untaken(event: AuditEvent, why: str, error: BaseException) -> None:
    _log.error(
        "the audit logger did not take event %s (%s); it will be delivered again",
        event.event_id,
        why,
        extra={
            "event_id": event.event_id,
            "batch_id": event.batch_id,
            "run": event.run,
            "error": type(error).__name__,
        },
    )

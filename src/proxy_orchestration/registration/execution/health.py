"""
The health of an orchestrator's driving, for a host's health checks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.execution.limits import AbandonedCalls
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.runs import DrivableRun

_FIRST_RUN = 1


@attrs.frozen(kw_only=True)
class Health(PlainModel):
    """
    What one orchestrator last knew about its store, and its current work.

    Attributes:
        serving: whether `serve` runs in this process.
        store_reachable: whether the store answered when it was last asked for waiting runs; `None`
            before the first time.
        looked_at: when the store last answered; aware, UTC; `None` if it never did.
        age: the seconds since then.
        oldest_undriven: the id of the batch that had waited longest for a driver at that time;
            `None` if none waited.
        oldest_undriven_age: the seconds since that batch was submitted; in a later run than its
            first, the seconds since it was first seen waiting.
        driving: the number of runs that are being driven here.
        error: the type of the store's exception at the last question; `None` if it answered.
        abandoned_calls: the number of calls to the service that were cancelled here and have not
            ended.
        calls_stopped_for: the seconds for which no new call has begun in this process, because
            there are `max_abandoned` such calls; `None` while calls may begin.
    """

    serving: bool
    store_reachable: bool | None
    looked_at: datetime | None
    age: float | None
    oldest_undriven: str | None
    oldest_undriven_age: float | None
    driving: int
    error: str | None = None
    abandoned_calls: int = 0
    calls_stopped_for: float | None = None


@attrs.define(eq=False, kw_only=True)
class HealthRecord:
    """
    What was last seen, from which `Health` is told at any time.

    Attributes:
        abandoned: calls that were left behind here.
        serving: how many times `serve` runs in this process.
        driving: the number of runs that are being driven here.
    """

    ledger: BatchLedger
    clock: Clock
    abandoned: AbandonedCalls
    serving: int = attrs.field(default=0, init=False)
    driving: int = attrs.field(default=0, init=False)
    _reachable: bool | None = attrs.field(default=None, init=False)
    _error: str | None = attrs.field(default=None, init=False)
    _looked: tuple[datetime, float] | None = attrs.field(default=None, init=False)
    _undriven: tuple[str, int] | None = attrs.field(default=None, init=False)
    _since: datetime | None = attrs.field(default=None, init=False)

    def failed(self, error: BaseException) -> None:
        """
        Note that the store did not answer.
        """
        self._reachable, self._error = False, type(error).__name__

    async def saw(self, found: Sequence[DrivableRun], *, driven: Collection[tuple[str, int]] = ()) -> None:
        """
        Note what the store answered: its runs, those that wait longest first, and which are driven here.
        """
        waiting = (run for run in found if run.lease_remaining <= 0 and (run.batch_id, run.run) not in driven)
        oldest = next(waiting, None)
        name = None if oldest is None else (oldest.batch_id, oldest.run)
        if name != self._undriven:
            # Asked once for each that comes to be the oldest, not at every look.
            self._since = None if name is None else await self._waiting_since(*name)
            self._undriven = name
        self.answered()

    def answered(self) -> None:
        """
        Note that the store answered, whatever it was asked for.
        """
        self._reachable, self._error = True, None
        self._looked = (self.clock.now(), self.clock.monotonic())

    async def _waiting_since(self, batch_id: str, run: int) -> datetime:
        record = await self.ledger.get(batch_id) if run == _FIRST_RUN else None
        return self.clock.now() if record is None else record.submitted_at

    def health(self) -> Health:
        """
        Return what is known now; asks nobody.
        """
        now = self.clock.now()
        looked_at, at = self._looked or (None, None)
        full_since = self.abandoned.full_since
        return Health(
            serving=self.serving > 0,
            store_reachable=self._reachable,
            looked_at=looked_at,
            age=None if at is None else self.clock.monotonic() - at,
            oldest_undriven=None if self._undriven is None else self._undriven[0],
            oldest_undriven_age=None
            if self._since is None
            else max(0.0, (now - self._since).total_seconds()),
            driving=self.driving,
            error=self._error,
            abandoned_calls=self.abandoned.count,
            calls_stopped_for=None if full_since is None else self.clock.monotonic() - full_since,
        )

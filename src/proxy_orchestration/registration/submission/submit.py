"""
Turns a request into a batch: checks it, and stores it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import BatchNotFoundError, OrchestrationError
from proxy_orchestration.ids import IdRule
from proxy_orchestration.registration.conflicts import (
    Conflict,
    ConflictPolicy,
    ConflictReport,
    Override,
)
from proxy_orchestration.registration.ledger import Acceptance, NewBatch, Verdict
from proxy_orchestration.registration.ownership import check_service
from proxy_orchestration.registration.ports import (
    BatchLedger,
    ProxyRegistrationService,
    SupportsHostTransactions,
)
from proxy_orchestration.registration.requests import (
    BulkRegistrationRequest,
    SubmissionMode,
    check_mentor_ids,
    check_selection,
    fingerprint_of,
)
from proxy_orchestration.registration.runs import Lease
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.conflict_check import ConflictCheck
from proxy_orchestration.registration.submission.run_plan import (
    apply_policy,
    check_can_be_whole,
    plan_run,
    refusals,
)

StoreBatch: TypeAlias = Callable[[NewBatch], Awaitable[tuple[Acceptance, Lease | None]]]

_FIRST_RUN = 1


@contextmanager
def naming_submission(batch_id: str | None, idempotency_key: str | None) -> Iterator[None]:
    """
    Have whatever goes wrong in a block say which submission it was, so that a caller can take it up.

    An error of another kind, as a store of the host's may raise, gets a note and the same attributes.
    """
    try:
        yield
    except Exception as error:
        if batch_id is not None and not isinstance(error, OrchestrationError):
            error.add_note(
                f"This happened while batch {batch_id} was being submitted. Continue it by its id or "
                "idempotency key."
            )
        named = {"batch_id": batch_id, "idempotency_key": idempotency_key}
        for name, value in named.items():
            if getattr(error, name, None) is None:
                with suppress(AttributeError):  # an error of the host's may have slots
                    setattr(error, name, value)
        raise


@attrs.frozen(kw_only=True)
class Accepted:
    """
    The batch that a request became, or already was.

    Attributes:
        batch_id, run: the batch, and its current run.
        new: what was stored, if this request created it.
        lease: the right to drive it, if that was taken with it.
    """

    batch_id: str
    run: int
    new: NewBatch | None = None
    lease: Lease | None = None


@attrs.define(eq=False, kw_only=True)
class Submission:
    """
    Turns requests into batches, or says why not.
    """

    ledger: BatchLedger
    service: ProxyRegistrationService
    clock: Clock
    authorization: Authorization
    conflict_check: ConflictCheck
    settings: BulkSettings
    id_rule: IdRule
    service_name: str | None = None

    async def preview(self, request: BulkRegistrationRequest, actor: Actor) -> ConflictReport:
        """
        Return which of the request conflicts with what is registered; stores nothing.
        """
        self.authorization.authorize(actor, Action.SUBMIT)
        self._check(request, actor)
        batch_id = await self.ledger.new_batch_id()
        refused, conflicts = await self._examine(request, actor, batch_id)
        keys = [entry.item_key for entry in request.entries]
        return ConflictReport(
            conflicts=tuple(conflicts[key] for key in keys if key in conflicts),
            clean=tuple(key for key in keys if key not in conflicts and key not in refused),
            refused=tuple(key for key in keys if key in refused),
        )

    async def accept(
        self,
        request: BulkRegistrationRequest,
        actor: Actor,
        *,
        drives: bool = True,
        store: StoreBatch | None = None,
    ) -> Accepted:
        """
        Store the request as a batch, or find the one it already is.

        Args:
            request: what is submitted.
            actor: by whom.
            drives: whether its current run is driven next.
            store: stores it, and may take the lease on it; else the ledger does, and does not.

        Raises:
            WrongServiceError: it is another service's, is not settled, and is to be driven.
            HostTransactionError: it is to be driven, and the ledger only takes part in a transaction.
        """
        self.authorization.authorize(actor, Action.SUBMIT)
        fingerprint = fingerprint_of(request)
        # Before every rule: what was accepted stays so, whatever became of limits and scopes; decision 160.
        known = await self._accepted_before(request, actor, fingerprint)
        if known is not None:
            return await self._joined(known, drives=drives)
        self._check(request, actor)
        if drives and isinstance(self.ledger, SupportsHostTransactions):
            self.ledger.check_may_drive()
        # The store decides whether it is new: two submissions at once under one key both look new here.
        planned = await self._planned(request, actor, fingerprint)
        with naming_submission(planned.batch_id, planned.idempotency_key):
            acceptance, lease = await (store or self._store)(planned)
        if acceptance.created:
            return Accepted(batch_id=acceptance.batch_id, run=_FIRST_RUN, new=planned, lease=lease)
        return await self._joined(acceptance.batch_id, drives=drives)

    async def _store(self, new: NewBatch) -> tuple[Acceptance, None]:
        return await self.ledger.accept(new), None

    async def _accepted_before(
        self, request: BulkRegistrationRequest, actor: Actor, fingerprint: str
    ) -> str | None:
        key = request.idempotency_key
        # An empty selection never became a batch, so it is told as what it is.
        if key is None or not request.entries:
            return None
        with naming_submission(None, key):
            return await self.ledger.find_by_key(actor, key, fingerprint)

    async def _joined(self, batch_id: str, *, drives: bool) -> Accepted:
        record = await self.ledger.get(batch_id)
        if record is None:
            raise BatchNotFoundError(batch_id)
        if drives and record.settled_at is None:
            check_service(record, self.service_name)
        return Accepted(batch_id=record.batch_id, run=record.run)

    def _check(self, request: BulkRegistrationRequest, actor: Actor) -> None:
        if request.on_conflict is ConflictPolicy.OVERRIDE:
            self.authorization.authorize(actor, Action.OVERRIDE)
        check_selection(request, limit=self.settings.max_batch_size)
        mentor_ids = [entry.mentor_id for entry in request.entries]
        # At this door alone: what is stored was accepted by the rule of its day; decision 183.
        check_mentor_ids(mentor_ids, self.id_rule, place="BulkRegistrationRequest.entries[{}].mentor_id")
        if request.mode is SubmissionMode.ATOMIC:
            check_can_be_whole(self.service, len(request.entries))

    async def _examine(
        self, request: BulkRegistrationRequest, actor: Actor, batch_id: str
    ) -> tuple[dict[str, Verdict], dict[str, Conflict]]:
        mentor_ids = (entry.mentor_id for entry in request.entries)
        refused = refusals(request.entries, await self.authorization.refused_mentors(actor, mentor_ids))
        # Not asked about who is refused, so that nothing is told about mentors out of scope.
        entries = [entry for entry in request.entries if entry.item_key not in refused]
        return refused, dict(await self.conflict_check.find(entries, actor=actor, batch_id=batch_id))

    async def _planned(self, request: BulkRegistrationRequest, actor: Actor, fingerprint: str) -> NewBatch:
        # The id comes before the batch: a conflict within it names a record derived from it; decision 23.
        batch_id = await self.ledger.new_batch_id()
        refused, conflicts = await self._examine(request, actor, batch_id)
        now = self.clock.now()
        by = Override(activity_id=None, decided_by=actor.user_id, decided_at=now)
        verdicts, overrides = apply_policy(conflicts, request.on_conflict, by)
        plan = plan_run(
            (entry.item_key for entry in request.entries),
            mode=request.mode,
            verdicts={**refused, **verdicts},
            overrides=overrides,
        )
        return NewBatch(
            batch_id=batch_id,
            actor=actor,
            entries=request.entries,
            idempotency_key=request.idempotency_key,
            fingerprint=fingerprint,
            label=request.label,
            submitted_at=now,
            mode=request.mode,
            on_conflict=request.on_conflict,
            verdicts=plan.verdicts,
            overrides=plan.overrides,
            service_name=self.service_name,
        )

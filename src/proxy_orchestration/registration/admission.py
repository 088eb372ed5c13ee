"""
What is checked before anything is stored: who asks, for what, for whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import attrs

from proxy_orchestration.access import AccessPolicy, Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import (
    BatchNotFoundError,
    BatchStateError,
    DuplicateSelectionError,
    EmptySelectionError,
    NotAuthorizedError,
    StaleRunError,
    UnknownMentorError,
)
from proxy_orchestration.registration.batches import BatchPage, BulkSubmissionResult, Failure
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.requests import BulkRegistrationRequest, check_selection, fingerprint_of
from proxy_orchestration.registration.runs import BatchRecord, NewBatch, NewRun
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.states import RETRYABLE_BY_NAME, BulkStatus

_FIRST_RUN = 1
_MOST_PER_PAGE = 100

_SELF_ATTRIBUTION = Failure(
    code="self_attribution",
    message="Coordinators cannot register an activity for themselves.",
    retryable=False,
)
_OUT_OF_SCOPE = Failure(
    code="out_of_scope", message="This mentor is not among those you may register for.", retryable=False
)


@attrs.define(eq=False, kw_only=True)
class Admission:
    """
    Lets requests in, or says why not.
    """

    ledger: BatchLedger
    clock: Clock
    access_policy: AccessPolicy
    settings: BulkSettings

    async def accept(self, request: BulkRegistrationRequest, actor: Actor) -> tuple[str, int]:
        """
        Store the request as a batch, or find the one it already is; return its id and current run.
        """
        self.authorize(actor, Action.SUBMIT)
        check_selection(request, limit=self.settings.max_batch_size)
        acceptance = await self.ledger.accept(
            NewBatch(
                actor=actor,
                entries=request.entries,
                idempotency_key=request.idempotency_key,
                fingerprint=fingerprint_of(request),
                label=request.label,
                submitted_at=self.clock.now(),
                refused=await self._refused(actor, [entry.mentor_id for entry in request.entries]),
            )
        )
        if acceptance.created:
            return acceptance.batch_id, _FIRST_RUN
        record = await self.ledger.get(acceptance.batch_id)
        if record is None:
            raise BatchNotFoundError(acceptance.batch_id)
        return record.batch_id, record.run

    async def retry(
        self,
        batch_id: str,
        actor: Actor,
        *,
        mentor_ids: Collection[str] | None,
        expected_run: int | None,
    ) -> int:
        """
        Open a run over the items to retry and return its number.
        """
        record = await self.visible(batch_id, actor, Action.RETRY)
        if expected_run is not None and expected_run != record.run:
            raise StaleRunError(batch_id, expected_run=expected_run, current_run=record.run)
        if record.settled_at is None:
            raise BatchStateError(
                batch_id, "it is not settled yet. Wait for its end, or cancel it, then retry."
            )
        result = await self.ledger.read_result(batch_id)
        if result is None:
            raise BatchNotFoundError(batch_id)
        selected = _selected_for_retry(result, mentor_ids)
        return await self.ledger.open_run(
            NewRun(
                batch_id=batch_id,
                expected_run=record.run,
                actor=actor,
                opened_at=self.clock.now(),
                mentor_ids=selected,
                refused=await self._refused(actor, selected),
            )
        )

    async def visible(self, batch_id: str, actor: Actor, action: Action) -> BatchRecord:
        """
        Return the batch if the actor may do this to it.

        Raises:
            NotAuthorizedError: the actor's roles do not allow the action at all.
            BatchNotFoundError: no such batch, or none that the actor may know of.
        """
        self.authorize(actor, action)
        record = await self.ledger.get(batch_id)
        if record is None or not self.access_policy.visibility(actor).covers(
            organization_id=record.organization_id, coordinator_id=record.coordinator_id
        ):
            raise BatchNotFoundError(batch_id)
        return record

    async def list_batches(
        self, actor: Actor, *, page: int, limit: int, statuses: Collection[BulkStatus] | None
    ) -> BatchPage:
        """
        Return one page of what the actor may know of.
        """
        self.authorize(actor, Action.READ)
        if page < 1 or not 1 <= limit <= _MOST_PER_PAGE:
            msg = f"page counts from 1 and limit is 1 to {_MOST_PER_PAGE}, not page {page} and limit {limit}"
            raise ValueError(msg)
        return await self.ledger.list_batches(
            self.access_policy.visibility(actor), page=page, limit=limit, statuses=statuses
        )

    def authorize(self, actor: Actor, action: Action) -> None:
        """
        Accept an actor whose roles allow the action.
        """
        if not self.access_policy.allows(actor, action):
            raise NotAuthorizedError(action.value)

    async def _refused(self, actor: Actor, mentor_ids: Sequence[str]) -> dict[str, Failure]:
        beyond = await self.access_policy.out_of_scope(actor, mentor_ids)
        refused = dict.fromkeys(set(mentor_ids).intersection(beyond), _OUT_OF_SCOPE)
        if actor.user_id in mentor_ids:
            refused[actor.user_id] = _SELF_ATTRIBUTION
        return refused


def _selected_for_retry(result: BulkSubmissionResult, mentor_ids: Collection[str] | None) -> tuple[str, ...]:
    if mentor_ids is None:
        selected = tuple(outcome.mentor_id for outcome in result.failed)
        if not selected:
            raise BatchStateError(result.batch_id, "nothing in it failed, so there is nothing to retry.")
        return selected
    _check_named(result, mentor_ids)
    named = set(mentor_ids)
    return tuple(outcome.mentor_id for outcome in result.outcomes if outcome.mentor_id in named)


def _check_named(result: BulkSubmissionResult, mentor_ids: Collection[str]) -> None:
    named = set(mentor_ids)
    if not named:
        raise EmptySelectionError
    if len(named) < len(mentor_ids):
        raise DuplicateSelectionError(
            sorted(name for name, times in Counter(mentor_ids).items() if times > 1)
        )
    states = {outcome.mentor_id: outcome.state for outcome in result.outcomes}
    if strangers := sorted(named - states.keys()):
        raise UnknownMentorError(strangers)
    fixed = sorted(name for name in named if states[name] not in RETRYABLE_BY_NAME)
    if fixed:
        raise BatchStateError(
            result.batch_id,
            f"{fixed[0]} is {states[fixed[0]].value}; only failed, unknown and cancelled ones are retried.",
        )

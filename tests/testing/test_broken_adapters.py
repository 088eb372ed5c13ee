"""
The kits find what is wrong: each adapter here breaks one promise, and the check for it says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from proxy_orchestration.access import Actor, CoordinatorAccess, Visibility
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import StaleRunError
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.batches import BulkProgressUpdate
from proxy_orchestration.registration.runs import (
    Acceptance,
    Acquisition,
    CancelMark,
    Commit,
    Committed,
    Lease,
    LeaseHeld,
    NewBatch,
    NewRun,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing.contracts import (
    Check,
    access_policy,
    activity_records,
    audit_outbox,
    batch_catalogue,
    run_ledger,
)


class _ForgetfulOfKeys(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        return await super().accept(attrs.evolve(batch, idempotency_key=None))


class _WithoutTombstones(MemoryActivityRepository):
    async def delete(self, batch_id: str, /) -> bool:
        self._keys.clear()
        return await super().delete(batch_id)


class _DeletingAnything(MemoryActivityRepository):
    async def delete(self, batch_id: str, /) -> bool:
        self._unsettled.pop(batch_id, None)
        return await super().delete(batch_id)


class _WithoutLeases(MemoryActivityRepository):
    async def acquire(self, batch_id: str, run: int, /, *, ttl: float) -> Acquisition:
        return await super().acquire(batch_id, run, ttl=0)


class _WithEndlessLeases(MemoryActivityRepository):
    async def acquire(self, batch_id: str, run: int, /, *, ttl: float) -> Acquisition:
        answer = await super().acquire(batch_id, run, ttl=ttl)
        return attrs.evolve(answer, remaining=ttl * 2) if isinstance(answer, LeaseHeld) else answer


class _WithoutFences(MemoryActivityRepository):
    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        fence = self._batches[lease.batch_id].run.fence
        return await super().commit(attrs.evolve(lease, fence=fence), commit)


class _ClaimingShort(MemoryActivityRepository):
    async def commit(self, lease: Lease, commit: Commit, /) -> Committed:
        return await super().commit(lease, attrs.evolve(commit, claim=min(commit.claim, 1)))


class _CancellingClaimed(MemoryActivityRepository):
    async def cancel_run(self, batch_id: str, /, **wish: Any) -> CancelMark:
        if batch_id in self._batches:
            self._batches[batch_id].run.claimed = 0
        return await super().cancel_run(batch_id, **wish)


class _ForgettingDoubt(MemoryActivityRepository):
    async def open_run(self, run: NewRun, /) -> int:
        if run.batch_id in self._batches:
            self._batches[run.batch_id].keys.clear()
        return await super().open_run(run)


class _StaleWhenUnsettled(MemoryActivityRepository):
    async def open_run(self, run: NewRun, /) -> int:
        if run.batch_id in self._unsettled:
            raise StaleRunError(run.batch_id, expected_run=run.expected_run, current_run=run.expected_run)
        return await super().open_run(run)


class _CountingFromZero(MemoryActivityRepository):
    async def read_updates(self, batch_id: str, /, *, after: int, limit: int) -> Sequence[BulkProgressUpdate]:
        updates = await super().read_updates(batch_id, after=after, limit=limit)
        return [attrs.evolve(update, settled=update.settled - 1) for update in updates]


class _HoldingNothing(MemoryActivityRepository):
    async def claim_audit_events(self, *, limit: int, hold: float) -> Sequence[AuditEvent]:
        return await super().claim_audit_events(limit=limit, hold=0)


class _KeepingTheLastRecord(MemoryActivityRepository):
    async def add_activity(self, record: ActivityRecord, /) -> ActivityRecord:
        self._records.pop(record.registration.registration_id, None)
        return await super().add_activity(record)


class _PolicyWithoutVisibility(CoordinatorAccess):
    def visibility(self, actor: Actor, /) -> Visibility:
        return None  # type: ignore[return-value]  # the mistake under test


class _PolicyAcrossOrganizations(CoordinatorAccess):
    def visibility(self, actor: Actor, /) -> Visibility:
        return Visibility(organization_id="everybody")


@pytest.mark.parametrize(
    ("adapter", "kit", "promise"),
    [
        (_ForgetfulOfKeys, batch_catalogue, "one_key_at_once_creates_one_batch"),
        (_WithoutTombstones, batch_catalogue, "a_deleted_batch_keeps_its_key"),
        (_DeletingAnything, batch_catalogue, "a_batch_that_is_not_settled_cannot_be_deleted"),
        (_CountingFromZero, batch_catalogue, "sequences_and_settled_numbers_go_on_across_runs"),
        (_WithoutLeases, run_ledger, "a_lease_keeps_others_out"),
        (_WithEndlessLeases, run_ledger, "a_lease_keeps_others_out"),
        (_WithoutFences, run_ledger, "an_old_fence_changes_nothing"),
        (_ClaimingShort, run_ledger, "a_claim_is_filled_up_past_refused_items"),
        (_CancellingClaimed, run_ledger, "what_was_not_claimed_is_cancelled"),
        (_ForgettingDoubt, run_ledger, "keys_follow_from_the_newest_outcome"),
        (_StaleWhenUnsettled, run_ledger, "an_unsettled_run_is_not_followed"),
        (_HoldingNothing, audit_outbox, "of_claims_at_once_one_gets_an_event"),
        (_KeepingTheLastRecord, activity_records, "a_registration_has_one_record_for_ever"),
        (_PolicyWithoutVisibility, access_policy, "an_actor_sees_only_the_own_organization"),
        (_PolicyAcrossOrganizations, access_policy, "an_actor_sees_only_the_own_organization"),
    ],
)
async def test_a_kit_finds_the_adapter_that_breaks_a_promise(
    adapter: type[Any], kit: Sequence[Check[Any]], promise: str
) -> None:
    """
    The check that is named for the promise fails with an assertion.
    """

    @asynccontextmanager
    async def open_adapter() -> AsyncIterator[Any]:
        yield adapter()

    (check,) = (check for check in kit if check.name == promise)

    with pytest.raises(AssertionError):
        await check(open_adapter)

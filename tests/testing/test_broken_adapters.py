"""
The kits find what is wrong: each adapter here breaks one promise, and the check for it says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import attrs
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration.access import Actor, CoordinatorAccess, Visibility
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import StaleRunError
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.batches import BulkProgressUpdate
from proxy_orchestration.registration.ledger import Acceptance, NewBatch, NewRun, StoredItem
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import Acquisition, CancelMark, Commit, Committed, Lease, LeaseHeld
from proxy_orchestration.registration.states import ItemState
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


class _ForgetfulOfContexts(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        return await super().accept(attrs.evolve(batch, trace_context=None))


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
    async def cancel_run(self, batch_id: str, /, **request: Any) -> CancelMark:
        if batch_id in self._batches:
            self._batches[batch_id].run.claimed = 0
        return await super().cancel_run(batch_id, **request)


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
    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        for record in records:
            self._records.pop(record.registration.registration_id, None)
        return await super().add_activities(records, atomic=atomic)


class _GivingIdsOfItsOwn(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        return await super().accept(attrs.evolve(batch, batch_id=None))


class _FailingWhateverIsJudged(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        failed = {
            mentor_id: attrs.evolve(verdict, state=ItemState.FAILED)
            for mentor_id, verdict in batch.verdicts.items()
        }
        return await super().accept(attrs.evolve(batch, verdicts=failed))


class _WithoutModes(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        return await super().accept(attrs.evolve(batch, mode=SubmissionMode.INDEPENDENT))


class _DroppingOverrides(MemoryActivityRepository):
    async def open_run(self, run: NewRun, /) -> int:
        return await super().open_run(attrs.evolve(run, overrides={}))


class _RememberingNoOverride(MemoryActivityRepository):
    async def open_run(self, run: NewRun, /) -> int:
        if run.batch_id in self._batches:
            self._batches[run.batch_id].overridden.clear()
        return await super().open_run(run)


class _KeepingTheKeysOfReviewed(MemoryActivityRepository):
    async def open_run(self, run: NewRun, /) -> int:
        if run.batch_id in self._batches:
            newest = self._batches[run.batch_id].newest
            for item, outcome in enumerate(newest):
                if outcome is not None and outcome.state is ItemState.NEEDS_REVIEW:
                    newest[item] = attrs.evolve(outcome, state=ItemState.CANCELLED)
        return await super().open_run(run)


class _NamingOverridesBackwards(MemoryActivityRepository):
    async def settle(self, lease: Lease, /, **ending: Any) -> AuditEvent:
        event = await super().settle(lease, **ending)
        return attrs.evolve(event, overrides=event.overrides[::-1])


class _SureOfEveryItem(MemoryActivityRepository):
    async def read_items(self, batch_id: str, /) -> Sequence[StoredItem]:
        return [attrs.evolve(item, in_doubt=False) for item in await super().read_items(batch_id)]


class _StoringHalf(MemoryActivityRepository):
    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        return await super().add_activities(records, atomic=False)


class _LookingBeforeItWaits(MemoryActivityRepository):
    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        existing = [self._standing_for(record) for record in records]
        await checkpoint()
        for record, found in zip(records, existing, strict=True):
            if found is None:
                self._store(record)
        return [found or record for record, found in zip(records, existing, strict=True)]


class _LookingForDuplicatesFirst(MemoryActivityRepository):
    def _standing_for(self, record: ActivityRecord) -> ActivityRecord | None:
        organization_id = record.registration.registered_by.organization_id
        return self._in_the_way(organization_id, record.duplicate_key or "") or super()._standing_for(record)


class _BlindToOverrides(MemoryActivityRepository):
    def _in_the_way(self, organization_id: str, key: str) -> ActivityRecord | None:
        found = super()._in_the_way(organization_id, key)
        return found if found is not None and found.registration.override_of is None else None


class _BlindToOrganizations(MemoryActivityRepository):
    def _in_the_way(self, organization_id: str, key: str) -> ActivityRecord | None:
        found = (
            super(_BlindToOrganizations, self)._in_the_way(*alike) for alike in self._alike if alike[1] == key
        )
        return next(found, None)


class _MovingTheMoment(MemoryActivityRepository):
    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        for name, record in self._records.items():
            self._records[name] = attrs.evolve(record, voided_at=None)
        return await super().void_activity(activity_id, voided_at=voided_at)


class _NeverVoiding(MemoryActivityRepository):
    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        return True


class _MendingTexts(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        return await super().accept(attrs.evolve(batch, label=_mended(batch.label)))

    async def relabel(self, batch_id: str, label: str | None, /) -> bool:
        return await super().relabel(batch_id, _mended(label))

    async def cancel_run(self, batch_id: str, /, *, reason: str | None, wished_at: datetime) -> CancelMark:
        return await super().cancel_run(batch_id, reason=_mended(reason), wished_at=wished_at)

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        mended = [attrs.evolve(record, duplicate_key=_mended(record.duplicate_key)) for record in records]
        return await super().add_activities(mended, atomic=atomic)


def _mended(text: str | None) -> str | None:
    return text and text.encode(errors="replace").decode().replace("\0", "")


class _WithShortIds(MemoryActivityRepository):
    async def accept(self, batch: NewBatch, /) -> Acceptance:
        entries = [attrs.evolve(entry, mentor_id=entry.mentor_id[:100]) for entry in batch.entries]
        return await super().accept(attrs.evolve(batch, entries=tuple(entries)))

    async def new_batch_id(self) -> str:
        return 7 * await super().new_batch_id()


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
        (_ForgetfulOfContexts, batch_catalogue, "each_lease_has_the_trace_context_of_its_batch"),
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
        (_GivingIdsOfItsOwn, batch_catalogue, "a_batch_has_the_id_it_was_given"),
        (_FailingWhateverIsJudged, run_ledger, "a_verdict_is_an_outcome_at_acceptance"),
        (_ForgettingDoubt, run_ledger, "doubt_is_never_decided_away"),
        (_KeepingTheKeysOfReviewed, run_ledger, "a_reviewed_item_gets_a_new_key"),
        (_WithoutModes, run_ledger, "mode_and_policy_are_told_for_ever"),
        (_DroppingOverrides, run_ledger, "an_override_holds_for_its_run"),
        (_DroppingOverrides, run_ledger, "an_event_names_the_overrides_of_its_run"),
        (_NamingOverridesBackwards, run_ledger, "an_event_names_the_overrides_of_its_run"),
        (_RememberingNoOverride, run_ledger, "an_override_is_the_newest_that_there_was"),
        (_SureOfEveryItem, run_ledger, "doubt_of_an_item_follows_its_newest_outcome"),
        (_StoringHalf, activity_records, "all_or_nothing_is_nothing_with_one_in_the_way"),
        (_StoringHalf, activity_records, "all_or_nothing_is_nothing_with_two_alike"),
        (_LookingBeforeItWaits, activity_records, "of_two_in_one_call_the_first_is_stored"),
        (_LookingBeforeItWaits, activity_records, "of_calls_at_once_one_stores_and_all_get_it"),
        (_LookingForDuplicatesFirst, activity_records, "a_record_stays_its_registration_s_answer"),
        (_BlindToOverrides, activity_records, "an_override_passes_and_is_in_the_way_later"),
        (_BlindToOrganizations, activity_records, "another_organization_is_in_nobody_s_way"),
        (_MovingTheMoment, activity_records, "a_record_is_void_from_its_first_moment"),
        (_NeverVoiding, activity_records, "a_void_record_is_in_nobody_s_way"),
        (_MendingTexts, batch_catalogue, "a_batch_with_a_text_that_cannot_be_kept_is_refused_whole"),
        (_MendingTexts, batch_catalogue, "a_label_that_cannot_be_kept_changes_nothing"),
        (_MendingTexts, run_ledger, "a_reason_that_cannot_be_kept_cancels_nothing"),
        (_MendingTexts, activity_records, "a_record_that_cannot_be_kept_is_refused_with_its_call"),
        (_WithShortIds, batch_catalogue, "the_longest_ids_are_kept"),
        (_WithShortIds, batch_catalogue, "a_new_id_leaves_room_for_a_mentors"),
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

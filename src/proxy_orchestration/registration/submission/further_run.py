"""
Opens a further run over items of a settled batch, for retries and reviews.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import (
    BatchNotFoundError,
    BatchStateError,
    StaleRunError,
)
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import (
    OVERRIDES,
    Conflict,
    ConflictDecision,
    ConflictPolicy,
    Override,
)
from proxy_orchestration.registration.ledger import BatchRecord, NewRun, RunPurpose, StoredItem, Verdict
from proxy_orchestration.registration.ownership import check_service
from proxy_orchestration.registration.ports import BatchLedger, ProxyRegistrationService
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS, SKIPPED
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.states import DECIDABLE_STATES, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.conflict_check import ConflictCheck
from proxy_orchestration.registration.submission.run_plan import (
    RunPlan,
    apply_policy,
    check_can_be_whole,
    plan_run,
    refusals,
    verdict_on,
)

Decisions = Mapping[str, ConflictDecision]
Activities = Mapping[str, ProxyActivity]

_UNCHANGED: Final[Activities] = MappingProxyType({})


@attrs.define(eq=False, kw_only=True)
class FurtherRun:
    """
    Takes items of a settled batch up again; access and conflicts are decided anew each time.
    """

    ledger: BatchLedger
    service: ProxyRegistrationService
    clock: Clock
    authorization: Authorization
    conflict_check: ConflictCheck
    service_name: str | None = None

    def check_service(self, record: BatchRecord) -> None:
        """
        Accept a batch for which the service may be asked and called.

        Raises:
            WrongServiceError: another one accepted it.
        """
        check_service(record, self.service_name)

    async def items(self, batch_id: str) -> Sequence[StoredItem]:
        """
        Return the batch's items, in request order.

        Raises:
            BatchNotFoundError: it was deleted meanwhile.
        """
        items = await self.ledger.read_items(batch_id)
        if not items:
            raise BatchNotFoundError(batch_id)
        return items

    def check_may_open(self, record: BatchRecord, expected_run: int | None) -> None:
        """
        Accept a settled batch whose current run is the one that the caller saw.

        Raises:
            StaleRunError: another run is current.
            BatchStateError: it is not settled.
            AtomicModeError: all or nothing, and the service cannot do that any more.
        """
        if expected_run is not None and expected_run != record.run:
            raise StaleRunError(record.batch_id, expected_run=expected_run, current_run=record.run)
        if record.settled_at is None:
            raise BatchStateError(
                record.batch_id, "it is not settled yet. Wait until it is, or cancel it, and try again."
            )
        if record.mode is SubmissionMode.ATOMIC:
            check_can_be_whole(self.service, record.total)

    async def open(
        self,
        record: BatchRecord,
        actor: Actor,
        items: Sequence[StoredItem],
        decisions: Decisions,
        *,
        activities: Activities = _UNCHANGED,
    ) -> int:
        """
        Open a run over these items and return its number.

        Args:
            record: the settled batch.
            actor: who opens the run, with the roles held now.
            items: those to take up, in request order.
            decisions: what was decided about some of them just now, by item key; none: it is a retry.
            activities: what is registered for some of them instead, by item key.
        """
        items = [_edited(item, activities.get(item.item_key)) for item in items]
        plan = await self._plan(record, actor, items, decisions)
        return await self.ledger.open_run(
            NewRun(
                batch_id=record.batch_id,
                expected_run=record.run,
                actor=actor,
                opened_at=self.clock.now(),
                mentor_ids=tuple(item.item_key for item in items),
                verdicts=plan.verdicts,
                overrides=plan.overrides,
                purpose=RunPurpose.REVIEW if decisions else RunPurpose.RETRY,
                activities=activities,
            )
        )

    async def _plan(
        self, record: BatchRecord, actor: Actor, items: Sequence[StoredItem], decisions: Decisions
    ) -> RunPlan:
        verdicts = await self._verdicts(actor, items, decisions)
        overrides = self._overrides(actor, items, decisions)
        # A key in doubt is sent whatever a check says: it may find that key's own record; decision 24.
        to_check = [item for item in items if not item.in_doubt and item.item_key not in verdicts]
        entries = [RegistrationEntry(item.mentor_id, item.activity, item.item_key) for item in to_check]
        found = await self.conflict_check.find(entries, actor=actor, batch_id=record.batch_id)
        new_verdicts, new_overrides = self._decide_found(record, actor, found, overrides)
        verdicts |= new_verdicts
        overrides |= new_overrides
        return plan_run(
            (item.item_key for item in items),
            mode=record.mode,
            verdicts=verdicts,
            overrides={name: override for name, override in overrides.items() if name not in verdicts},
        )

    async def _verdicts(
        self, actor: Actor, items: Sequence[StoredItem], decisions: Decisions
    ) -> dict[str, Verdict]:
        """
        Return those who are skipped by decision, and those whom the actor may not register for.
        """
        skipped = {
            item.item_key: Verdict(
                state=ItemState.SKIPPED,
                failure=SKIPPED,
                conflicting_activity_id=item.conflicting_activity_id,
            )
            for item in items
            if decisions.get(item.item_key) is ConflictDecision.SKIP
        }
        # Who is skipped is not sent, so nobody's scope has to cover them.
        sent = [item for item in items if item.item_key not in skipped]
        refused = await self.authorization.refused_mentors(actor, (item.mentor_id for item in sent))
        return skipped | refusals(sent, refused)

    def _overrides(
        self, actor: Actor, items: Sequence[StoredItem], decisions: Decisions
    ) -> dict[str, Override]:
        """
        Return what was decided just now, and earlier decisions that still hold.
        """
        now = self.clock.now()
        overrides = {}
        for item in items:
            if decisions.get(item.item_key) in OVERRIDES:
                overrides[item.item_key] = Override(
                    activity_id=item.conflicting_activity_id, decided_by=actor.user_id, decided_at=now
                )
            # An override that ended in another conflict was about another record; decision 34.
            elif item.override is not None and not is_conflict(item):
                overrides[item.item_key] = item.override
        return overrides

    def _decide_found(
        self,
        record: BatchRecord,
        actor: Actor,
        found: Mapping[str, Conflict],
        overrides: Mapping[str, Override],
    ) -> tuple[dict[str, Verdict], dict[str, Override]]:
        """
        Return what becomes of conflicts that were found just now.
        """
        policy = record.on_conflict
        # Whoever submitted chose the policy; who opens this run may lack the right to it.
        if policy is ConflictPolicy.OVERRIDE and not self.authorization.allows(actor, Action.OVERRIDE):
            policy = ConflictPolicy.REVIEW
        undecided = {key: conflict for key, conflict in found.items() if key not in overrides}
        by = Override(activity_id=None, decided_by=actor.user_id, decided_at=self.clock.now())
        verdicts, by_policy = apply_policy(undecided, policy, by)
        for key, conflict in found.items():
            decided = overrides.get(key)
            # Decided about one record, and another one conflicts now: nobody saw that one; decision 34.
            if decided is not None and conflict.existing_activity_id not in {None, decided.activity_id}:
                verdicts[key] = verdict_on(conflict, ConflictPolicy.REVIEW)
        return verdicts, by_policy


def _edited(item: StoredItem, activity: ProxyActivity | None) -> StoredItem:
    # Whoever overrode a record saw the activity of then, and nobody has seen this one; decision 171.
    return item if activity is None else attrs.evolve(item, activity=activity, override=None)


def is_conflict(item: StoredItem) -> bool:
    """
    Tell an item that waits for its own decision from one that waits for those of others.
    """
    return item.state in DECIDABLE_STATES and item.code != AWAITING_DECISIONS.code

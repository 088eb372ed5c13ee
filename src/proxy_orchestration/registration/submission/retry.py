"""
Opens further runs: a retry of what failed, and what people decided about conflicts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import (
    AtomicModeError,
    BatchNotFoundError,
    BatchStateError,
    EmptySelectionError,
    StaleRunError,
)
from proxy_orchestration.registration.conflicts import Conflict, ConflictDecision, ConflictPolicy, Override
from proxy_orchestration.registration.ledger import BatchRecord, NewRun, StoredItem, Verdict
from proxy_orchestration.registration.ports import BatchLedger, SupportsBulk
from proxy_orchestration.registration.reasons import SKIPPED
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.registration.submission.authorization import Gate
from proxy_orchestration.registration.submission.conflict_check import ConflictChecks
from proxy_orchestration.registration.submission.eligibility import (
    check_members,
    is_conflict,
    not_in_force,
    select_for_retry,
    select_for_review,
)
from proxy_orchestration.registration.submission.run_plan import sort_conflicts, sort_out, verdict_on

_Decisions = Mapping[str, ConflictDecision]


@attrs.define(eq=False, kw_only=True)
class Reopening:
    """
    Takes items of a settled batch up again; access and conflicts are decided anew each time.
    """

    ledger: BatchLedger
    clock: Clock
    gate: Gate
    checks: ConflictChecks

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
        record = await self.gate.visible(batch_id, actor, Action.RETRY)
        _check_current(record, expected_run)
        self._check_mode(record)
        items = await self._items(batch_id)
        selected = select_for_retry(batch_id, items, mentor_ids, record.mode)
        return await self._open(record, actor, selected, {})

    async def resolve(
        self, batch_id: str, decisions: _Decisions, actor: Actor, *, expected_run: int | None
    ) -> int:
        """
        Open a run over the items decided about and return its number.

        Decisions that are carried out already open nothing: the current run is returned.
        """
        record = await self.gate.visible(batch_id, actor, Action.REVIEW)
        decisions = {mentor_id: ConflictDecision(decision) for mentor_id, decision in decisions.items()}
        if not decisions:
            raise EmptySelectionError
        if ConflictDecision.OVERRIDE in decisions.values():
            self.gate.authorize(actor, Action.OVERRIDE)
        items = {item.mentor_id: item for item in await self._items(batch_id)}
        check_members(decisions, items)
        pending = not_in_force(items, decisions)
        if not pending:
            return record.run
        _check_current(record, expected_run)
        self._check_mode(record)
        selected = select_for_review(batch_id, items, pending, record.mode)
        return await self._open(record, actor, selected, pending)

    def _check_mode(self, record: BatchRecord) -> None:
        if record.mode is SubmissionMode.ATOMIC and not isinstance(self.checks.service, SupportsBulk):
            raise AtomicModeError

    async def _items(self, batch_id: str) -> Sequence[StoredItem]:
        items = await self.ledger.read_items(batch_id)
        if not items:
            raise BatchNotFoundError(batch_id)
        return items

    async def _open(
        self, record: BatchRecord, actor: Actor, items: Sequence[StoredItem], decisions: _Decisions
    ) -> int:
        verdicts = await self._verdicts(actor, items, decisions)
        overrides = self._overrides(actor, items, decisions)
        to_check = [item for item in items if not item.in_doubt and item.mentor_id not in verdicts]
        found = await self._conflicts(record, actor, to_check)
        late_verdicts, late_overrides = self._sort_late(record, actor, found, overrides)
        sorting = sort_out(
            (item.mentor_id for item in items),
            mode=record.mode,
            verdicts={**verdicts, **late_verdicts},
            overrides={
                mentor_id: override
                for mentor_id, override in {**overrides, **late_overrides}.items()
                if mentor_id not in verdicts and mentor_id not in late_verdicts
            },
        )
        return await self.ledger.open_run(
            NewRun(
                batch_id=record.batch_id,
                expected_run=record.run,
                actor=actor,
                opened_at=self.clock.now(),
                mentor_ids=tuple(item.mentor_id for item in items),
                verdicts=sorting.verdicts,
                overrides=sorting.overrides,
            )
        )

    async def _verdicts(
        self, actor: Actor, items: Sequence[StoredItem], decisions: _Decisions
    ) -> dict[str, Verdict]:
        """
        Return those who are skipped by decision, and those whom the actor may not register for.
        """
        verdicts = {
            item.mentor_id: Verdict(
                state=ItemState.SKIPPED,
                failure=SKIPPED,
                conflicting_activity_id=item.conflicting_activity_id,
            )
            for item in items
            if decisions.get(item.mentor_id) is ConflictDecision.SKIP
        }
        sent = [item.mentor_id for item in items if item.mentor_id not in verdicts]
        for mentor_id, failure in (await self.gate.refused(actor, sent)).items():
            verdicts[mentor_id] = Verdict(state=ItemState.FAILED, failure=failure)
        return verdicts

    def _overrides(
        self, actor: Actor, items: Sequence[StoredItem], decisions: _Decisions
    ) -> dict[str, Override]:
        """
        Return what was decided just now, and earlier decisions that still stand.
        """
        now = self.clock.now()
        overrides = {}
        for item in items:
            if decisions.get(item.mentor_id) is ConflictDecision.OVERRIDE:
                overrides[item.mentor_id] = Override(
                    activity_id=item.conflicting_activity_id, decided_by=actor.user_id, decided_at=now
                )
            elif item.override is not None and not is_conflict(item):
                overrides[item.mentor_id] = item.override
        return overrides

    async def _conflicts(
        self, record: BatchRecord, actor: Actor, items: Sequence[StoredItem]
    ) -> Mapping[str, Conflict]:
        entries = [RegistrationEntry(item.mentor_id, item.activity) for item in items]
        return await self.checks.ask(entries, actor=actor, batch_id=record.batch_id)

    def _sort_late(
        self,
        record: BatchRecord,
        actor: Actor,
        found: Mapping[str, Conflict],
        overrides: Mapping[str, Override],
    ) -> tuple[dict[str, Verdict], dict[str, Override]]:
        """
        Sort conflicts that came up since; over a record that nobody saw somebody has to decide anew.
        """
        policy = record.on_conflict
        if policy is ConflictPolicy.OVERRIDE and not self.gate.allows(actor, Action.OVERRIDE):
            policy = ConflictPolicy.REVIEW
        undecided = [conflict for mentor_id, conflict in found.items() if mentor_id not in overrides]
        by = Override(activity_id=None, decided_by=actor.user_id, decided_at=self.clock.now())
        verdicts, late = sort_conflicts(undecided, policy, by)
        for mentor_id, conflict in found.items():
            seen = overrides[mentor_id].activity_id if mentor_id in overrides else None
            if mentor_id in overrides and conflict.existing_activity_id not in {None, seen}:
                verdicts[mentor_id] = verdict_on(conflict, ConflictPolicy.REVIEW)
        return verdicts, late


def _check_current(record: BatchRecord, expected_run: int | None) -> None:
    if expected_run is not None and expected_run != record.run:
        raise StaleRunError(record.batch_id, expected_run=expected_run, current_run=record.run)
    if record.settled_at is None:
        raise BatchStateError(
            record.batch_id, "it is not settled yet. Wait for its end, or cancel it, and try again."
        )

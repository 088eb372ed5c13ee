"""
Carries out people's decisions about conflicts.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.errors import BatchStateError, EmptySelectionError
from proxy_orchestration.registration.conflicts import OVERRIDES, ConflictDecision
from proxy_orchestration.registration.ledger import StoredItem
from proxy_orchestration.registration.reasons import MAYBE_OWN
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import DECIDABLE_STATES, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.further_run import (
    Decisions,
    FurtherRun,
    is_conflict,
)
from proxy_orchestration.registration.submission.named_items import names_of_items


@attrs.define(eq=False, kw_only=True)
class Review:
    """
    The verb of those who decide.
    """

    authorization: Authorization
    further_run: FurtherRun

    async def open(
        self, batch_id: str, decisions: Decisions, actor: Actor, *, expected_run: int | None
    ) -> int:
        """
        Open a run over the items decided about and return its number.

        Decisions that are carried out already open nothing: the current run is returned.
        """
        record = await self.authorization.authorized_batch(batch_id, actor, Action.REVIEW)
        # Before all else: even where nothing is left to decide, the current run would be driven.
        self.further_run.check_service(record)
        decisions = {mentor_id: ConflictDecision(decision) for mentor_id, decision in decisions.items()}
        if not decisions:
            raise EmptySelectionError
        if not OVERRIDES.isdisjoint(decisions.values()):
            self.authorization.authorize(actor, Action.OVERRIDE)
        items = {item.item_key: item for item in await self.further_run.items(batch_id)}
        decisions = decisions_by_key(items, decisions)
        # Before the run is compared: a decision that is delivered twice must find itself done.
        pending = not_in_force(items, decisions)
        if not pending:
            return record.run
        self.further_run.check_may_open(record, expected_run)
        selected = select_for_review(batch_id, items, pending, record.mode)
        return await self.further_run.open(record, actor, selected, pending)


def decisions_by_key(items: Mapping[str, StoredItem], decisions: Decisions) -> dict[str, ConflictDecision]:
    """
    Return the decisions by item key; one about a mentor holds for all their items that wait, or did.

    Raises:
        UnknownMentorError: one is about nobody in the batch.
        DuplicateSelectionError: two are about one item.
    """

    def waits_or_did(item: StoredItem, name: str) -> bool:
        return item.state in DECIDABLE_STATES or _is_in_force(item, decisions[name])

    named = names_of_items(tuple(items.values()), decisions, is_meant=waits_or_did)
    return {item_key: decisions[name] for item_key, name in named.items()}


def not_in_force(items: Mapping[str, StoredItem], decisions: Decisions) -> dict[str, ConflictDecision]:
    """
    Return the decisions that are not carried out yet.
    """
    return {
        item_key: decision
        for item_key, decision in decisions.items()
        if not _is_in_force(items[item_key], decision)
    }


def _is_in_force(item: StoredItem, decision: ConflictDecision) -> bool:
    if decision is ConflictDecision.SKIP:
        return item.state is ItemState.SKIPPED
    return item.override is not None and item.state not in DECIDABLE_STATES


def _check_decision(batch_id: str, item: StoredItem, decision: ConflictDecision) -> None:
    if item.state not in DECIDABLE_STATES:
        raise BatchStateError(
            batch_id, f"{item.item_key} is {item.state.value}; decide only about items that need a review."
        )
    if item.is_erased and decision is not ConflictDecision.SKIP:
        raise BatchStateError(batch_id, f"{item.item_key} is erased, so it can only be skipped.")
    # Said twice: a second record of one activity is what the whole library is there to prevent; decision 115.
    if decision is ConflictDecision.OVERRIDE and item.code == MAYBE_OWN.code:
        raise BatchStateError(
            batch_id,
            f"the record that conflicts with {item.item_key} may come from an earlier call for this very "
            "item, whose answer was lost. Look at the record. If it belongs to this item, decide skip; if "
            "not, decide override_maybe_own.",
        )


def select_for_review(
    batch_id: str, items: Mapping[str, StoredItem], decisions: Decisions, mode: SubmissionMode
) -> list[StoredItem]:
    """
    Return the items to take up after these decisions, in request order.

    Raises:
        BatchStateError: an item decided about does not wait for a decision, one
            of an all-or-nothing batch is left without, or a record that may be
            the item's own is overridden without saying so.
    """
    for item_key, decision in decisions.items():
        _check_decision(batch_id, items[item_key], decision)
    waiting = [item for item in items.values() if item.state in DECIDABLE_STATES]
    if mode is not SubmissionMode.ATOMIC:
        return [item for item in waiting if item.item_key in decisions]
    # Decided in parts, some decisions would have to be remembered and not carried out; decision 25.
    undecided = [item.item_key for item in waiting if is_conflict(item) and item.item_key not in decisions]
    if undecided:
        raise BatchStateError(
            batch_id,
            f"it is all or nothing, and {len(undecided)} conflicts have no decision, among them "
            f"{undecided[0]}. Decide all of them in one call.",
        )
    # Who was erased is sent for nobody; their conflict is decided, and what waits for others' stays.
    return [item for item in waiting if not item.is_erased or item.item_key in decisions]

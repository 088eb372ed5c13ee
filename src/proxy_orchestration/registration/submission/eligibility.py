"""
Which items of a settled batch a retry or a review takes up. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from proxy_orchestration.errors import (
    BatchStateError,
    DuplicateSelectionError,
    EmptySelectionError,
    UnknownMentorError,
)
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.ledger import StoredItem
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import RETRYABLE_BY_NAME, RETRYABLE_STATES, ItemState


def select_for_retry(
    batch_id: str,
    items: Sequence[StoredItem],
    mentor_ids: Collection[str] | None,
    mode: SubmissionMode,
) -> list[StoredItem]:
    """
    Return the failed and unknown items, or those named, in request order.

    Raises:
        BatchStateError: nothing to retry, a named item is in another state, or
            some of an all-or-nothing batch are named and not all.
        EmptySelectionError, DuplicateSelectionError, UnknownMentorError: what is
            named cannot be taken up.
    """
    if mentor_ids is None:
        selected = [item for item in items if item.state in RETRYABLE_STATES]
        if not selected:
            raise BatchStateError(batch_id, "nothing in it failed, so there is nothing to retry.")
    else:
        _check_named(batch_id, items, mentor_ids)
        selected = [item for item in items if item.mentor_id in set(mentor_ids)]
    if mode is SubmissionMode.ATOMIC:
        _check_whole(batch_id, items, selected)
    return selected


def _check_named(batch_id: str, items: Sequence[StoredItem], mentor_ids: Collection[str]) -> None:
    named = set(mentor_ids)
    if not named:
        raise EmptySelectionError
    if len(named) < len(mentor_ids):
        raise DuplicateSelectionError(
            sorted(name for name, times in Counter(mentor_ids).items() if times > 1)
        )
    states = {item.mentor_id: item.state for item in items}
    check_members(named, states)
    fixed = sorted(name for name in named if states[name] not in RETRYABLE_BY_NAME)
    if fixed:
        raise BatchStateError(
            batch_id,
            f"{fixed[0]} is {states[fixed[0]].value}; only failed, unknown and cancelled ones are retried.",
        )


def check_members(named: Collection[str], members: Collection[str]) -> None:
    """
    Accept mentors that are part of the batch.

    Raises:
        UnknownMentorError: some are not.
    """
    if strangers := sorted(set(named) - set(members)):
        raise UnknownMentorError(strangers)


def _check_whole(batch_id: str, items: Sequence[StoredItem], selected: Sequence[StoredItem]) -> None:
    left = [item for item in items if item.state is not ItemState.SKIPPED]
    if len(selected) < len(left):
        raise BatchStateError(
            batch_id,
            "it is all or nothing, so it is retried as a whole. Name all mentors that were not skipped.",
        )


def not_in_force(
    items: Mapping[str, StoredItem], decisions: Mapping[str, ConflictDecision]
) -> dict[str, ConflictDecision]:
    """
    Return the decisions that are not carried out yet.
    """
    return {
        mentor_id: decision
        for mentor_id, decision in decisions.items()
        if not _is_in_force(items[mentor_id], decision)
    }


def _is_in_force(item: StoredItem, decision: ConflictDecision) -> bool:
    if decision is ConflictDecision.SKIP:
        return item.state is ItemState.SKIPPED
    return item.override is not None and item.state is not ItemState.NEEDS_REVIEW


def select_for_review(
    batch_id: str,
    items: Mapping[str, StoredItem],
    decisions: Mapping[str, ConflictDecision],
    mode: SubmissionMode,
) -> list[StoredItem]:
    """
    Return the items to take up after these decisions, in request order.

    Raises:
        BatchStateError: an item decided about does not wait for a decision, or
            one of an all-or-nothing batch is left without.
    """
    for mentor_id in decisions:
        state = items[mentor_id].state
        if state is not ItemState.NEEDS_REVIEW:
            raise BatchStateError(
                batch_id, f"{mentor_id} is {state.value}; decide about those that need a review."
            )
    waiting = [item for item in items.values() if item.state is ItemState.NEEDS_REVIEW]
    if mode is not SubmissionMode.ATOMIC:
        return [item for item in waiting if item.mentor_id in decisions]
    undecided = [item.mentor_id for item in waiting if is_conflict(item) and item.mentor_id not in decisions]
    if undecided:
        raise BatchStateError(
            batch_id,
            f"it is all or nothing, and {len(undecided)} conflicts have no decision, "
            f"{undecided[0]} among them. Decide about all of them at once.",
        )
    return waiting


def is_conflict(item: StoredItem) -> bool:
    """
    Tell an item that waits for its own decision from one that waits for those of others.
    """
    return item.state is ItemState.NEEDS_REVIEW and item.code != AWAITING_DECISIONS.code

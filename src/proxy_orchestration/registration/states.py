"""
The states of items and batches, and the allowed transitions, as data that the code uses.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class ItemState(enum.Enum):
    """
    The state of one mentor's registration.
    """

    PENDING = "pending"  # not begun in the current run
    RUNNING = "running"  # claimed by a driver: begun, or about to be
    SUCCEEDED = "succeeded"  # the record exists; never changes
    FAILED = "failed"  # refused, with a reason
    UNKNOWN = "unknown"  # in doubt when attempts or time ran out
    NEEDS_REVIEW = "needs_review"  # an existing record conflicts; a person decides
    SKIPPED = "skipped"  # left out by a decision
    CANCELLED = "cancelled"  # certainly never begun


class BulkStatus(enum.Enum):
    """
    The status of a batch, derived from its items and its current run.
    """

    PENDING = "pending"  # accepted; no driver has begun the current run
    RUNNING = "running"  # not settled
    CANCELLING = "cancelling"  # cancel was requested and the run is not settled
    PAUSED = "paused"  # no further item is called until the batch is resumed
    SUCCESS = "success"  # every item succeeded or was skipped
    PARTIAL_SUCCESS = "partial_success"  # some succeeded
    TOTAL_FAILURE = "total_failure"  # none succeeded
    CANCELLED = "cancelled"  # at least one item was cancelled
    NEEDS_REVIEW = "needs_review"  # nothing failed or succeeded, and some items wait for a decision


TRANSITIONS: Final[Mapping[ItemState, frozenset[ItemState]]] = MappingProxyType(
    {
        ItemState.PENDING: frozenset(
            {
                ItemState.RUNNING,
                ItemState.SKIPPED,
                ItemState.NEEDS_REVIEW,
                ItemState.FAILED,
                ItemState.UNKNOWN,
                ItemState.CANCELLED,
            }
        ),
        ItemState.RUNNING: frozenset(
            {
                ItemState.SUCCEEDED,
                ItemState.FAILED,
                ItemState.UNKNOWN,
                ItemState.NEEDS_REVIEW,
                ItemState.SKIPPED,
                ItemState.CANCELLED,
            }
        ),
        ItemState.SUCCEEDED: frozenset(),
        ItemState.FAILED: frozenset({ItemState.PENDING}),
        ItemState.UNKNOWN: frozenset({ItemState.PENDING}),
        ItemState.NEEDS_REVIEW: frozenset({ItemState.PENDING, ItemState.SKIPPED}),
        ItemState.SKIPPED: frozenset(),
        ItemState.CANCELLED: frozenset({ItemState.PENDING}),
    }
)
"""
From each state, the states that may follow; `transition` asks it. A run settles an item; only a new
run takes a settled one back to PENDING. PENDING to UNKNOWN is an item that is
refused or cancelled before this run began it, under a key that was in doubt
already; decision 14. RUNNING to CANCELLED is a claimed item
that the driver who claimed it never called; RUNNING to SKIPPED one whose
service found a duplicate under `ConflictPolicy.SKIP`.
"""

OUTCOME_STATES: Final = TRANSITIONS[ItemState.RUNNING]
"""States that an outcome can have: those in which a run may leave what it has begun."""

OPEN_STATES: Final = frozenset(
    state for state, following in TRANSITIONS.items() if ItemState.CANCELLED in following
)
"""States of an item that the current run has yet to settle: a cancel could."""

FINAL_STATES: Final = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""States that nothing follows: whoever is registered, or left out, stays so."""

_TAKEN_UP: Final = frozenset(
    state for state, following in TRANSITIONS.items() if ItemState.PENDING in following
)

DECIDABLE_STATES: Final = frozenset(state for state in _TAKEN_UP if ItemState.SKIPPED in TRANSITIONS[state])
"""States in which a person decides: to leave it out, or to take it up all the same."""

RETRYABLE_BY_NAME: Final = _TAKEN_UP - DECIDABLE_STATES
"""States that a retry takes up when it names the mentor: a new run may, and nobody has to decide."""

RETRYABLE_STATES: Final = RETRYABLE_BY_NAME - {ItemState.CANCELLED}
"""States that a retry takes up by itself: whoever cancelled wanted the others not to be called."""

NEW_KEY_STATES: Final = frozenset({ItemState.FAILED, ItemState.NEEDS_REVIEW})
"""States of a definite refusal, after which a further run takes a new key."""


def transition(before: ItemState, after: ItemState) -> ItemState:
    """
    Return the state that follows, which the table must allow.

    Raises:
        ValueError: the table has no such way.
    """
    if after not in TRANSITIONS[before]:
        msg = f"an item cannot change from {before.value} to {after.value}"
        raise ValueError(msg)
    return after


def settled_status(counts: Mapping[ItemState, int]) -> BulkStatus:
    """
    Return the status of a batch whose items are all settled, from their counts.

    The first matching rule applies. A batch with one item is never a partial success.
    """

    def has(*states: ItemState) -> bool:
        return any(counts.get(state, 0) for state in states)

    if has(ItemState.CANCELLED):
        return BulkStatus.CANCELLED
    if not has(*OUTCOME_STATES - FINAL_STATES):
        return BulkStatus.SUCCESS
    if not has(ItemState.SUCCEEDED, *RETRYABLE_STATES):
        return BulkStatus.NEEDS_REVIEW
    if not has(ItemState.SUCCEEDED):
        return BulkStatus.TOTAL_FAILURE
    return BulkStatus.PARTIAL_SUCCESS


def open_status(*, driven: bool, cancel_wished: bool, paused: bool = False) -> BulkStatus:
    """
    Return the status of a batch whose current run is not settled.
    """
    if not driven:
        return BulkStatus.PENDING
    if cancel_wished:
        return BulkStatus.CANCELLING
    return BulkStatus.PAUSED if paused else BulkStatus.RUNNING

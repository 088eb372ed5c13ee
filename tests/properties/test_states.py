from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration import BulkStatus, ItemState
from proxy_orchestration.registration import states
from proxy_orchestration.registration.ledger import Verdict, next_key
from proxy_orchestration.registration.reasons import DUPLICATE
from proxy_orchestration.registration.states import (
    DECIDABLE_STATES,
    FINAL_STATES,
    NEW_KEY_STATES,
    OPEN_STATES,
    OUTCOME_STATES,
    RETRYABLE_BY_NAME,
    RETRYABLE_STATES,
    TRANSITIONS,
    open_status,
    settled_status,
    transition,
)

_counts = st.dictionaries(st.sampled_from(sorted(OUTCOME_STATES, key=str)), st.integers(0, 5)).filter(
    lambda counts: sum(counts.values()) > 0
)


def test_every_state_has_its_transitions() -> None:
    """
    The table is total, and open and settled states share all states between them.
    """
    assert set(ItemState) == TRANSITIONS.keys()
    assert set(ItemState) == OPEN_STATES | OUTCOME_STATES
    assert frozenset() == OPEN_STATES & OUTCOME_STATES


@given(st.sampled_from(ItemState), st.sampled_from(ItemState))
def test_an_item_goes_only_where_the_table_leads(before: ItemState, after: ItemState) -> None:
    """
    Whoever settles an item asks the table.
    """
    if after in TRANSITIONS[before]:
        assert after is transition(before, after)
    else:
        with pytest.raises(ValueError, match=f"cannot change from {before.value} to {after.value}"):
            transition(before, after)


def test_a_verdict_is_a_way_out_of_pending() -> None:
    """
    No run opens with an item that succeeded without a call.
    """
    with pytest.raises(ValueError, match="cannot change from pending to succeeded"):
        Verdict(state=ItemState.SUCCEEDED, failure=DUPLICATE)


def test_only_a_final_state_has_no_way_out() -> None:
    """
    SUCCEEDED never leaves, and what was left out by decision stays out.
    """
    final = {state for state, following in TRANSITIONS.items() if not following}

    assert {ItemState.SUCCEEDED, ItemState.SKIPPED} == final


def test_every_state_can_be_reached_and_every_open_one_can_settle() -> None:
    """
    From PENDING every other state is some steps away.
    """
    reached = {ItemState.PENDING}
    while (further := reached.union(*(TRANSITIONS[state] for state in reached))) != reached:
        reached = further

    assert set(ItemState) == reached
    assert all(TRANSITIONS[state] & OUTCOME_STATES for state in OPEN_STATES)


@pytest.mark.parametrize("state", ItemState)
def test_what_may_be_done_with_a_state_is_what_the_table_lets_follow(state: ItemState) -> None:
    """
    The verbs name no states of their own: a retry and a decision take up what may be pending again.
    """
    following = TRANSITIONS[state]

    assert (state in RETRYABLE_BY_NAME or state in DECIDABLE_STATES) == (ItemState.PENDING in following)
    assert (state in DECIDABLE_STATES) <= (ItemState.SKIPPED in following)
    assert (state in OPEN_STATES) == (ItemState.CANCELLED in following)
    assert (state in OUTCOME_STATES) == (state in TRANSITIONS[ItemState.RUNNING])
    assert (state in FINAL_STATES) == (not following)
    assert not (state in FINAL_STATES and state in NEW_KEY_STATES)


def test_the_sets_that_the_table_gives_are_the_promised_ones() -> None:
    """
    A change of the table that changes a verb is seen here.
    """
    assert {ItemState.PENDING, ItemState.RUNNING} == OPEN_STATES
    assert {ItemState.NEEDS_REVIEW} == DECIDABLE_STATES
    assert {ItemState.FAILED, ItemState.UNKNOWN, ItemState.CANCELLED} == RETRYABLE_BY_NAME
    assert {ItemState.FAILED, ItemState.UNKNOWN} == RETRYABLE_STATES
    assert {ItemState.SUCCEEDED, ItemState.SKIPPED} == FINAL_STATES


def test_no_other_module_lists_states() -> None:
    """
    A set of them that stands beside the table would not follow it.
    """
    source = Path(inspect.getfile(states)).parents[1]
    listed = [
        f"{path.relative_to(source)}: {ast.unparse(node)}"
        for path in source.rglob("*.py")
        if "testing" not in path.relative_to(source).parts and path.name != "states.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Set | ast.Tuple | ast.List)
        and sum(ast.unparse(each).startswith("ItemState.") for each in node.elts) > 1
    ]

    assert [] == listed


@given(_counts)
def test_the_status_of_settled_items_follows_its_rules(counts: Mapping[ItemState, int]) -> None:
    """
    Each status holds for exactly the counts that its rule describes.
    """
    present = {state for state, number in counts.items() if number}
    succeeded, failed = ItemState.SUCCEEDED in present, bool(present & RETRYABLE_STATES)
    calm = ItemState.CANCELLED not in present
    waits = ItemState.NEEDS_REVIEW in present
    rules = {
        BulkStatus.CANCELLED: not calm,
        BulkStatus.SUCCESS: calm and not failed and not waits,
        BulkStatus.NEEDS_REVIEW: calm and not failed and not succeeded and waits,
        BulkStatus.TOTAL_FAILURE: calm and failed and not succeeded,
        BulkStatus.PARTIAL_SUCCESS: calm and succeeded and (failed or waits),
    }

    assert [settled_status(counts)] == [status for status, holds in rules.items() if holds]


@given(st.sampled_from(sorted(OUTCOME_STATES, key=str)))
def test_a_batch_of_one_mentor_is_never_partial(state: ItemState) -> None:
    """
    One item has one fate.
    """
    assert settled_status({state: 1}) is not BulkStatus.PARTIAL_SUCCESS


@given(_counts)
def test_states_without_items_change_no_status(counts: Mapping[ItemState, int]) -> None:
    """
    A zero says as much as an absent state.
    """
    padded = dict.fromkeys(OUTCOME_STATES, 0) | dict(counts)

    assert settled_status(padded) is settled_status(counts)


@given(driven=st.booleans(), cancel_wished=st.booleans(), paused=st.booleans())
def test_a_batch_that_is_not_settled_has_an_open_status(
    *, driven: bool, cancel_wished: bool, paused: bool
) -> None:
    """
    No status of an open batch can be taken for the status of a settled one; a cancel hides a pause.
    """
    status = open_status(driven=driven, cancel_wished=cancel_wished, paused=paused)

    assert status in {BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING, BulkStatus.PAUSED}
    assert (status is BulkStatus.PAUSED) == (driven and paused and not cancel_wished)
    assert (status is BulkStatus.PENDING) == (not driven)


@given(st.sampled_from(sorted(OUTCOME_STATES, key=str)), st.integers(0, 9), st.booleans())
def test_a_key_in_doubt_stays_and_only_a_definite_refusal_makes_a_new_one(
    state: ItemState,
    epoch: int,
    in_doubt: bool,
) -> None:
    """
    The doubt belongs to the key, so that both go together into the next run.
    """
    changed = state in {ItemState.FAILED, ItemState.NEEDS_REVIEW} and not in_doubt

    assert (epoch + changed, in_doubt) == next_key(state, epoch=epoch, in_doubt=in_doubt)

"""
Retries what failed in a settled batch; nothing else is touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Final

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.errors import BatchStateError, EmptySelectionError, InvalidValueError
from proxy_orchestration.registration.activities import check_storable
from proxy_orchestration.registration.ledger import StoredItem
from proxy_orchestration.registration.reasons import DRIVER_LOST
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import RETRYABLE_BY_NAME, RETRYABLE_STATES, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.further_run import Activities, FurtherRun
from proxy_orchestration.registration.submission.named_items import names_of_items

_by_key: Final = attrgetter("item_key")


@attrs.define(eq=False, kw_only=True)
class Retry:
    """
    The verb of those who retry.
    """

    authorization: Authorization
    further_run: FurtherRun

    async def open(
        self,
        batch_id: str,
        actor: Actor,
        *,
        mentor_ids: Collection[str] | None,
        expected_run: int | None,
        activities: Activities | None = None,
    ) -> int:
        """
        Open a run over the items to retry and return its number.
        """
        record = await self.authorization.authorized_batch(batch_id, actor, Action.RETRY)
        self.further_run.check_service(record)
        self.further_run.check_may_open(record, expected_run)
        items = await self.further_run.items(batch_id)
        edits = edits_by_key(batch_id, items, activities or {})
        selected = select_for_retry(batch_id, items, mentor_ids, record.mode, edited=edits)
        return await self.further_run.open(record, actor, selected, {}, activities=edits)


def edits_by_key(batch_id: str, items: Sequence[StoredItem], activities: Activities) -> Activities:
    """
    Return what is to be registered instead, by item key.

    Raises:
        UnknownMentorError: a name is nobody's in the batch.
        DuplicateSelectionError: an item is named twice.
        BatchStateError: an item cannot be retried, or its key is in doubt; or a mentor
            is named of whom several can be.
        InvalidValueError: an activity cannot be kept by every store.
    """
    named = names_of_items(items, activities, is_meant=lambda item, _: item.state in RETRYABLE_BY_NAME)
    edited = [item for item in items if item.item_key in named]
    _check_retryable(batch_id, edited)
    for name, times in Counter(named.values()).items():
        # One activity for two of their items would be registered twice.
        if times > 1:
            raise BatchStateError(
                batch_id,
                f"{name} has {times} items that can be edited. Give the item key of the one you mean.",
            )
    for item in edited:
        # Another activity under a new key, beside a record that may exist, would be a second record.
        if item.in_doubt:
            raise BatchStateError(
                batch_id,
                f"it is not known whether {item.item_key} was registered. Retry it unchanged first to find "
                "out, and edit it only if it then fails.",
            )
    for activity in activities.values():
        check_storable(activity)
    return {item_key: activities[name] for item_key, name in named.items()}


def select_for_retry(
    batch_id: str,
    items: Sequence[StoredItem],
    mentor_ids: Collection[str] | None,
    mode: SubmissionMode,
    *,
    edited: Collection[str] = (),
) -> list[StoredItem]:
    """
    Return the failed and unknown items but for `driver_lost` ones, or those named, in request order.

    A mentor's id names all their items that can be retried, an item key one. Who is
    edited is named by that, and of an all-or-nothing batch then everybody who was not skipped.
    Who was erased is never taken up.

    Raises:
        BatchStateError: nothing to retry, a named item is in another state, or
            some of an all-or-nothing batch are named and not all.
        EmptySelectionError, DuplicateSelectionError, UnknownMentorError: what is
            named cannot be taken up.
    """
    if mentor_ids is None and edited and mode is SubmissionMode.ATOMIC:
        selected = _whole(items)
        _check_retryable(batch_id, selected)
    elif mentor_ids is None:
        failed = {item.item_key for item in items if item.state in RETRYABLE_STATES and not item.is_erased}
        # The process may die of it again, and somebody should have looked first; decision 104.
        selected = [
            item
            for item in items
            if item.item_key in edited or (item.item_key in failed and item.code != DRIVER_LOST.code)
        ]
        if failed and not selected:
            raise BatchStateError(
                batch_id,
                "the only failed items left are those at which the process ended. Find out why, then retry "
                "them by name.",
            )
        if not selected:
            raise BatchStateError(
                batch_id, "it has no failed item to retry. Name the mentors to retry cancelled ones."
            )
    else:
        selected = _named(batch_id, items, mentor_ids)
        _check_edits_are_named(selected, edited)
    # A part of it would end apart from the rest; decision 25.
    if mode is SubmissionMode.ATOMIC:
        _check_whole(batch_id, items, selected)
    return selected


def _named(batch_id: str, items: Sequence[StoredItem], names: Collection[str]) -> list[StoredItem]:
    if not names:
        raise EmptySelectionError
    named = names_of_items(items, names, is_meant=lambda item, _: item.state in RETRYABLE_BY_NAME)
    selected = [item for item in items if item.item_key in named]
    _check_retryable(batch_id, selected)
    return selected


def _check_retryable(batch_id: str, selected: Sequence[StoredItem]) -> None:
    if erased := [item.item_key for item in selected if item.is_erased]:
        raise BatchStateError(
            batch_id, f"{erased[0]} is erased, so it cannot be registered. Retry the others."
        )
    fixed = sorted((item for item in selected if item.state not in RETRYABLE_BY_NAME), key=_by_key)
    if fixed:
        raise BatchStateError(
            batch_id,
            f"{fixed[0].item_key} is {fixed[0].state.value}; only failed, unknown and cancelled items can be "
            "retried.",
        )


def _check_edits_are_named(selected: Sequence[StoredItem], edited: Collection[str]) -> None:
    if left_out := sorted(set(edited) - {item.item_key for item in selected}):
        raise InvalidValueError(
            "activities",  # noqa: EM101 - an argument's name
            f"must not name {left_out[0]}, which mentor_ids does not name: name all items in both, or omit "
            "mentor_ids",
        )


def _whole(items: Sequence[StoredItem]) -> list[StoredItem]:
    return [item for item in items if item.state is not ItemState.SKIPPED and not item.is_erased]


def _check_whole(batch_id: str, items: Sequence[StoredItem], selected: Sequence[StoredItem]) -> None:
    if len(selected) < len(_whole(items)):
        raise BatchStateError(
            batch_id,
            "it is all or nothing, so it can only be retried as a whole. Name all mentors that were not "
            "skipped.",
        )

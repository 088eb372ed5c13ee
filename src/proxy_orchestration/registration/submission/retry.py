"""
Retries what failed in a settled batch; nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Final

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.errors import BatchStateError, EmptySelectionError
from proxy_orchestration.registration.ledger import StoredItem
from proxy_orchestration.registration.reasons import DRIVER_LOST
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import RETRYABLE_BY_NAME, RETRYABLE_STATES, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.further_run import FurtherRun
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
    ) -> int:
        """
        Open a run over the items to retry and return its number.
        """
        record = await self.authorization.authorized_batch(batch_id, actor, Action.RETRY)
        self.further_run.check_may_open(record, expected_run)
        items = await self.further_run.items(batch_id)
        selected = select_for_retry(batch_id, items, mentor_ids, record.mode)
        return await self.further_run.open(record, actor, selected, {})


def select_for_retry(
    batch_id: str,
    items: Sequence[StoredItem],
    mentor_ids: Collection[str] | None,
    mode: SubmissionMode,
) -> list[StoredItem]:
    """
    Return the failed and unknown items but for `driver_lost` ones, or those named, in request order.

    A mentor's id names all their items that can be retried, an item key one.

    Raises:
        BatchStateError: nothing to retry, a named item is in another state, or
            some of an all-or-nothing batch are named and not all.
        EmptySelectionError, DuplicateSelectionError, UnknownMentorError: what is
            named cannot be taken up.
    """
    if mentor_ids is None:
        failed = [item for item in items if item.state in RETRYABLE_STATES]
        # The process may die of it again, and somebody should have looked first; decision 104.
        selected = [item for item in failed if item.code != DRIVER_LOST.code]
        if failed and not selected:
            raise BatchStateError(
                batch_id,
                "only items that the process died of are left. Retry them by name once you know why.",
            )
        if not selected:
            raise BatchStateError(batch_id, "nothing in it failed, so there is nothing to retry.")
    else:
        selected = _named(batch_id, items, mentor_ids)
    # A part of it would end apart from the rest; decision 25.
    if mode is SubmissionMode.ATOMIC:
        _check_whole(batch_id, items, selected)
    return selected


def _named(batch_id: str, items: Sequence[StoredItem], names: Collection[str]) -> list[StoredItem]:
    if not names:
        raise EmptySelectionError
    named = names_of_items(items, names, is_meant=lambda item, _: item.state in RETRYABLE_BY_NAME)
    selected = [item for item in items if item.item_key in named]
    fixed = sorted((item for item in selected if item.state not in RETRYABLE_BY_NAME), key=_by_key)
    if fixed:
        raise BatchStateError(
            batch_id,
            f"{fixed[0].item_key} is {fixed[0].state.value}; only failed, unknown and cancelled ones "
            "are retried.",
        )
    return selected


def _check_whole(batch_id: str, items: Sequence[StoredItem], selected: Sequence[StoredItem]) -> None:
    left = [item for item in items if item.state is not ItemState.SKIPPED]
    if len(selected) < len(left):
        raise BatchStateError(
            batch_id,
            "it is all or nothing, so it is retried as a whole. Name all mentors that were not skipped.",
        )

"""
Retries what failed in a settled batch; nothing else is touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.errors import BatchStateError, DuplicateSelectionError, EmptySelectionError
from proxy_orchestration.registration.ledger import StoredItem
from proxy_orchestration.registration.reasons import DRIVER_LOST
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import RETRYABLE_BY_NAME, RETRYABLE_STATES, ItemState
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.further_run import FurtherRun, check_members


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
        _check_named(batch_id, items, mentor_ids)
        selected = [item for item in items if item.mentor_id in set(mentor_ids)]
    # A part of it would end apart from the rest; decision 25.
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


def _check_whole(batch_id: str, items: Sequence[StoredItem], selected: Sequence[StoredItem]) -> None:
    left = [item for item in items if item.state is not ItemState.SKIPPED]
    if len(selected) < len(left):
        raise BatchStateError(
            batch_id,
            "it is all or nothing, so it is retried as a whole. Name all mentors that were not skipped.",
        )

"""
Reads decisions about conflicts from a form, and carries them out once the batch has settled.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TypeVar

import anyio
import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.access import Actor
from proxy_orchestration.console.forms import Form, FormError
from proxy_orchestration.console.languages import marked
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.registration.batches import BulkSubmissionResult
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.flow import (
    BulkAllConflictsDecided,
    BulkAnswered,
    BulkConflictDecided,
    BulkReviewing,
    BulkReviewingBatch,
    BulkSubmitting,
    ResolveBulk,
    bulk_flow_after,
)
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator

_log = logging.getLogger(_loggers.CONSOLE)

FIELD: Final = "decision:"
SKIP_ALL: Final = "skip_all"
_SECONDS_UNTIL_MET: Final = 600.0

ReviewT = TypeVar("ReviewT", BulkReviewing, BulkReviewingBatch)


def by_item(result: BulkSubmissionResult) -> BulkSubmissionResult:
    """
    Return the result with each item's key in the place of its mentor.

    The flow names each mentor once, and a file may have several lines of one: each of these is retried
    and decided by itself; decision 406.
    """
    outcomes = tuple(
        each if each.item_key == each.mentor_id else attrs.evolve(each, mentor_id=each.item_key)
        for each in result.outcomes
    )
    return attrs.evolve(result, outcomes=outcomes)


def decided(form: Form) -> Mapping[str, ConflictDecision]:
    """
    Return the decisions in a form, by mentor id, or by item key of a batch that is stored.

    Raises:
        FormError: one of them is none.
    """
    try:
        return {mentor_id: ConflictDecision(value) for mentor_id, value in form.with_prefix(FIELD)}
    except ValueError:
        raise FormError(marked("This form was changed on its way. Reload the page.")) from None


def after_decisions(state: ReviewT, form: Form) -> ReviewT:
    """
    Return the review once the form's decisions are taken, or everybody is skipped at once.

    Raises:
        FormError: a decision is about somebody who is not under review.
    """
    kind = type(state)
    if form.get("do") == SKIP_ALL:
        skipped = bulk_flow_after(state, BulkAllConflictsDecided(decision=ConflictDecision.SKIP)).state
        assert isinstance(skipped, kind)  # noqa: S101 - a decision does not leave the review
        return skipped
    for mentor_id, decision in decided(form).items():
        step = bulk_flow_after(state, BulkConflictDecided(mentor_id=mentor_id, decision=decision))
        if step.refusal is not None or not isinstance(step.state, kind):
            raise FormError(marked("This form was changed on its way. Reload the page."))
        state = step.state
    return state


async def carry_out_decisions(
    orchestrator: BulkRegistrationOrchestrator, state: BulkSubmitting, *, batch_id: str, actor: Actor
) -> None:
    """
    Wait until the batch met the conflicts, and carry out what was decided before it was submitted.

    The flow does not ask twice about one record (decision 34). Should this process end first, or the
    batch be paused for longer, the mentors wait for a review like any others: nothing is registered
    that nobody decided.
    """
    # The decisions are stored with the batch nowhere: a run takes them only once it is settled; decision 282.
    with suppress(OrchestrationError), anyio.move_on_after(_SECONDS_UNTIL_MET):
        async with orchestrator.watch_batch(batch_id, actor=actor) as run:
            async for _ in run:
                pass
        result = await orchestrator.get_bulk_submission_status(batch_id, actor=actor)
        effects = bulk_flow_after(state, BulkAnswered(token=state.token, result=result)).effects
        for effect in (each for each in effects if isinstance(each, ResolveBulk)):
            await orchestrator.resolve_conflicts(
                batch_id, effect.decisions, actor=actor, expected_run=effect.expected_run, drive=False
            )
        return
    _log.info(
        "the decisions about batch %s could not be carried out; its mentors still wait for a review",
        batch_id,
        extra={"batch_id": batch_id},
    )

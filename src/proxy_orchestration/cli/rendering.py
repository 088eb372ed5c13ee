"""
Batches as people read them: a table per batch, a summary, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from proxy_orchestration.cli.conflicts import show_waiting
from proxy_orchestration.cli.json_output import page_document, result_document
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.registration.batches import (
    BatchPage,
    BatchSummary,
    BulkSubmissionResult,
    CancelReport,
    MentorOutcome,
)
from proxy_orchestration.registration.states import OPEN_STATES, RETRYABLE_STATES, BulkStatus, ItemState

STATE_STYLES: Final[Mapping[ItemState, str]] = MappingProxyType(
    {
        ItemState.SUCCEEDED: "green",
        ItemState.FAILED: "red",
        ItemState.UNKNOWN: "magenta",
        ItemState.NEEDS_REVIEW: "yellow",
        ItemState.CANCELLED: "dim",
        ItemState.SKIPPED: "dim",
    }
)


def show_result(output: Output, result: BulkSubmissionResult, common: Common) -> None:
    """
    Write one batch: the whole of it as JSON, or its table, with the summary beside it.
    """
    if output.as_json:
        output.document(result_document(result))
    else:
        show_outcomes(output, result)
    conclude(output, result, common)


def show_outcomes(output: Output, result: BulkSubmissionResult) -> None:
    """
    Write a line per mentor, in request order, and below them who waits for a decision.
    """
    output.table(
        ("MENTOR", "STATE", "ACTIVITY OR REASON"), [_outcome_row(outcome) for outcome in result.outcomes]
    )
    show_waiting(output, result)


def conclude(output: Output, result: BulkSubmissionResult, common: Common) -> None:
    """
    Write the counts, and each thing that can be done next with the command for it.
    """
    output.conclude(summary_of(result))
    for step in next_steps(result, common):
        output.conclude(step)


def show_page(output: Output, page: BatchPage) -> None:
    """
    Write one page of batches.
    """
    if output.as_json:
        output.document(page_document(page))
        return
    if page.batches:
        output.table(
            ("BATCH", "STATUS", "MENTORS", "RUN", "SUBMITTED (UTC)", "LABEL"),
            [_batch_row(b) for b in page.batches],
        )
    pages = max(1, -(-page.total // page.limit))
    noun = "batch" if page.total == 1 else "batches"
    output.conclude(f"{page.total} {noun}, page {page.page} of {pages}.")


def cancel_sentence(report: CancelReport) -> str:
    """
    Say what a cancel did to whom.
    """
    return (
        f"{report.never_started} never started and are cancelled, {report.finished} finished meanwhile, "
        f"{report.in_doubt} in doubt, {report.already_settled} were settled before."
    )


def tally(counts: Mapping[ItemState, int]) -> str:
    """
    Return the counts in words, states without items left out.
    """
    return ", ".join(
        f"{number} {_counted(state, number)}" for state in ItemState if (number := counts.get(state))
    )


def _counted(state: ItemState, number: int) -> str:
    return "need review" if state is ItemState.NEEDS_REVIEW and number > 1 else words(state)


def words(value: ItemState | BulkStatus) -> str:
    """
    Return a state or a status as people read it.
    """
    return str(value.value).replace("_", " ")


def summary_of(result: BatchSummary) -> str:
    """
    Return the one line that says how a batch stands.
    """
    noun = "mentor" if result.total == 1 else "mentors"
    return (
        f"{result.total} {noun}: {tally(result.counts)}. "
        f"Batch {result.batch_id}, run {result.run}: {words(result.status)}."
    )


def next_steps(result: BulkSubmissionResult, common: Common) -> Iterator[str]:
    """
    Yield what can be done with the batch as it stands, one sentence each.
    """
    batch_id, counts = result.batch_id, result.counts
    if any(counts.get(state) for state in OPEN_STATES) or result.settled_at is None:
        yield f"Look on:  {common.command('watch', batch_id)}"
        yield f"Carry on:  {common.resume_command}"
        return
    if any(counts.get(state) for state in RETRYABLE_STATES):
        hopeful = any(outcome.failure and outcome.failure.retryable for outcome in result.outcomes)
        when = "Retry what failed" if hopeful else "Retry once the reasons are gone"
        yield f"{when}:  {common.command('retry', batch_id)}"
    if cancelled := [
        outcome.mentor_id for outcome in result.outcomes if outcome.state is ItemState.CANCELLED
    ]:
        yield f"Take up a cancelled one:  {common.command('retry', batch_id, '--mentor', cancelled[0])}"
    if counts.get(ItemState.NEEDS_REVIEW):
        yield f"Decide one by one:  {common.command('review', batch_id)}"
        with_file = common.command("review", batch_id, "--decisions", "decisions.csv")
        yield f"Decide with a file (columns mentor_id,decision: override or skip):  {with_file}"


def _outcome_row(outcome: MentorOutcome) -> tuple[Cell, Cell, Cell]:
    style = STATE_STYLES.get(outcome.state, "")
    return Cell(outcome.mentor_id), Cell(words(outcome.state), style), Cell(_detail(outcome))


def _detail(outcome: MentorOutcome) -> str:
    if outcome.activity_id is not None:
        return outcome.activity_id
    if outcome.failure is None:
        return ""
    record = f" (record {outcome.conflicting_activity_id})" if outcome.conflicting_activity_id else ""
    return f"{outcome.failure.message}{record}"


def _batch_row(batch: BatchSummary) -> tuple[Cell, ...]:
    return (
        Cell(batch.batch_id),
        Cell(words(batch.status)),
        Cell(str(batch.total)),
        Cell(str(batch.run)),
        Cell(f"{batch.submitted_at:%Y-%m-%d %H:%M:%S}"),
        Cell(batch.label or ""),
    )

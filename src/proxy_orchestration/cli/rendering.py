"""
Formats batches, conflicts and reasons for people: tables, a summary, and the next commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.cli.exits import ExitCode, code_of_batch
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.registration.batches import BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS, DRIVER_LOST
from proxy_orchestration.registration.states import OPEN_STATES, RETRYABLE_STATES, ItemState

_STATE_STYLES: Final = {
    ItemState.SUCCEEDED: "green",
    ItemState.FAILED: "red",
    ItemState.UNKNOWN: "magenta",
    ItemState.NEEDS_REVIEW: "yellow",
    ItemState.CANCELLED: "dim",
    ItemState.SKIPPED: "dim",
}


def words(value: Enum | str) -> str:
    """
    Return a state, a status, a tier or a code as people read it.
    """
    return str(value.value if isinstance(value, Enum) else value).replace("_", " ")


def counted(number: int, one: str, many: str) -> str:
    """
    Return a number with its noun.
    """
    return f"{number} {one if number == 1 else many}"


def show_result(common: Common, result: BulkSubmissionResult) -> ExitCode:
    """
    Write one batch: the whole of it as JSON, or its table, with the summary beside it; return its code.
    """
    if common.as_json:
        common.output.document(result)
    else:
        show_outcomes(common.output, result)
    conclude(common, result)
    return code_of_batch(result)


def show_outcomes(output: Output, result: BulkSubmissionResult) -> None:
    """
    Write a line per mentor, in request order, and below them who waits for a decision.
    """
    output.table(
        ("MENTOR", "STATE", "ACTIVITY OR REASON"), [_outcome_row(outcome) for outcome in result.outcomes]
    )
    if waiting := waiting_of(result):
        output.conclude("")
        output.conclude(waiting_sentence(result))
        rows = [
            (shown_name(each.mentor_id, each.item_key), reason_of(each), each.conflicting_activity_id)
            for each in waiting
        ]
        show_conflicts(output, rows)
        output.conclude("")


def shown_name(mentor_id: str, item_key: str | None) -> str:
    """
    Return the mentor, and where that is not enough the name by which a verb is told of the item.
    """
    return mentor_id if item_key in {None, mentor_id} else f"{mentor_id} ({item_key})"


def show_conflicts(output: Output, conflicts: Sequence[tuple[str, str, str | None]]) -> None:
    """
    Write a line per mentor in conflict, with the kind of conflict and the existing activity.
    """
    rows = [
        (mentor_id, Cell(words(kind), "red" if kind == "refused" else "yellow"), existing or "")
        for mentor_id, kind, existing in conflicts
    ]
    output.table(("MENTOR", "CONFLICT", "EXISTING ACTIVITY"), rows)


def waiting_of(result: BulkSubmissionResult) -> tuple[MentorOutcome, ...]:
    """
    Return those who wait for their own decision, in request order.
    """
    return tuple(outcome for outcome in result.needs_review if reason_of(outcome) != AWAITING_DECISIONS.code)


def reason_of(outcome: MentorOutcome) -> str:
    """
    Return why a mentor waits, as the library's code for it.
    """
    return outcome.failure.code if outcome.failure else ""


def waiting_sentence(result: BulkSubmissionResult) -> str:
    """
    Say how many wait for a decision of their own, and how many for those of others.
    """
    waiting = len(waiting_of(result))
    verb = "waits" if waiting == 1 else "wait"
    told = f"{waiting} of {result.total} {verb} for a decision."
    others = len(result.needs_review) - waiting
    return f"{told} All or nothing: {others} without a conflict wait as well." if others else told


def conclude(common: Common, result: BulkSubmissionResult) -> None:
    """
    Write the counts, and each thing that can be done next with the command for it.
    """
    common.output.conclude(
        f"{counted(result.total, 'mentor', 'mentors')}: {tally(result.counts)}. "
        f"Batch {result.batch_id}, run {result.run}: {words(result.status)}."
    )
    for step in _next_steps(result, common):
        common.output.conclude(step)


def tally(counts: Mapping[ItemState, int]) -> str:
    """
    Return the counts in words, states without items left out.
    """
    return ", ".join(
        counted(number, words(state), "need review" if state is ItemState.NEEDS_REVIEW else words(state))
        for state in ItemState
        if (number := counts.get(state))
    )


def _next_steps(result: BulkSubmissionResult, common: Common) -> Iterator[str]:
    batch_id, counts = result.batch_id, result.counts
    if any(counts.get(state) for state in OPEN_STATES) or result.settled_at is None:
        yield f"Watch it:  {common.command('watch', batch_id)}"
        if result.paused_at is not None:
            yield f"Let it continue:  {common.command('unpause', batch_id)}"
            return
        yield f"Continue:  {common.command('resume', with_actor=False)}"
        return
    yield from _retries(result, common)
    if counts.get(ItemState.NEEDS_REVIEW):
        yield f"Decide one by one:  {common.command('review', batch_id)}"
        with_file = common.command("review", batch_id, "--decisions", "decisions.csv")
        yield f"Decide with a file (columns mentor_id,decision: override or skip):  {with_file}"


def _retries(result: BulkSubmissionResult, common: Common) -> Iterator[str]:
    """
    Say how what has not succeeded is retried: by name what a plain retry leaves out, or should leave alone.
    """
    known = [outcome for outcome in result.outcomes if not is_pseudonym(outcome.mentor_id)]
    cancelled = [outcome for outcome in known if outcome.state is ItemState.CANCELLED]
    failed = [outcome for outcome in known if outcome.state in RETRYABLE_STATES]
    lost = [outcome for outcome in failed if reason_of(outcome) == DRIVER_LOST.code]
    # A plain retry would register whom somebody has just cancelled, if a call under way did not.
    doubted = [outcome for outcome in failed if cancelled and outcome.state is ItemState.UNKNOWN]
    doubted = [outcome for outcome in doubted if outcome not in lost]
    others = [outcome for outcome in failed if outcome not in (*lost, *doubted)]
    if others and not doubted:
        hopeful = any(outcome.failure and outcome.failure.retryable for outcome in others)
        if not hopeful and any(map(_is_mistyped, others)):
            yield f"Write what failed into a file:  {common.command('export', result.batch_id, '--failed')}"
            again = common.command("retry", result.batch_id, "--with", "corrected.csv")
            yield f"Correct it there, and retry:  {again}"
        else:
            when = "Retry what failed" if hopeful else "Retry after the causes are fixed"
            yield f"{when}:  {common.command('retry', result.batch_id)}"
    by_name = {
        "Retry a failed mentor": others if doubted else [],
        "Retry a mentor in doubt; the mentor is registered only if that has not happened yet": doubted,
        "Retry a mentor whose call ended the process": lost,
        "Retry a cancelled mentor": cancelled,
    }
    for what, outcomes in by_name.items():
        if outcomes:
            yield f"{what}:  {common.command('retry', result.batch_id, '--mentor', outcomes[0].item_key)}"


def _is_mistyped(outcome: MentorOutcome) -> bool:
    """
    Tell whether what was submitted is at fault, so that the same again fails again.
    """
    return reason_of(outcome).startswith(("date_", "duration_"))


def _outcome_row(outcome: MentorOutcome) -> tuple[str, Cell, str]:
    detail = outcome.activity_id or ""
    if outcome.activity_id is None and outcome.failure is not None:
        existing = outcome.conflicting_activity_id
        detail = outcome.failure.message + (f" (record {existing})" if existing else "")
    style = _STATE_STYLES.get(outcome.state, "")
    return shown_name(outcome.mentor_id, outcome.item_key), Cell(words(outcome.state), style), detail

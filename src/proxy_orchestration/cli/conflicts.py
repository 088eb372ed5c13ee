"""
Conflicts as people read them: what a preview found, and who of a batch waits for a decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy_orchestration.cli.json_output import report_document
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.registration.batches import BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictReport
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS

_HEADER: Final = ("MENTOR", "CONFLICT", "EXISTING ACTIVITY")


def show_report(output: Output, report: ConflictReport, file: Path, common: Common) -> None:
    """
    Write what a preview found: all of it as JSON, or who does not go ahead, with the counts beside it.
    """
    rows = [
        _row(conflict.mentor_id, conflict.kind.value, conflict.existing_activity_id)
        for conflict in report.conflicts
    ]
    rows += [(Cell(mentor_id), Cell("refused", "red"), Cell("")) for mentor_id in report.refused]
    if output.as_json:
        output.document(report_document(report))
    elif rows:
        output.table(_HEADER, rows)
    noun = "mentor" if report.total == 1 else "mentors"
    output.conclude(
        f"{report.total} {noun}: {len(report.clean)} clean, {len(report.conflicts)} in conflict, "
        f"{len(report.refused)} refused. Nothing was stored."
    )
    for step in _register_steps(report, file, common):
        output.conclude(step)


def _register_steps(report: ConflictReport, file: Path, common: Common) -> Iterator[str]:
    register = common.command("register", str(file))
    if not report.conflicts:
        yield f"Register:  {register}"
        return
    yield f"Register, and let those in conflict wait for a decision:  {register}"
    yield f"Register, and leave those in conflict out:  {register} --on-conflict skip"
    yield f"Register, those in conflict a second time:  {register} --on-conflict override"


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


def show_waiting(output: Output, result: BulkSubmissionResult) -> None:
    """
    Write who of a batch waits for a decision, and over which existing activity; nothing where nobody waits.
    """
    waiting = waiting_of(result)
    if not waiting:
        return
    output.conclude("")
    output.conclude(waiting_sentence(result))
    output.table(
        _HEADER,
        [_row(outcome.mentor_id, reason_of(outcome), outcome.conflicting_activity_id) for outcome in waiting],
    )
    output.conclude("")


def waiting_sentence(result: BulkSubmissionResult) -> str:
    """
    Say how many wait for a decision of their own, and how many for those of others.
    """
    waiting = len(waiting_of(result))
    verb = "waits" if waiting == 1 else "wait"
    told = f"{waiting} of {result.total} {verb} for a decision."
    others = len(result.needs_review) - waiting
    return f"{told} All or nothing: {others} without a conflict wait for that too." if others else told


def words(reason: str) -> str:
    """
    Return a kind of conflict as people read it.
    """
    return reason.replace("_", " ")


def _row(mentor_id: str, reason: str, existing: str | None) -> tuple[Cell, Cell, Cell]:
    return Cell(mentor_id), Cell(words(reason), "yellow"), Cell(existing or "")

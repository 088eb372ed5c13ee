"""
The commands that drive nothing: preview, status, watch, cancel, list.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.conflicts import show_report
from proxy_orchestration.cli.exits import ExitCode, code_of_batch, code_of_report
from proxy_orchestration.cli.json_output import cancel_document, progress_line, result_line
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.cli.rendering import (
    cancel_sentence,
    conclude,
    next_steps,
    show_outcomes,
    show_page,
    show_result,
    summary_of,
)
from proxy_orchestration.cli.session import Session
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.states import BulkStatus


async def preview(
    session: Session, request: BulkRegistrationRequest, *, actor: Actor, file: Path
) -> ExitCode:
    """
    Show which mentors of the request conflict with what is registered.
    """
    report = await session.orchestrator.preview(request, actor=actor)
    show_report(session.output, report, file, session.common)
    return code_of_report(report)


async def status(session: Session, batch_id: str, *, actor: Actor) -> ExitCode:
    """
    Show a batch as it stands.
    """
    result = await session.orchestrator.get_bulk_submission_status(batch_id, actor=actor)
    show_result(session.output, result, session.common)
    return code_of_batch(result)


async def watch(session: Session, batch_id: str, *, actor: Actor, after: int) -> ExitCode:
    """
    Show a batch, update by update, until its run is settled.
    """
    output = session.output
    async with session.orchestrator.watch_batch(batch_id, actor=actor, after=after) as run:
        with show_progress(output) as board:
            view = board.view("Watching", total=run.total)
            async for update in run:
                view.take(update)
                if output.as_json:
                    output.line(progress_line(update))
    if output.as_json:
        output.line(result_line(run.result))
    else:
        show_outcomes(output, run.result)
    conclude(output, run.result, session.common)
    return code_of_batch(run.result)


async def cancel(session: Session, batch_id: str, *, actor: Actor, reason: str | None) -> ExitCode:
    """
    Cancel what has not begun and say what became of the rest.
    """
    report = await session.orchestrator.cancel_batch(batch_id, actor=actor, reason=reason)
    result = await session.orchestrator.get_bulk_submission_status(batch_id, actor=actor)
    if session.output.as_json:
        session.output.document(cancel_document(report, result))
    session.output.conclude(cancel_sentence(report))
    session.output.conclude(summary_of(result))
    for step in next_steps(result, session.common):
        session.output.conclude(step)
    return ExitCode.SUCCESS if result.settled_at else ExitCode.WRONG_STATE


async def list_batches(
    session: Session, *, actor: Actor, page: int, limit: int, statuses: Collection[BulkStatus] | None
) -> ExitCode:
    """
    Show a page of batches, newest first.
    """
    batches = await session.orchestrator.list_batches(actor=actor, page=page, limit=limit, statuses=statuses)
    show_page(session.output, batches)
    return ExitCode.SUCCESS

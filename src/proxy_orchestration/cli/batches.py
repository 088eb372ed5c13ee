"""
The commands for stored batches: status, retry, cancel, pause, unpause, watch, list and resume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import attrs
import typer

from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.access import Actor
from proxy_orchestration.cli.exits import ExitCode, code_of_batch, worst
from proxy_orchestration.cli.failed_items import corrected
from proxy_orchestration.cli.layout_options import (
    ColumnsOption,
    EncodingOption,
    IgnoreOption,
    SheetOption,
    layout_of,
)
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    AppOption,
    BatchArgument,
    Common,
    ConcurrencyOption,
    ExpectedRunOption,
    JsonOption,
    StoreOption,
    coordinator,
)
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.ownership import check_batch, others_waiting, told_of_others
from proxy_orchestration.cli.progress import RunView, drive, show_progress
from proxy_orchestration.cli.rendering import conclude, counted, show_outcomes, show_result, words
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, run_command
from proxy_orchestration.errors import StaleRunError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import BatchPage, BatchSummary
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.states import BulkStatus

MentorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--mentor",
        metavar="ID",
        help="Retry only this mentor, even if cancelled, or only the item with this key. May be repeated.",
    ),
]
CorrectionsOption = Annotated[
    Path | None,
    typer.Option(
        "--with",
        metavar="FILE",
        help="Retry only the lines of this file, as corrected. export BATCH --failed writes such a file.",
        show_default=False,
    ),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="The reason; it is stored with the batch.")
]
AfterOption = Annotated[
    int, typer.Option("--after", min=0, help="Start after the update with this sequence number.")
]
PageOption = Annotated[int, typer.Option("--page", min=1, help="The page to show, from 1.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100, help="Batches per page.")]
StatusesOption = Annotated[
    list[BulkStatus] | None,
    typer.Option("--status", help="Show only batches with this status. May be repeated."),
]


_MOST_RESUMED: Final = 1000
_PAGE: Final = 500
_POLL_INTERVAL: Final = 0.2


def status(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Show the state of a batch and of each mentor in it.
    """

    async def work(session: Session) -> ExitCode:
        result = await session.orchestrator.get_bulk_submission_status(batch, actor=actor)
        return show_result(session.common, result)

    run_command(Common(store=store, as_json=as_json, actor=actor), work, if_interrupted=NOTHING_CHANGED)


def retry(  # noqa: PLR0913 - a command's parameters are its options
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    mentors: MentorsOption = None,
    corrections: CorrectionsOption = None,
    expected_run: ExpectedRunOption = None,
    concurrency: ConcurrencyOption = 5,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Retry the failed and unknown mentors of a batch. Mentors that succeeded are not registered again.
    """
    if mentors and corrections is not None:
        msg = "The file already names the mentors. Give only one of the two options."
        raise typer.BadParameter(msg, param_hint="--mentor or --with")
    common = Common(store=store, as_json=as_json, actor=actor, concurrency=concurrency, app=app)
    layout = layout_of(common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)

    async def work(session: Session) -> ExitCode:
        await check_batch(session, batch, actor)
        keys: Sequence[str] | None = mentors or None
        edited: Mapping[str, ProxyActivity] | None = None
        if corrections is not None:
            await _check_run(session, batch, actor, expected_run)
            told = await corrected(session, batch, actor, corrections, layout)
            keys, edited = told.keys, told.edited or None
            session.output.say(f"{counted(len(told.keys), 'line', 'lines')}, {len(told.edited)} corrected.")
        await session.orchestrator.retry_failed_items(
            batch, actor=actor, mentor_ids=keys, activities=edited, expected_run=expected_run, drive=False
        )
        return await drive(session, batch, title="Retrying")

    run_command(common, work, if_interrupted=common.carry_on)


async def _check_run(session: Session, batch_id: str, actor: Actor, expected_run: int | None) -> None:
    """
    Refuse an earlier run before its file is compared with what has become of the batch since.
    """
    if expected_run is not None:
        summary = await session.orchestrator.get_batch_summary(batch_id, actor=actor)
        if summary.run != expected_run:
            raise StaleRunError(batch_id, expected_run=expected_run, current_run=summary.run)


def cancel(  # noqa: PLR0913 - a command's parameters are its options
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Cancel the mentors of a batch that have not begun. Calls in progress may finish.
    """
    common = Common(store=store, as_json=as_json, actor=actor, app=app)

    async def work(session: Session) -> ExitCode:
        await check_batch(session, batch, actor)
        report = await session.orchestrator.cancel_batch(batch, actor=actor, reason=reason)
        result = await session.orchestrator.get_bulk_submission_status(batch, actor=actor)
        if as_json:
            batch_fields = {"batch_id": result.batch_id, "status": result.status}
            session.output.document({**batch_fields, **report.to_dict()})
        session.output.conclude(
            f"{report.never_started} never started and were cancelled, {report.finished} finished in the "
            f"meantime, {report.in_doubt} in doubt, {report.already_settled} were already settled."
        )
        conclude(common, result)
        return ExitCode.SUCCESS if result.settled_at else ExitCode.WRONG_STATE

    look = f"The batch may already be cancelled. Check it:  {common.command('status', batch)}"
    run_command(common, work, if_interrupted=look)


def pause(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Pause a batch: no new call begins until it is unpaused. Calls in progress finish.
    """

    async def work(session: Session) -> ExitCode:
        summary = await session.orchestrator.pause_batch(batch, actor=actor)
        return await _show_pause(session, summary, actor)

    common = Common(store=store, as_json=as_json, actor=actor)
    look = f"The batch may already be paused. Check it:  {common.command('status', batch)}"
    run_command(common, work, if_interrupted=look)


def unpause(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Let a paused batch continue. This command drives nothing; use resume or serve.
    """

    async def work(session: Session) -> ExitCode:
        summary = await session.orchestrator.resume_batch(batch, actor=actor)
        return await _show_pause(session, summary, actor)

    common = Common(store=store, as_json=as_json, actor=actor)
    look = f"The batch may already be unpaused. Check it:  {common.command('status', batch)}"
    run_command(common, work, if_interrupted=look)


async def _show_pause(session: Session, summary: BatchSummary, actor: Actor) -> ExitCode:
    if session.output.as_json:
        session.output.document(summary)
    else:
        result = await session.orchestrator.get_bulk_submission_status(summary.batch_id, actor=actor)
        conclude(session.common, result)
    return ExitCode.SUCCESS


def watch(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    after: AfterOption = 0,
    as_json: JsonOption = False,
) -> None:
    """
    Show each outcome as it comes, until the batch is settled. This command drives nothing.
    """

    async def work(session: Session) -> ExitCode:
        output = session.output
        async with session.orchestrator.watch_batch(batch, actor=actor, after=after) as run:
            with show_progress(output) as board:
                view = board.view("Watching", total=run.total)
                async for update in run:
                    view.take(update)
                    if as_json:
                        output.line({"kind": "progress", **update.to_dict()})
        if as_json:
            output.line({"kind": "result", **run.result.to_dict()})
        else:
            show_outcomes(output, run.result)
        conclude(session.common, run.result)
        return code_of_batch(run.result)

    run_command(Common(store=store, as_json=as_json, actor=actor), work, if_interrupted=NOTHING_CHANGED)


def list_batches(  # noqa: PLR0913 - a command's parameters are its options
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    page: PageOption = 1,
    limit: LimitOption = 20,
    statuses: StatusesOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List batches, newest first.
    """

    async def work(session: Session) -> ExitCode:
        found = await session.orchestrator.list_batches(
            actor=actor, page=page, limit=limit, statuses=statuses or None
        )
        _show_page(session.output, found)
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json, actor=actor), work, if_interrupted=NOTHING_CHANGED)


def _show_page(output: Output, page: BatchPage) -> None:
    if output.as_json:
        output.document(page)
        return
    rows = [
        (
            batch.batch_id,
            words(batch.status),
            str(batch.total),
            str(batch.run),
            f"{batch.submitted_at:%Y-%m-%d %H:%M:%S}",
            batch.label or "",
        )
        for batch in page.batches
    ]
    if rows:
        output.table(("BATCH", "STATUS", "MENTORS", "RUN", "SUBMITTED (UTC)", "LABEL"), rows)
    pages = max(1, -(-page.total // page.limit))
    output.conclude(f"{counted(page.total, 'batch', 'batches')}, page {page.page} of {pages}.")


def resume(
    *,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    concurrency: ConcurrencyOption = 5,
    as_json: JsonOption = False,
) -> None:
    """
    Continue every interrupted batch in the store.
    """
    common = Common(store=store, as_json=as_json, concurrency=concurrency, app=app)
    run_command(common, _resume, if_interrupted=common.carry_on)


async def _resume(session: Session) -> ExitCode:
    """
    Drive all that was interrupted to its end, waiting for leases of killed drivers.
    """
    others = await others_waiting(session)
    found = await session.orchestrator.repository.find_drivable(limit=_MOST_RESUMED)
    for run in found:
        if run.lease_remaining > 0:
            session.output.say(
                f"Another driver, perhaps a killed process, holds the lease of batch {run.batch_id}. Waiting "
                f"up to {run.lease_remaining:.1f} s for the lease to end."
            )
    batch_ids = [run.batch_id for run in found]
    driven = await _drive_in_view(session, batch_ids)
    code = await _show_resumed(session, list(dict.fromkeys((*batch_ids, *driven))), left_alone=others)
    if others:
        session.output.say(told_of_others(others))
    # what is left alone is refused, unless there is more to say about what was resumed
    return ExitCode.BAD_INPUT if others and code is ExitCode.SUCCESS and not batch_ids else code


async def _drive_in_view(session: Session, batch_ids: Sequence[str]) -> Sequence[str]:
    driven: Sequence[str] = ()
    with show_progress(session.output) as board:
        views: dict[str, RunView] = {}
        for batch_id in batch_ids:
            record = await session.repository.get(batch_id)
            if record is not None:
                views[batch_id] = board.view(
                    f"Resuming {batch_id}", total=record.total, settled=_settled(record), after=record.base
                )

        async def follow() -> None:
            while True:
                await _catch_up(session, views)
                await session.clock.sleep(_POLL_INTERVAL)

        async with open_task_group() as group:
            group.start_soon(follow)
            driven = await session.orchestrator.resume_interrupted()
            group.cancel_scope.cancel()
        await _catch_up(session, views)
    return driven


async def _catch_up(session: Session, views: Mapping[str, RunView]) -> None:
    """
    Show all that was logged since each view's last update.
    """
    for batch_id, view in views.items():
        while page := await session.repository.read_updates(batch_id, after=view.after, limit=_PAGE):
            for update in page:
                view.take(update)


def _settled(record: BatchRecord) -> int:
    return record.total - record.run_items + record.tail - record.base


async def _show_resumed(session: Session, batch_ids: Sequence[str], *, left_alone: int) -> ExitCode:
    results = []
    for batch_id in batch_ids:
        record = await session.repository.get(batch_id)
        result = await session.repository.read_result(batch_id)
        if record is None or result is None:
            continue  # somebody deleted it meanwhile
        results.append(result)
        if not session.output.as_json:
            show_outcomes(session.output, result)
        owner = coordinator(record.coordinator_id, record.organization_id)
        conclude(attrs.evolve(session.common, actor=owner), result)
    if not results:
        session.output.conclude("Nothing was interrupted; there is nothing to resume.")
    if session.output.as_json:
        session.output.document({"batches": results, "left_alone": left_alone})
    return worst(results)

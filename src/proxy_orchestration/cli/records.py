"""
The commands for stored records of certificate runs and mentors: runs, export and erase.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

import typer

from proxy_orchestration.cli.csv.corrections import written
from proxy_orchestration.cli.csv.problems import printable
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.failed_items import failed_items
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorIfOption,
    AfterOption,
    Common,
    JsonOption,
    MentorArgument,
    StoreOption,
    place_in,
)
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.rendering import counted, words
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, run_command
from proxy_orchestration.notification.run_log import RunEnding, RunRecord, page_of, run_place

_ERASE_AGAIN: Final = "Run the command again; it erases what is left."
_MOST: Final = 100

OfOrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        metavar="ORGANIZATION",
        help="Only runs with mentors of this organization, and only the counts for them.",
        show_default=False,
    ),
]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="MENTOR|BATCH",
        help="The mentor's id, as stored; with --failed, the id of a batch.",
        show_default=False,
    ),
]
FailedOption = Annotated[
    bool,
    typer.Option(
        "--failed", help="Write the failed mentors of a batch with the reasons, as a CSV file to correct."
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="The number of runs to show.")]
RegistrationsOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        metavar="ORGANIZATION",
        help="The organization whose registrations of the mentor are included. Default: only notices are.",
        show_default=False,
    ),
]


def runs(
    *,
    store: StoreOption = DEFAULT_STORE,
    organization: OfOrganizationOption = None,
    after: AfterOption = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """
    List the runs of notify, newest first, with how each ended and what it did.
    """
    place = place_in(after, run_place)

    async def work(session: Session) -> ExitCode:
        found = await session.notices.list_runs(organization, after=place, limit=limit + 1)
        page = page_of(tuple(found), limit=limit)
        if as_json:
            session.output.document(page)
        elif page.runs:
            _show_runs(session.output, page.runs)
        session.output.conclude(f"{counted(len(page.runs), 'run', 'runs')} shown.")
        if page.next_after is not None:
            session.output.conclude(f"More:  --after {page.next_after}")
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json), work, if_interrupted=NOTHING_CHANGED)


def export(  # noqa: PLR0913 - a command's parameters are its options
    subject: SubjectArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    organization: RegistrationsOption = None,
    failed: FailedOption = False,
    actor: ActorIfOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Write everything stored about one mentor as JSON, or the failed mentors of a batch as CSV.
    """
    if failed:
        _export_failed(Common(store=store, as_json=as_json, actor=actor), subject)
    _export_mentor(Common(store=store, as_json=as_json), subject, organization)


def _export_failed(common: Common, batch: str) -> NoReturn:
    actor = common.actor
    if actor is None:
        msg = "Give the coordinator who exports the failed mentors of a batch."
        raise typer.BadParameter(msg, param_hint="--actor")

    async def work(session: Session) -> ExitCode:
        items = await failed_items(session, batch, actor)
        if common.as_json:
            session.output.document({"batch_id": batch, "items": items})
        elif items:
            session.output.write(written(items))
        session.output.say(
            f"{counted(len(items), 'mentor', 'mentors')} to retry in batch {printable(batch)}."
        )
        if items:
            again = common.command("retry", batch, "--with", "corrected.csv")
            session.output.say(f"Save it, correct it, and retry:  {again}")
        return ExitCode.SUCCESS

    run_command(common, work, if_interrupted=NOTHING_CHANGED)


def _export_mentor(common: Common, mentor: str, organization: str | None) -> NoReturn:
    async def work(session: Session) -> ExitCode:
        told = await session.notifications.export_mentor(mentor)
        registered = None
        if organization is not None:
            registered = await session.orchestrator.export_mentor(mentor, organization_id=organization)
        if common.as_json:
            session.output.document({"notices": told, "registrations": registered})
        counts = [
            counted(len(told.notices), "notice", "notices"),
            counted(len(told.pushes), "push", "pushes"),
            counted(len(told.acknowledgements), "acknowledgement", "acknowledgements"),
            counted(len(told.visibility_changes), "change of visibility", "changes of visibility"),
        ]
        if registered is not None:
            counts.append(counted(len(registered.items), "item", "items"))
            counts.append(counted(len(registered.records), "record", "records"))
        session.output.conclude(f"{printable(mentor)}: {', '.join(counts)}. Use --json to write them.")
        return ExitCode.SUCCESS

    run_command(common, work, if_interrupted=NOTHING_CHANGED)


def erase(
    mentor: MentorArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    organization: RegistrationsOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Replace one mentor's id by a pseudonym, and delete the texts about the mentor.
    """

    async def work(session: Session) -> ExitCode:
        # The one that may be refused comes first.
        registered = None
        if organization is not None:
            registered = await session.orchestrator.erase_mentor(mentor, organization_id=organization)
        told = await session.notifications.erase_mentor(mentor)
        if as_json:
            session.output.document({"notices": told, "registrations": registered})
        counts = [counted(told.notices, "notice", "notices"), counted(told.pushes, "push", "pushes")]
        if registered is not None:
            counts.append(counted(registered.items, "item", "items"))
            counts.append(counted(registered.records, "record", "records"))
        session.output.conclude(f"Erased: {', '.join(counts)}. The mentor's id is now {told.pseudonym}.")
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json), work, if_interrupted=_ERASE_AGAIN)


def _show_runs(output: Output, shown: Sequence[RunRecord]) -> None:
    rows = [
        (
            f"{run.started_at:%Y-%m-%d %H:%M}",
            f"{run.as_of:%Y-%m-%d %H:%M}",
            Cell(words(run.ending), "green" if run.ending is RunEnding.COMPLETED else "red"),
            str(run.processed),
            str(run.created),
            str(run.skipped),
            str(run.failed),
            run.error,
        )
        for run in shown
    ]
    header = ("STARTED", "FOR", "ENDING", "CERTIFICATES", "CREATED", "SKIPPED", "FAILED", "ERROR")
    output.table(header, rows)
    output.conclude("")

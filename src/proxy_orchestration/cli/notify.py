"""
The commands that read certificates: notify and the data-quality report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Final

import attrs
import typer

from proxy_orchestration.cli.csv.certificates import CertificateFile, parse_certificates
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CsvProblem
from proxy_orchestration.cli.exits import ExitCode, code_of_shares
from proxy_orchestration.cli.layout_options import (
    ColumnsOption,
    EncodingOption,
    IgnoreOption,
    SheetOption,
    layout_of,
)
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    Common,
    IfAbsent,
    JsonOption,
    StoreOption,
    ZoneOption,
    moment,
)
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.cli.rendering import counted, words
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, ending_on_errors, run_command
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.results import NotificationPlan, OrchestrationResult, RecordProblem
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy, WindowPolicy, day_of

_RUN_AGAIN: Final = "Notices already written are kept. Run the command again; nobody is notified twice."
_EVERY_DAY: Final = 4_000_000
"""Days: more than the calendar has, so that every certificate is in a tier."""

_REASONS: Final = {
    "missing_coordinator_assignment": "no coordinator is assigned; chapter admins are notified instead",
    "empty_recipient_id": "the coordinator or a chapter admin has an empty id",
    "invalid_recipient_id": "a spreadsheet has changed the id of the coordinator or of a chapter admin",
    "stale_certificate": "another certificate of this type ends later; if that date is wrong, correct it",
    "repeated_certificate": "one certificate id appears twice with different end dates; the last one counts",
    "too_many_withdrawn": "more than a fifth of the known certificates are missing; none was withdrawn; if "
    "they are really gone, put them in the file as revoked",
    "feed_not_whole": "a certificate failed, so the file may be incomplete; no certificate was withdrawn",
    "withdrawal_failed": "the store failed while certificates were withdrawn; run the command again",
    "erased_mentor": "the mentor was erased, and this is their pseudonym",
    "empty_id": "the certificate id, the mentor id or the type is empty",
    "invalid_id": "the certificate id, the mentor id or the type has characters that no store can keep, or a "
    "spreadsheet has changed the mentor id",
    "unstorable_text": "a text has characters that no store can keep",
    "empty_text": "a text is empty",
    "link_failed": "no link to a course could be made; the notice is sent without one",
    "unreadable_record": "the certificate cannot be read",
    "repository_unavailable": "the store failed; run the command again",
    "record_refused": "the store refused the record",
}


_OF_THE_FILE: Final = frozenset({"too_many_withdrawn", "feed_not_whole", "withdrawal_failed"})
"""What is nobody's own."""

CertificatesArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV, or a workbook (.xlsx), with the columns certificate_id, mentor_id, certificate_type and "
        "expires (YYYY-MM-DD, DD.MM.YYYY, today+30, never, or a moment with its offset); optional: revoked "
        "(yes or no), holder_name, organization_id, chapter_id, locale, coordinator_id, chapter_admin_ids "
        "(separated by blanks, commas or semicolons).",
        show_default=False,
    ),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="MOMENT",
        parser=moment,
        help="Run as if it were this time: 2026-11-21T00:05Z, or today+3. Default: now.",
        show_default=False,
    ),
]
AllowFutureOption = Annotated[
    bool,
    typer.Option(
        "--allow-future",
        help="Allow --as-of to be more than an hour in the future. Mentors notified by such a run get no "
        "further notice until then.",
    ),
]
CompleteOption = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="The file is complete: known certificates of its organizations and types that are missing from "
        "it are withdrawn, unless more than a fifth are missing.",
    ),
]
PlanOption = Annotated[bool, typer.Option("--plan", help="Show what would be written, and write nothing.")]
DailyOption = Annotated[
    bool, typer.Option("--daily", help="Send a notice each day instead of one for each tier.")
]

reports: typer.Typer = typer.Typer(no_args_is_help=True, add_completion=False)


@reports.callback()
def _reports() -> None:
    """
    List what somebody should fix; writes nothing.
    """  # a callback keeps the name of a group that has one command


def notify(  # noqa: PLR0913 - a command's parameters are its options
    file: CertificatesArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    allow_future: AllowFutureOption = False,
    complete: CompleteOption = False,
    plan: PlanOption = False,
    zone: ZoneOption = None,
    daily: DailyOption = False,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Notify mentors and coordinators of the expiring certificates in a file, and queue pushes.
    """
    common = Common(store=store, as_json=as_json, if_absent=IfAbsent.PRETEND if plan else IfAbsent.CREATE)
    policy = ExpiryPolicy(
        timezone=zone or UTC, window=WindowPolicy.DAILY if daily else WindowPolicy.ONCE_PER_TIER
    )
    layout = layout_of(common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)
    content = _read_file(common, file, policy.timezone, layout)

    # A line that cannot be read may be any certificate's: without it nothing counts as missing.
    complete = complete and not content.unread

    async def work(session: Session) -> ExitCode:
        title = "Planning" if plan else "Notifying"
        with _prepared(session, content, policy, title=title) as (orchestrator, source):
            if plan:
                planned = await orchestrator.plan(source, as_of=as_of, complete=complete)
            else:
                result = await orchestrator.run(
                    source, as_of=as_of, allow_future=allow_future, complete=complete
                )
                planned = NotificationPlan(result=result, notices=())
        _show_run(session, content, planned, plan=plan, zone=zone)
        return _code_of_run(planned.result, unread=_lines(content.unread))

    run_command(common, work, if_interrupted=NOTHING_CHANGED if plan else _RUN_AGAIN)


@reports.command("data-quality")
def data_quality(  # noqa: PLR0913 - a command's parameters are its options
    file: CertificatesArgument,
    *,
    zone: ZoneOption = None,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    List mentors without a coordinator, and certificates that no run can process.
    """
    common = Common(store=None, as_json=as_json)
    policy = ExpiryPolicy(timezone=zone or UTC)
    layout = layout_of(common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)
    content = attrs.evolve(_read_file(common, file, policy.timezone, layout), names_recipients=True)
    policy = attrs.evolve(policy, thresholds=(_EVERY_DAY, *policy.thresholds[1:]))

    async def work(session: Session) -> ExitCode:
        with _prepared(session, content, policy, title="Looking") as (orchestrator, source):
            result = (await orchestrator.plan(source)).result
        output, problems = session.output, (*result.failures, *result.data_quality)
        if as_json:
            counts = {name: getattr(result, name) for name in ("processed", "failures", "data_quality")}
            output.document({**counts, "unread": content.unread})
        elif problems:
            _show_problems(output, "MENTOR", problems, content)
            output.conclude("")
        _show_unread(output, content.unread)
        to_fix = len(problems) + _lines(content.unread)
        output.conclude(f"Certificates read: {result.processed}. To fix: {to_fix}.")
        return ExitCode.NEEDS_REVIEW if to_fix else ExitCode.SUCCESS

    run_command(common, work, if_interrupted=NOTHING_CHANGED)


def _read_file(common: Common, path: Path, timezone: tzinfo, layout: Layout) -> CertificateFile:
    """
    Return what the file says, with the zone's present day for `today`; end the program at a fault.
    """
    with ending_on_errors(common.output):
        today = day_of(SystemClock().now(), timezone)
        return parse_certificates(path, name=str(path), today=today, layout=layout)


def _lines(unread: Sequence[CsvProblem]) -> int:
    """
    Return of how many lines something is wrong.
    """
    return len({problem.line for problem in unread})


def _show_unread(output: Output, unread: Sequence[CsvProblem]) -> None:
    if unread:
        output.conclude("")
        output.conclude("These lines could not be read, and were not processed:")
        for problem in unread:
            output.conclude(f"  {problem}")


def _code_of_run(result: OrchestrationResult, *, unread: int) -> ExitCode:
    """
    Return how a run ends: a store that failed first, then certificates and lines that did.
    """
    if any(failure.code == "repository_unavailable" for failure in result.failures):
        return ExitCode.STORE_UNAVAILABLE
    return code_of_shares(failed=result.failed + unread, done=result.processed - result.failed)


@contextmanager
def _prepared(
    session: Session, file: CertificateFile, policy: ExpiryPolicy, *, title: str
) -> Iterator[tuple[NotificationOrchestrator, Iterator[PeerMentorCertificate]]]:
    """
    Give the verbs, and the file's certificates, which are counted as chunks of them are done.
    """
    certificates = file.certificates
    # whoever runs a file by hand is told of every problem in it
    settings = NotificationSettings(most_problems=len(certificates) * 2, most_planned=len(certificates))
    orchestrator = NotificationOrchestrator(
        repository=session.notices,
        recipients=file.recipients if file.names_recipients else None,
        clock=session.clock,
        policy=policy,
        visibility=session.visibility,
        settings=settings,
    )
    with show_progress(session.output) as board:
        show = board.meter(title, total=len(certificates), verb="done")
        yield orchestrator, _counting(certificates, settings.chunk_size, show)
        show(len(certificates), "")


def _counting(
    certificates: Sequence[PeerMentorCertificate], chunk_size: int, show: Callable[[int, str], None]
) -> Iterator[PeerMentorCertificate]:
    for number, certificate in enumerate(certificates):
        if number % chunk_size == 0:
            show(number, "")
        yield certificate


def _show_run(
    session: Session, file: CertificateFile, planned: NotificationPlan, *, plan: bool, zone: tzinfo | None
) -> None:
    """
    Write what a run did, or a plan would do: counts, then what failed and what to fix.
    """
    output, result = session.output, planned.result
    if output.as_json:
        keys = {"notices": planned.notices} if plan else {}
        output.document({**result.to_dict(), **keys, "unread": file.unread})
    else:
        _show_keys(output, planned.notices)
        _show_counts(output, result)
        for what, problems in (("FAILED", result.failures), ("TO FIX", result.data_quality)):
            if problems:
                output.conclude("")
                _show_problems(output, what, problems, file)
        _show_unread(output, file.unread)
        output.conclude("")
    counts = f"{result.created} created, {result.skipped} skipped, {result.failed} failed"
    output.conclude(
        ("This is a plan; nothing was written. " if plan else "")
        + f"{counted(result.processed, 'certificate', 'certificates')}: {counts}; "
        f"{counted(result.queued, 'push', 'pushes')} of mentors queued."
    )
    if file.unread:
        lines = counted(_lines(file.unread), "line", "lines")
        output.conclude(f"{lines} could not be read. Correct the file and run the command again.")
    if result.failed and not plan:
        output.conclude("Fix the cause of the failures and run the command again. A later run retries them.")
    if result.queued and not plan:
        # A push says how many days are left when it is sent, in the days of the same zone.
        days = () if zone is None else ("--zone", str(zone))
        output.conclude(f"Send:  {session.common.command('dispatch', '--targets', 'targets.csv', *days)}")


def _show_keys(output: Output, keys: Sequence[NoticeKey]) -> None:
    if keys:
        rows = [(key.mentor_id, key.certificate_type, words(key.tier), str(key.window_start)) for key in keys]
        output.table(("MENTOR", "TYPE", "TIER", "WINDOW FROM"), rows)
        output.conclude("")


def _show_counts(output: Output, result: OrchestrationResult) -> None:
    counts = [("created", "green", words(tier), number) for tier, number in result.by_tier.items()]
    counts += [
        ("skipped", "dim", words(reason), number) for reason, number in result.skipped_by_reason.items()
    ]
    if result.failed:
        counts.append(("failed", "red", "", result.failed))
    rows = [(Cell(what, style), which, str(number)) for what, style, which, number in counts]
    output.table(("OUTCOME", "WHICH", "CERTIFICATES"), rows)
    if result.withdrawn:
        output.conclude("")
        told = counted(result.withdrawn, "certificate that is", "certificates that are")
        output.conclude(f"Withdrawn: {told} not in the file.")
    if result.missed_tiers:
        told = ", ".join(f"{number} {words(tier)}" for tier, number in result.missed_tiers.items())
        output.conclude("")
        output.conclude(f"Tiers that passed without a notice: {told}.")


def _show_problems(
    output: Output, what: str, problems: Sequence[RecordProblem], file: CertificateFile
) -> None:
    """
    Write a line per problem, with the file's certificates of its mentor.
    """
    ids = file.ids_by_mentor()
    rows = [
        (
            each.mentor_id or ("(whole file)" if each.code in _OF_THE_FILE else "(no mentor id)"),
            _REASONS.get(each.code, words(each.code)),
            " ".join(ids.get(each.mentor_id, ())),
        )
        for each in problems
    ]
    output.table((what, "REASON", "CERTIFICATES"), rows)

"""
The commands that read certificates: notify, and the report on data quality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.cli.csv_certificates import CertificateFile, read_certificates
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.json_output import run_document
from proxy_orchestration.cli.notice_rendering import run_sentence, show_keys, show_problems, show_run
from proxy_orchestration.cli.notice_session import NoticeSession
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.cli.session import ending_on_errors
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.results import NotificationPlan, OrchestrationResult
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy, day_of

_EVERY_DAY: Final = 4_000_000
"""Days: more than the calendar has, so that every certificate is in a tier."""


@attrs.frozen(kw_only=True)
class Work:
    """
    What a run is about.

    Attributes:
        file: the certificates, and who answers for their mentors.
        policy: when a certificate's end is told, and how often.
        as_of: the moment to run for; `None`: now.
    """

    file: CertificateFile
    policy: ExpiryPolicy
    as_of: datetime | None = None


def read_file(common: Common, path: Path, timezone: tzinfo) -> CertificateFile:
    """
    Return what the file says, with the zone's present day for `today`; end the program at a fault.
    """
    with ending_on_errors(common.output):
        return read_certificates(path, today=day_of(SystemClock().now(), timezone))


async def notify(session: NoticeSession, work: Work) -> ExitCode:
    """
    Write what is due, and say what was done.
    """
    with _prepared(session, work, title="Notifying") as (orchestrator, source):
        result = await orchestrator.run(source, as_of=work.as_of)
    _show(session, work, NotificationPlan(result=result, notices=()), plan=False)
    return code_of_run(result)


async def plan(session: NoticeSession, work: Work) -> ExitCode:
    """
    Say what a run would do, key by key, and write nothing.
    """
    planned = await _planned(session, work, title="Planning")
    _show(session, work, planned, plan=True)
    return code_of_run(planned.result)


async def report(session: NoticeSession, work: Work) -> ExitCode:
    """
    Say what of a file somebody should mend, also where nothing is due yet; write nothing.
    """
    file = attrs.evolve(work.file, names_recipients=True)
    policy = attrs.evolve(work.policy, thresholds=(_EVERY_DAY, *work.policy.thresholds[1:]))
    planned = await _planned(session, attrs.evolve(work, policy=policy, file=file), title="Looking")
    result, output = planned.result, session.output
    problems = (*result.failures, *result.data_quality)
    if output.as_json:
        output.document(run_document(result, names=("processed", "failures", "data_quality")))
    elif problems:
        show_problems(output, "MENTOR", problems, work.file.ids_by_mentor())
        output.conclude("")
    output.conclude(f"Certificates read: {result.processed}. To mend: {len(problems)}.")
    return ExitCode.NEEDS_REVIEW if problems else ExitCode.SUCCESS


async def _planned(session: NoticeSession, work: Work, *, title: str) -> NotificationPlan:
    with _prepared(session, work, title=title) as (orchestrator, source):
        return await orchestrator.plan(source, as_of=work.as_of)


def code_of_run(result: OrchestrationResult) -> ExitCode:
    """
    Return how a run ends: a store that failed first, then certificates that did.
    """
    if any(failure.code == "repository_unavailable" for failure in result.failures):
        return ExitCode.STORE_UNAVAILABLE
    if not result.failed:
        return ExitCode.SUCCESS
    return ExitCode.PARTIAL_SUCCESS if result.failed < result.processed else ExitCode.TOTAL_FAILURE


@attrs.define(eq=False, kw_only=True)
class _Source:
    """
    The file's certificates, counted as chunks of them are done.
    """

    certificates: Sequence[PeerMentorCertificate]
    chunk_size: int
    show: Callable[[int, str], None]

    def __iter__(self) -> Iterator[PeerMentorCertificate]:
        for number, certificate in enumerate(self.certificates):
            if number % self.chunk_size == 0:
                self.show(number, "")
            yield certificate


@contextmanager
def _prepared(
    session: NoticeSession, work: Work, *, title: str
) -> Iterator[tuple[NotificationOrchestrator, _Source]]:
    """
    Hold a view of the pass open; all is done where the context ends well.
    """
    certificates = work.file.certificates
    settings = NotificationSettings(most_problems=len(certificates) * 2, most_planned=len(certificates))
    orchestrator = NotificationOrchestrator(
        repository=session.repository,
        recipients=work.file.recipients if work.file.names_recipients else None,
        clock=session.clock,
        policy=work.policy,
        visibility=session.visibility,
        settings=settings,
    )
    with show_progress(session.output) as board:
        show = board.meter(title, total=len(certificates), verb="done")
        yield orchestrator, _Source(certificates=certificates, chunk_size=settings.chunk_size, show=show)
        show(len(certificates), "")


def _show(session: NoticeSession, work: Work, planned: NotificationPlan, *, plan: bool) -> None:
    output, result = session.output, planned.result
    if output.as_json:
        output.document(run_document(result, plan=planned if plan else None))
    else:
        show_keys(output, planned.notices)
        show_run(output, result, work.file.ids_by_mentor())
    output.conclude(run_sentence(result, plan=plan))
    if result.failed and not plan:
        output.conclude("What failed is dealt with by a later run; mend it and run the command again.")
    if result.queued and not plan:
        send = session.common.command("dispatch", "--targets", "targets.csv", with_actor=False)
        output.conclude(f"Send:  {send}")

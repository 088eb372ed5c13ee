"""
Runs, plans, dispatches and inboxes as people read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final

from proxy_orchestration.cli.csv_problems import printable
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.notification.notices import (
    CertificateExpiryNotification,
    NoticeKey,
    NoticeStatus,
    PushState,
)
from proxy_orchestration.notification.results import DispatchResult, OrchestrationResult, RecordProblem

_PROBLEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing_coordinator_assignment": "no coordinator is assigned; chapter admins are told instead",
        "empty_id": "the certificate's id, its mentor's or its type is empty",
        "invalid_id": "the certificate's id, its mentor's or its type holds what no store can keep",
        "unstorable_text": "a text holds what no store can keep",
        "repository_unavailable": "the store failed; run the command again",
        "record_refused": "the store refused the record",
    }
)
_STATUS_STYLES: Final = MappingProxyType(
    {NoticeStatus.PENDING: "yellow", NoticeStatus.ACKNOWLEDGED: "green", NoticeStatus.CLEARED: "dim"}
)


def show_run(output: Output, result: OrchestrationResult, ids: Mapping[str, Sequence[str]]) -> None:
    """
    Write what a run did, or a plan would do: counts, then what failed and what to mend.

    Args:
        output: where to.
        result: what was done.
        ids: the file's certificates by mentor.
    """
    output.table(("OUTCOME", "WHICH", "CERTIFICATES"), list(_counts(result)))
    _show_missed(output, result)
    for what, problems in (("FAILED", result.failures), ("TO MEND", result.data_quality)):
        if problems:
            output.conclude("")
            show_problems(output, what, problems, ids)
    output.conclude("")


def _counts(result: OrchestrationResult) -> Iterator[tuple[Cell, ...]]:
    for tier, number in result.by_tier.items():
        yield Cell("created", "green"), Cell(words(tier)), Cell(str(number))
    for reason, number in result.skipped_by_reason.items():
        yield Cell("skipped", "dim"), Cell(words(reason)), Cell(str(number))
    if result.failed:
        yield Cell("failed", "red"), Cell(""), Cell(str(result.failed))


def _show_missed(output: Output, result: OrchestrationResult) -> None:
    if result.missed_tiers:
        told = ", ".join(f"{number} {words(tier)}" for tier, number in result.missed_tiers.items())
        output.conclude("")
        output.conclude(f"Tiers that passed without their notice: {told}.")


def show_problems(
    output: Output, what: str, problems: Sequence[RecordProblem], ids: Mapping[str, Sequence[str]]
) -> None:
    """
    Write a line per problem, with the file's certificates of its mentor.
    """
    rows = [
        (
            Cell(each.mentor_id or "(no mentor id)"),
            Cell(reason_of(each.code)),
            Cell(" ".join(ids.get(each.mentor_id, ()))),
        )
        for each in problems
    ]
    output.table((what, "REASON", "CERTIFICATES"), rows)


def show_keys(output: Output, keys: Sequence[NoticeKey]) -> None:
    """
    Write what each notice of a plan would be told by.
    """
    if not keys:
        return
    rows = [
        (Cell(key.mentor_id), Cell(key.certificate_type), Cell(words(key.tier)), Cell(str(key.window_start)))
        for key in keys
    ]
    output.table(("MENTOR", "TYPE", "TIER", "WINDOW FROM"), rows)
    output.conclude("")


def run_sentence(result: OrchestrationResult, *, plan: bool) -> str:
    """
    Return the one line that says how a run ended.
    """
    counts = f"{result.created} created, {result.skipped} skipped, {result.failed} failed"
    rest = f"{_counted(result.queued, 'push', 'pushes')} of mentors queued."
    told = f"{_counted(result.processed, 'certificate', 'certificates')}: {counts}; {rest}"
    return f"A plan, nothing was written. {told}" if plan else told


def show_dispatch(output: Output, result: DispatchResult, unsent: Mapping[tuple[str, str], int]) -> None:
    """
    Write what became of the pushes, and for whom nothing was sent.
    """
    styles = {"sent": "green", "retried": "yellow", "dead": "red"}
    counts = {
        "sent": result.sent,
        "retried": result.retried,
        "dead": result.dead,
        "cancelled": result.cancelled,
        "expired": result.expired,
    }
    rows = [(Cell(name, styles.get(name, "dim")), Cell(str(number))) for name, number in counts.items()]
    output.table(("RESULT", "PUSHES"), rows)
    if unsent:
        output.conclude("")
        output.table(
            ("NOT DELIVERED TO", "REASON", "PUSHES"),
            [(Cell(who), Cell(reason_of(code)), Cell(str(number))) for (who, code), number in unsent.items()],
        )
    output.conclude("")


def outbox_sentences(counts: Mapping[PushState, int], *, hold: float) -> Iterator[str]:
    """
    Yield what is left in the outbox, one sentence each.
    """
    if queued := counts.get(PushState.QUEUED):
        yield f"{_counted(queued, 'push waits', 'pushes wait')} for a later time."
    if leased := counts.get(PushState.LEASED):
        held = _counted(leased, "push is", "pushes are")
        yield f"{held} held by another dispatch, or by one that was killed; free in {hold:.0f} s at most."
    if dead := counts.get(PushState.DEAD):
        yield f"{_counted(dead, 'push is', 'pushes are')} given up; --replay-dead queues them again."


def show_inbox(output: Output, notices: Iterable[CertificateExpiryNotification]) -> None:
    """
    Write a line per notice, oldest first.
    """
    rows = [
        (
            Cell(notice.notification_id),
            Cell(notice.mentor_id),
            Cell(notice.certificate_type),
            Cell(words(notice.tier)),
            Cell(f"{notice.created_at:%Y-%m-%d}"),
            Cell(words(notice.status), _STATUS_STYLES[notice.status]),
            Cell(notice.body),
        )
        for notice in notices
    ]
    output.table(("NOTIFICATION", "MENTOR", "TYPE", "TIER", "SINCE", "STATUS", "TEXT"), rows)
    output.conclude("")


def inbox_sentence(recipient_id: str, notices: Sequence[CertificateExpiryNotification]) -> str:
    """
    Return the one line that says how an inbox stands.
    """
    pending = sum(notice.status is NoticeStatus.PENDING for notice in notices)
    told = _counted(len(notices), "notice", "notices")
    return f"{printable(recipient_id)}: {told}, {pending} pending."


def reason_of(code: str) -> str:
    """
    Return a code of the library as people read it.
    """
    return _PROBLEMS.get(code, code.replace("_", " "))


def words(value: Enum) -> str:
    """
    Return a tier, a reason or a status as people read it.
    """
    return str(value.value).replace("_", " ")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

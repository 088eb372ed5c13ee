"""
The JSON that `--json` writes: models as plain values, field names as in the library.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TypeAlias, cast

import attrs

from proxy_orchestration.cli.csv_problems import CsvProblem
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.notification.notices import CertificateExpiryNotification, PushState
from proxy_orchestration.notification.results import DispatchResult, NotificationPlan, OrchestrationResult
from proxy_orchestration.registration.batches import (
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    BulkSubmissionResult,
    CancelReport,
)
from proxy_orchestration.registration.conflicts import ConflictReport

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""What `json.dumps` takes."""


def result_document(result: BulkSubmissionResult) -> dict[str, Plain]:
    """
    Return a batch with its outcomes in request order.
    """
    return _record(result)


def results_document(results: Sequence[BulkSubmissionResult]) -> dict[str, Plain]:
    """
    Return many batches, each with its outcomes.
    """
    return {"batches": [_record(result) for result in results]}


def page_document(page: BatchPage) -> dict[str, Plain]:
    """
    Return a page of batches, newest first.
    """
    return _record(page)


def cancel_document(report: CancelReport, batch: BatchSummary) -> dict[str, Plain]:
    """
    Return what a cancel did, with the batch and the status it has now.
    """
    return {"batch_id": batch.batch_id, "status": batch.status.value, **_record(report)}


def report_document(report: ConflictReport) -> dict[str, Plain]:
    """
    Return what a preview found, with the number of mentors of the file.
    """
    return {**_record(report), "total": report.total}


def run_document(
    result: OrchestrationResult, *, plan: NotificationPlan | None = None, names: Collection[str] | None = None
) -> dict[str, Plain]:
    """
    Return what a run did, or a plan would do, whose keys stand beside it.

    Args:
        result: the counts.
        plan: the plan; `None` for a run.
        names: the only fields that are wanted; `None` for all.
    """
    document = {name: value for name, value in _record(result).items() if names is None or name in names}
    if plan is not None:
        document["notices"] = [plain(key._asdict()) for key in plan.notices]
    return document


def dispatch_document(
    result: DispatchResult,
    unsent: Mapping[tuple[str, str], int],
    outbox: Mapping[PushState, int],
    gone: Sequence[int],
) -> dict[str, Plain]:
    """
    Return what a dispatch did.

    Args:
        result: the counts.
        unsent: messages that were not delivered, by recipient and reason.
        outbox: what the outbox holds afterwards.
        gone: lines of the file whose devices are not known any more.
    """
    failed = [
        {"recipient_id": recipient_id, "code": code, "pushes": number}
        for (recipient_id, code), number in unsent.items()
    ]
    return {**_record(result), "unsent": plain(failed), "outbox": plain(outbox), "gone_lines": plain(gone)}


def inbox_document(recipient_id: str, notices: Sequence[CertificateExpiryNotification]) -> dict[str, Plain]:
    """
    Return an inbox, oldest first.
    """
    return {"recipient_id": recipient_id, "notifications": [_record(notice) for notice in notices]}


def progress_line(update: BulkProgressUpdate) -> dict[str, Plain]:
    """
    Return one line of a watch; `kind` tells it from the last line.
    """
    return {"kind": "progress", **_record(update)}


def result_line(result: BulkSubmissionResult) -> dict[str, Plain]:
    """
    Return the last line of a watch: the batch as it stands.
    """
    return {"kind": "result", **_record(result)}


def error_document(code: ExitCode, message: str, problems: Sequence[CsvProblem]) -> dict[str, Plain]:
    """
    Return why the program ends without a result.

    Args:
        code: its number is `exit_code`, its name in lower case is `code`.
        message: what happened and what to do.
        problems: what is wrong with a file, place by place; else empty.
    """
    return {
        "error": {
            "code": code.name.lower(),
            "exit_code": int(code),
            "message": message,
            "problems": [_record(problem) for problem in problems],
        }
    }


def plain(value: object) -> Plain:
    """
    Return a model's value as JSON has it: enums by value, days and moments in ISO 8601, UTC with Z.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return _record(cast("attrs.AttrsInstance", value))


def dumps(document: Mapping[str, Plain], *, indent: int | None = None) -> str:
    """
    Return the text; characters beyond ASCII are escaped, whatever the terminal.
    """
    return json.dumps(document, indent=indent)


def _record(value: attrs.AttrsInstance) -> dict[str, Plain]:
    return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}

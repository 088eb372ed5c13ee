"""
The exit codes, and the code that belongs to each error and to each status of a batch.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final, Self

from proxy_orchestration.cli.csv.problems import CsvFileError
from proxy_orchestration.errors import (
    BatchNotFoundError,
    BatchStateError,
    MissingExtraError,
    NotAuthorizedError,
    NotificationNotFoundError,
    OrchestrationError,
    RepositoryUnavailableError,
)
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.registration.conflicts import ConflictReport
from proxy_orchestration.registration.states import RETRYABLE_STATES, BulkStatus


class ExitCode(enum.IntEnum):
    """
    How the program ends; part of its contract with scripts.

    Attributes:
        meaning: what `--help` says about the code.
    """

    SUCCESS = 0, "success: all mentors are registered, or the command did its work"
    UNFORESEEN = 1, "an error in this program, or an optional part is not installed"
    BAD_INPUT = 2, "bad input: the command line or a file is wrong; nothing was stored"
    PARTIAL_SUCCESS = (3, "partial success: some mentors, certificates or pushes failed, but not all")
    TOTAL_FAILURE = 4, "total failure: no mentor, certificate or push succeeded"
    CANCELLED = 5, "the batch was cancelled"
    NEEDS_REVIEW = 6, "nothing failed, but some mentors wait for a person's decision"
    STORE_UNAVAILABLE = 7, "the store could not be read or written"
    NOT_FOUND = (
        8,
        "the actor has no access to this batch or notice, it does not exist, or the action is not allowed",
    )
    WRONG_STATE = (
        9,
        "wrong state: the batch is not settled, is paused, is driven elsewhere, or the run is stale",
    )
    INTERRUPTED = 130, "interrupted (Ctrl-C or SIGTERM); the command can be continued"

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """
        Make the member from its number and its meaning.
        """
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


_OF_STATUS: Final = {
    BulkStatus.PENDING: ExitCode.WRONG_STATE,
    BulkStatus.RUNNING: ExitCode.WRONG_STATE,
    BulkStatus.CANCELLING: ExitCode.WRONG_STATE,
    BulkStatus.PAUSED: ExitCode.WRONG_STATE,
    BulkStatus.SUCCESS: ExitCode.SUCCESS,
    BulkStatus.PARTIAL_SUCCESS: ExitCode.PARTIAL_SUCCESS,
    BulkStatus.TOTAL_FAILURE: ExitCode.TOTAL_FAILURE,
    BulkStatus.CANCELLED: ExitCode.CANCELLED,
    BulkStatus.NEEDS_REVIEW: ExitCode.NEEDS_REVIEW,
}

_OF_ERROR: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (RepositoryUnavailableError, ExitCode.STORE_UNAVAILABLE),
    (MissingExtraError, ExitCode.UNFORESEEN),
    (BatchNotFoundError, ExitCode.NOT_FOUND),
    (NotificationNotFoundError, ExitCode.NOT_FOUND),
    (NotAuthorizedError, ExitCode.NOT_FOUND),
    (BatchStateError, ExitCode.WRONG_STATE),
    (OrchestrationError, ExitCode.BAD_INPUT),
    (CsvFileError, ExitCode.BAD_INPUT),
)

_WORST_LAST: Final = (
    ExitCode.SUCCESS,
    ExitCode.NEEDS_REVIEW,
    ExitCode.CANCELLED,
    ExitCode.PARTIAL_SUCCESS,
    ExitCode.TOTAL_FAILURE,
    ExitCode.WRONG_STATE,
)


def code_of_batch(batch: BatchSummary) -> ExitCode:
    """
    Return how a command that is about one batch ends.

    It is the status' code, save that a partial success in which nothing failed
    ends like a batch that waits: a script tells "retry" from "review" by it.
    """
    if batch.status is BulkStatus.PARTIAL_SUCCESS and not any(map(batch.counts.get, RETRYABLE_STATES)):
        return ExitCode.NEEDS_REVIEW
    return _OF_STATUS[batch.status]


def code_of_report(report: ConflictReport) -> ExitCode:
    """
    Return how a preview ends: conflicts first, then mentors who would be refused.
    """
    if report.conflicts:
        return ExitCode.NEEDS_REVIEW
    return code_of_shares(failed=len(report.refused), done=len(report.clean))


def code_of_shares(*, failed: int, done: int) -> ExitCode:
    """
    Return how a command ends of whose work so much failed, and so much was done.
    """
    if not failed:
        return ExitCode.SUCCESS
    return ExitCode.PARTIAL_SUCCESS if done else ExitCode.TOTAL_FAILURE


def code_of_error(error: Exception) -> ExitCode:
    """
    Return how a command ends that fails with this error.
    """
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), ExitCode.UNFORESEEN)


def worst(batches: Iterable[BatchSummary]) -> ExitCode:
    """
    Return how a command that is about many batches ends; success without any.
    """
    return max(map(code_of_batch, batches), key=_WORST_LAST.index, default=ExitCode.SUCCESS)

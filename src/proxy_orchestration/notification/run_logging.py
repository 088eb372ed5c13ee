"""
Each run is in the store's log once it has ended, whatever ended it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from anyio.lowlevel import checkpoint_if_cancelled

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._concurrency import NoAnswerError, shielded_write
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.notification.certificate_run import CertificateRun
from proxy_orchestration.notification.ports import NoticeBook
from proxy_orchestration.notification.results import RunCounters
from proxy_orchestration.notification.run_log import RunCounts, RunEnding, RunRecord, counts_of

_log = logging.getLogger(_loggers.NOTIFICATION)


@asynccontextmanager
async def logged(work: CertificateRun, book: NoticeBook) -> AsyncIterator[None]:
    """
    Add the run to the store's log when the block is left, whatever came of it.

    A failure of that is logged and no more. It ends the run for the store too,
    whose digests are due now.
    """
    clock = work.clock
    began, started_at = clock.monotonic(), clock.now()
    try:
        yield
    except BaseException as error:
        work.end_with(error)
        raise
    finally:
        run = _record_of(work, started_at, clock.monotonic() - began)
        _tell(run)
        await _write(run, work, book)
    # A run that was cancelled meanwhile does not return as if nothing had happened.
    await checkpoint_if_cancelled()


def _record_of(work: CertificateRun, started_at: datetime, duration: float) -> RunRecord:
    return RunRecord(
        run_id=work.run_id,
        as_of=work.as_of,
        started_at=started_at,
        duration=duration,
        ending=work.ending,
        error=work.error,
        shares={name: RunCounts(**_counts(share)) for name, share in sorted(work.shares.items())},
        **_counts(work.counters),
    )


def _counts(counters: RunCounters) -> dict[str, Any]:
    return dict(counts_of(counters.result(), counters.error_codes))


def _tell(run: RunRecord) -> None:
    _log.info(
        "a run has ended",
        extra={
            "certificates": run.processed,
            "notices_created": run.created,
            "certificates_skipped": run.skipped,
            "certificates_failed": run.failed,
        },
    )
    if run.ending is not RunEnding.COMPLETED:
        said = {"code": run.ending.value, "error": run.error}
        _log.error("a run could not read all certificates: %s", run.ending.value, extra=said)
    if run.stopped_by_guard:
        # A notice that is told twice in a day, a run that overlaps: somebody should know; decision 229.
        _log.warning("the resend guard deferred notices", extra={"certificates": run.stopped_by_guard})


async def _write(run: RunRecord, work: CertificateRun, book: NoticeBook) -> None:
    try:
        # Also where this task is cancelled: the night that was cut short is the one that is asked about.
        await shielded_write(
            partial(book.log_run, run), clock=work.clock, seconds=work.settings.neighbour_timeout
        )
    except NoAnswerError:
        _report("no answer in time", "TimeoutError")
    except BaseException as error:
        if not comes_from_callee(error) or is_being_cancelled():
            raise
        name = type(error).__name__
        _report(error if isinstance(error, OrchestrationError) else name, name)


def _report(said: object, name: str) -> None:
    _log.error("a run could not be logged: %s", said, extra={"error": name})

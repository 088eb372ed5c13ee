"""
Processes that register mentors and strike themselves down at a chosen moment.

Run as a script, this is the clean, single-threaded helper from which they are
forked, so that one starts in a few milliseconds: it reads orders from its
standard input, one JSON object a line, and answers each with one number.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import trio  # noqa: F401 - imported once, here, and not in every fork
from sqlalchemy import event
from victim_bulk_services import OF_TOMORROW, SERVICES
from victim_services import FileAuditLogger, Moments

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    RepositoryUnavailableError,
    RetryPolicy,
    Role,
)
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictPolicy
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, WritePoint

with contextlib.suppress(ImportError):  # an extra; once, here, for the same reason
    import psycopg  # noqa: F401 - the same

COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
ACCEPTED: Final = tuple(f"mentor-{number:02}" for number in range(10))
REFUSED: Final = (COORDINATOR.user_id, OF_TOMORROW)
MAX_CONCURRENCY: Final = 3
MAX_UNDURABLE: Final = 2
UNAVAILABLE: Final = 3
"""The exit status of a process that says its store is unavailable."""

_FAR_AHEAD: Final = date(9999, 12, 31)


def request_for(  # noqa: PLR0913 - one request's fields
    key: str,
    day: str,
    *,
    mentors: Sequence[str] = (REFUSED[1], *ACCEPTED, REFUSED[0]),
    activity_type: str = "visit",
    mode: str = "independent",
    on_conflict: str = "review",
) -> BulkRegistrationRequest:
    """
    Return the same request for the same arguments, in whatever process.
    """
    today = ProxyActivity(
        activity_type=activity_type, activity_date=date.fromisoformat(day), duration_minutes=45
    )
    someday = attrs.evolve(today, activity_date=_FAR_AHEAD)
    return BulkRegistrationRequest(
        entries=tuple(
            RegistrationEntry(mentor_id, someday if mentor_id == OF_TOMORROW else today)
            for mentor_id in mentors
        ),
        idempotency_key=key,
        label=key,
        mode=SubmissionMode(mode),
        on_conflict=ConflictPolicy(on_conflict),
    )


def orchestrator_over(  # noqa: PLR0913 - one orchestrator's parts
    repository: ActivityRepository,
    *,
    service: str,
    audit_file: Path,
    moments: Moments,
    settings: BulkSettings,
    duplicates: bool,
) -> BulkRegistrationOrchestrator:
    """
    Return an orchestrator whose service writes into the repository itself.

    Without `duplicates` one mentor may be registered under many keys.
    """
    standard = StandardRegistrationService(repository=repository)
    if not duplicates:
        standard = StandardRegistrationService(
            repository=repository, duplicate_rule=lambda _registration: None
        )
    return BulkRegistrationOrchestrator(
        registration_service=SERVICES[service](standard, moments),
        repository=repository,
        audit_logger=FileAuditLogger(audit_file, moments),
        settings=settings,
    )


def settings_with(lease_ttl: float, changes: Mapping[str, Any]) -> BulkSettings:
    """
    Return settings with windows so small that a batch needs several claims.
    """
    settings = BulkSettings(
        max_concurrency=MAX_CONCURRENCY,
        max_undurable=MAX_UNDURABLE,
        lease_ttl=lease_ttl,
        poll_interval=0.05,
        audit_timeout=20.0,
        retry=RetryPolicy(initial=0.01),
    )
    return attrs.evolve(settings, **changes)


async def live(order: Mapping[str, Any]) -> None:
    """
    Do what the order says, on its database.
    """
    moments = Moments(Path(order["trace"]), order["strike"])

    def before(point: WritePoint) -> None:
        moments.reach(f"before {point.method}")

    def after(point: WritePoint) -> None:
        moments.reach(f"after {point.method}")

    async with SqlActivityRepository.open(order["url"]) as store:
        if order["statements"]:
            event.listen(store.engine, "after_cursor_execute", lambda *_: moments.reach("statement"))
        if moments.stops:
            event.listen(store.engine, "checkout", lambda *_: moments.database.acquire())
            event.listen(store.engine, "checkin", lambda *_: moments.database.release())
        orchestrator = orchestrator_over(
            FaultyActivityRepository(store, before=before, after=after),
            service=order["service"],
            audit_file=Path(order["audit"]),
            moments=moments,
            settings=settings_with(order["lease_ttl"], order["settings"]),
            duplicates=order["duplicates"],
        )
        await _VERBS[order["verb"]](orchestrator, order)


async def _submit(orchestrator: BulkRegistrationOrchestrator, order: Mapping[str, Any]) -> None:
    request = request_for(order["key"], order["day"], **order["request"])
    await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)


async def _submit_all(orchestrator: BulkRegistrationOrchestrator, order: Mapping[str, Any]) -> None:
    """
    Submit all the batches of the order at once, each with a driver of its own.
    """
    async with anyio.create_task_group() as crew:
        for key, mentors in order["many"].items():
            request = request_for(key, order["day"], mentors=mentors)
            crew.start_soon(partial(orchestrator.submit_bulk_registration, request, actor=COORDINATOR))


async def _review(orchestrator: BulkRegistrationOrchestrator, order: Mapping[str, Any]) -> None:
    decisions = {mentor_id: ConflictDecision(decision) for mentor_id, decision in order["decisions"].items()}
    for batch_id in order["batches"]:
        await orchestrator.resolve_conflicts(batch_id, decisions, actor=COORDINATOR, expected_run=1)


async def _resume(orchestrator: BulkRegistrationOrchestrator, _order: Mapping[str, Any]) -> None:
    await orchestrator.resume_interrupted()


async def _serve(orchestrator: BulkRegistrationOrchestrator, order: Mapping[str, Any]) -> None:
    """
    Serve until every batch of the order is settled and audited.
    """
    async with anyio.create_task_group() as crew:
        await crew.start(partial(orchestrator.serve))
        for batch_id in order["batches"]:
            async with orchestrator.watch_batch(batch_id, actor=COORDINATOR) as run:
                async for _update in run:
                    pass
        while await orchestrator.repository.audit_wait() is not None:
            await orchestrator.clock.sleep(orchestrator.settings.poll_interval)
        crew.cancel_scope.cancel()


_VERBS: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {
    "submit": _submit,
    "submit all": _submit_all,
    "review": _review,
    "resume": _resume,
    "serve": _serve,
}


def _live_and_die(order: Mapping[str, Any]) -> None:
    status = 1
    try:
        anyio.run(live, order, backend=order["backend"])
        status = 0
    except RepositoryUnavailableError:
        status = UNAVAILABLE
    except BaseException:  # noqa: BLE001 - a fork must never fall back into its helper's loop
        traceback.print_exc()
    finally:
        os._exit(status)


def _ended(pid: int) -> int:
    """
    Return the exit status: negative for the signal that ended or stopped the process.
    """
    _, status = os.waitpid(pid, os.WUNTRACED)
    return -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)


def main() -> None:
    """
    Fork a process for each order with a verb, and wait for the one that another order names.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "wait" in order:
            answer = _ended(order["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                _live_and_die(order)
        print(answer, flush=True)


if __name__ == "__main__":
    main()

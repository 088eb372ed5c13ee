"""
Processes that serve one store until they are struck down.

Run as a script, with a store's address and a file for audit events, this is
the single-threaded process from which workers are forked, so that one starts
in a few milliseconds. A line of input starts a worker; `started` and its id
is the answer. Each worker says `called` before it asks the service.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Any, Final

import anyio
import attrs

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    ProxyRegistration,
    RegistrationReceipt,
    RepositoryUnavailableError,
    RetryPolicy,
)
from proxy_orchestration.ports import AuditEvent
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.sql import SqlActivityRepository

SETTINGS: Final = BulkSettings(
    max_concurrency=3,
    max_undurable=4,
    max_calls_in_flight=10,
    lease_ttl=2.0,
    poll_interval=0.1,
    audit_timeout=3.0,
    # Whoever stands still for two seconds counts as dead: no item is to end as lost for that.
    max_takeovers=1000,
    retry=RetryPolicy(max_attempts=20, initial=0.01, max_delay=0.5),
)


def tell(*words: object) -> None:
    """
    Write a line that no other process's line can break.
    """
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


@attrs.define(eq=False)
class TalkingService:
    """
    The standard service, which says when it is asked.
    """

    standard: StandardRegistrationService

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register, as the standard service does.
        """
        tell("called")
        return await self.standard.register(registration)


@attrs.define(eq=False)
class FileAuditLogger:
    """
    An audit logger whose events survive the process.
    """

    file: str

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        """
        Append the event's id and how many were registered.
        """
        line = f"{event.event_id} {event.counts}\n".encode()
        to = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(to, line)
        os.close(to)


def orchestrator_over(
    store: SqlActivityRepository, audit: str, settings: BulkSettings = SETTINGS
) -> BulkRegistrationOrchestrator:
    """
    Return an orchestrator as every process of the storm has it.
    """
    return BulkRegistrationOrchestrator(
        registration_service=TalkingService(StandardRegistrationService(repository=store)),
        repository=store,
        audit_logger=FileAuditLogger(audit),
        settings=settings,
    )


async def _serve(url: str, audit: str) -> None:
    while True:
        try:
            async with SqlActivityRepository.open(url) as store:
                await orchestrator_over(store, audit).serve()
        except RepositoryUnavailableError:
            continue  # the server was restarted while this process began


def _live(url: str, audit: str, backend: str) -> None:
    try:
        anyio.run(_serve, url, audit, backend=backend)
    except BaseException:  # noqa: BLE001 - whatever it is, this process was forked and goes no further
        traceback.print_exc()
    os._exit(1)


def main(url: str, audit: str) -> None:
    """
    Fork a worker for each line of input, on the event loop that the line names.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who were killed
    for line in sys.stdin:
        worker: Any = os.fork()
        if worker == 0:
            _live(url, audit, line.strip())
        tell("started", worker)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""
A host that has a batch accepted in its own transaction, and kills itself before or after the commit.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys

import anyio

from proxy_orchestration import BulkRegistrationOrchestrator, BulkRegistrationRequest
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService
from proxy_orchestration.testing.contracts.registration.samples import COORDINATOR, batch_of


async def _main(file: str, when: str) -> None:
    request = BulkRegistrationRequest(entries=batch_of(3).entries, idempotency_key="form-7")
    async with SqlActivityRepository.open(f"sqlite:///{file}") as repository:
        bulk = BulkRegistrationOrchestrator(
            registration_service=ScriptedRegistrationService(), repository=repository
        )
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO orders VALUES ('first')")
        await bulk.submit_within(connection, request, actor=COORDINATOR)
        if when == "after":
            connection.execute("COMMIT")
        os.kill(os.getpid(), signal.SIGKILL)


anyio.run(_main, *sys.argv[1:])

"""
A process dies around the commit of the host's transaction: order and batch are both there, or neither is.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration import BulkRegistrationOrchestrator, BulkRegistrationRequest, BulkStatus
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService
from proxy_orchestration.testing.contracts.registration.samples import COORDINATOR, batch_of

pytestmark = [pytest.mark.crash, pytest.mark.dateless]

_VICTIM = Path(__file__).with_name("host_victim.py")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_order_and_batch_are_both_there_or_neither(tmp_path: Path, when: str) -> None:
    """
    What was committed is driven by whoever comes next; what was not can be submitted under the same key.
    """
    file = tmp_path / "store.db"
    request = BulkRegistrationRequest(entries=batch_of(3).entries, idempotency_key="form-7")
    async with SqlActivityRepository.open(f"sqlite:///{file}") as repository:
        bulk = BulkRegistrationOrchestrator(
            registration_service=ScriptedRegistrationService(), repository=repository
        )
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE orders (name TEXT)")
            command = [sys.executable, str(_VICTIM), str(file), when]
            killed = await anyio.run_process(command, check=False, stdout=None, stderr=None)
            orders = connection.execute("SELECT name FROM orders").fetchall()
        driven = await bulk.resume_interrupted()
        result = await bulk.submit_bulk_registration(request, actor=COORDINATOR)
        total = (await bulk.list_batches(actor=COORDINATOR)).total

    assert -signal.SIGKILL == killed.returncode
    assert (([], []) if when == "before" else ([("first",)], [result.batch_id])) == (orders, list(driven))
    assert (BulkStatus.SUCCESS, 1) == (result.status, total)

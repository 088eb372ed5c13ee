"""
The one thread that writes into a store, held until whoever writes beside it waits.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from sqlalchemy import Connection
from waits import LONGEST_WAIT

from proxy_orchestration.storage.sql.database.transactions import Transactions


@asynccontextmanager
async def all_wait(
    transactions: Transactions, then: Callable[[Connection], object] = lambda _: None
) -> AsyncIterator[TaskGroup]:
    """
    Hold the one that writes until the block is left; all that began in it waits then.

    Args:
        transactions: whose writers are held.
        then: what the one that was held writes at last.
    """
    writes, goes_on = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        writes.set()
        goes_on.wait(LONGEST_WAIT)
        then(connection)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transactions.write, hold)
        await to_thread.run_sync(writes.wait, LONGEST_WAIT)
        try:
            yield tasks
            await anyio.wait_all_tasks_blocked()
        finally:
            goes_on.set()

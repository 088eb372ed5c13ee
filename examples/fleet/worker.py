"""
One worker of the fleet: `python examples/fleet/worker.py postgresql://…`, until SIGTERM or SIGKILL.
"""

from __future__ import annotations

import asyncio
import sys

from host import open_host


async def main(url: str) -> None:
    """
    Drive what the queue says; a stop releases every lease and leaves every run to the others.
    """
    host = open_host(url)
    async with host.app.open_async():
        await host.app.run_worker_async(
            concurrency=20,  # a job waits for calls most of the time
            shutdown_graceful_timeout=1.0,
            delete_jobs="successful",
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""
A host in a process of its own, whose work in the background fails when a test says so. Started by a test.
"""

from __future__ import annotations

import sys

import anyio
import uvicorn
from anyio.abc import TaskStatus
from web_host import Host

from proxy_orchestration import BulkRegistrationOrchestrator
from proxy_orchestration.web import lifespan

breaks = anyio.Event()


class Breaking(BulkRegistrationOrchestrator):
    """
    An orchestrator whose `serve` has a bug.
    """

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """
        Serve until the test says otherwise.
        """
        async with anyio.create_task_group() as tasks:
            await tasks.start(super().serve)
            task_status.started()
            await breaks.wait()
            message = "a secret of the host's"
            raise RuntimeError(message)


class BreakingHost(Host):
    """
    A host with that orchestrator.
    """

    def make_orchestrator(self) -> BulkRegistrationOrchestrator:
        """
        Return it.
        """
        return Breaking(registration_service=self.service, repository=self.repository)

    def make_lifespan(self) -> object:
        """
        Return one that ends the process.
        """
        return lifespan(self.orchestrator, end_process=True)


async def break_now() -> None:
    """
    Let the background work fail.
    """
    breaks.set()


def main() -> None:
    """
    Serve on the socket that was handed over.
    """
    host = BreakingHost()
    host.app.post("/break")(break_now)
    uvicorn.run(host.app, fd=int(sys.argv[1]), log_level="critical")


if __name__ == "__main__":
    main()

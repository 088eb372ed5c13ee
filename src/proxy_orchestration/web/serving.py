"""
Drives batches in a web process, and reports when that has ended.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from anyio.abc import TaskStatus
from fastapi import APIRouter, Response

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.registration.execution.health import Health
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.web.parts import check_part
from proxy_orchestration.web.wire.health import Readiness

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[None]]
"""
What `FastAPI(lifespan=…)` takes.
"""

_NOT_READY: Final = 503

_log = logging.getLogger(_loggers.WEB)


def lifespan(
    orchestrator: BulkRegistrationOrchestrator,
    *,
    dispatcher: PushDispatcher | None = None,
    end_process: bool = False,
) -> Lifespan:
    """
    Return a lifespan that drives batches and sends pushes while the application runs.

    If a background task failed silently, the server would accept batches that are never driven. So
    a failure is logged at ERROR, serving stops in this process, and `/health/ready` then answers
    503. With `end_process`, this process gets a SIGTERM, so that the server shuts down properly and
    its supervisor starts it again.

    Args:
        orchestrator: the orchestrator whose `serve` runs.
        dispatcher: the dispatcher whose `serve` also runs; `None`: another process sends pushes.
        end_process: whether a failure ends the process.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """
    check_part("lifespan", "orchestrator", orchestrator, BulkRegistrationOrchestrator)
    check_part("lifespan", "dispatcher", dispatcher, PushDispatcher, optional=True)

    async def work(*, task_status: TaskStatus[None]) -> None:
        has_started = False
        try:
            async with open_task_group() as tasks:
                await tasks.start(orchestrator.serve)
                if dispatcher is not None:
                    await tasks.start(dispatcher.serve)
                has_started = True
                task_status.started()
        except BaseException as error:
            if not has_started or not comes_from_callee(error):
                raise  # before that, the application does not start
            _tell_failure(error, end_process=end_process)

    @asynccontextmanager
    async def served(_app: object) -> AsyncIterator[None]:
        async with open_task_group() as tasks:
            await tasks.start(work)
            yield
            tasks.cancel_scope.cancel()

    return served


def _tell_failure(error: BaseException, *, end_process: bool) -> None:
    _log.error(
        "serving has ended in this process: %s", type(error).__name__, extra={"error": type(error).__name__}
    )
    if end_process:
        os.kill(os.getpid(), signal.SIGTERM)


def create_health_router(orchestrator: BulkRegistrationOrchestrator, *, serves: bool = True) -> APIRouter:
    """
    Return a router with `/health/ready`, for the load balancer in front of this process.

    It does not ask for an actor, and reveals nothing about batches. Do not make it public
    nevertheless.

    Args:
        orchestrator: the orchestrator whose store is asked.
        serves: whether this process must also drive batches; false if other processes do.

    Raises:
        MisconfiguredError: the argument is not an orchestrator.
    """
    check_part("create_health_router", "orchestrator", orchestrator, BulkRegistrationOrchestrator)
    router = APIRouter(tags=["health"])

    async def ready(response: Response) -> Readiness:
        """
        Ask whether this process reaches its store and does its work; 503 if not.
        """
        reasons = _reasons(await orchestrator.check_health(), serves=serves)
        response.headers["Cache-Control"] = "no-store"
        if reasons:
            response.status_code = _NOT_READY
        return Readiness(ready=not reasons, reasons=reasons)

    router.add_api_route(
        "/health/ready",
        ready,
        responses={
            _NOT_READY: {"model": Readiness, "description": "This process is not ready: send it no requests"}
        },
    )
    return router


def _reasons(health: Health, *, serves: bool) -> list[str]:
    found = {
        "store_unreachable": health.store_reachable is not True,
        "not_serving": serves and not health.serving,
        "calls_do_not_end": health.calls_stopped_for is not None,
    }
    return [reason for reason, applies in found.items() if applies]

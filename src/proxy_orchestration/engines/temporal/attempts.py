"""
One attempt of an activity: its heartbeats, its orderly stop, and errors without their texts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

import anyio
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.engines.failures import is_final
from proxy_orchestration.errors import OrchestrationError

T = TypeVar("T")

STOPPED: Final = "WorkerStopped"
"""The type of the error with which an attempt ends whose worker stops."""

_BEATS: Final = 3
"""Heartbeats in the time after which the server takes a worker for dead."""

_AT_ONCE: Final = timedelta(milliseconds=100)

_log = logging.getLogger(_loggers.ENGINES)


async def attempt(work: Callable[[], Awaitable[T]]) -> T:
    """
    Await the work with heartbeats; stop it when the worker stops, and leave it to another one.

    A cancellation by the engine leaves as it is. Of an error its type leaves, and its
    text where that is this library's: an engine keeps what it is told.

    Raises:
        ApplicationError: the worker stops, or the work failed; tried again but where nothing would change.
    """
    done: list[T] = []
    try:
        async with open_task_group() as tasks:
            tasks.start_soon(_beat)
            tasks.start_soon(_cancel_at_shutdown, tasks.cancel_scope)
            done.append(await _without_texts(work))
            tasks.cancel_scope.cancel()
    except asyncio.CancelledError:
        if _was_asked_for():
            raise
    if done:
        return done[0]
    message = "the worker is stopping; the begun work is stored, and another worker continues it"
    raise again(message, STOPPED, after=_AT_ONCE)


def again(message: str, name: str, *, after: timedelta) -> ApplicationError:
    """
    Return what ends an attempt that nothing is wrong with, to have another one after that time.
    """
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(message, type=name, next_retry_delay=after, category=benign)


async def _beat() -> None:
    timeout = activity.info().heartbeat_timeout
    while timeout:
        activity.heartbeat()
        await anyio.sleep(timeout.total_seconds() / _BEATS)


async def _cancel_at_shutdown(scope: anyio.CancelScope) -> None:
    await activity.wait_for_worker_shutdown()
    scope.cancel()


def _was_asked_for() -> bool:
    """
    Tell whether somebody cancelled, and not the end of the worker's patience.
    """
    details = activity.cancellation_details()
    return not activity.is_worker_shutdown() or bool(details and not details.worker_shutdown)


async def _without_texts(work: Callable[[], Awaitable[T]]) -> T:
    try:
        return await work()
    except ApplicationError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, an engine keeps its text and shows it
        told = str(error) if isinstance(error, OrchestrationError) else "see this worker's log"
        name, info = type(error).__name__, activity.info()
        _log.error(
            "attempt %d of %s failed: %s", info.attempt, info.activity_type, name, extra={"error": name}
        )
        raise ApplicationError(told, type=name, non_retryable=is_final(error)) from None

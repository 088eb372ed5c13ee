"""
The workflows. They import nothing of this library, and call activities by name.

Temporal plays a workflow again from its history, on a newer version of this
file too. So what it does may only grow, behind `workflow.patched`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

VERSION: Final = 1
"""Of what workflows are started with."""

DRIVE: Final = "proxy_orchestration.drive"
SWEEP: Final = "proxy_orchestration.sweep"
EXPIRY: Final = "proxy_orchestration.expiry"
CERTIFICATES: Final = "certificates"
PUSHES: Final = "pushes"
WOKEN: Final = "woken"

ANOTHER_VERSION: Final = "AnotherVersion"
"""The type of the error of a workflow that was started with what this version does not know."""

_OVER: Final = {"settled", "paused", "gone"}
_LONGEST_SLEEP: Final = 60.0
"""Seconds: what is due later is asked for once a minute, since a cancel may be due before it."""

_SHORTEST_SLEEP: Final = 0.05
_LONGEST_DRIVE: Final = timedelta(days=1)
"""A driver that is still at work then is stopped, and goes on in the next attempt."""

_LONGEST_NIGHT: Final = timedelta(hours=20)
"""So much for all attempts of a step: the next night does better than this one a day late."""

_LONGEST_SWEEP: Final = timedelta(minutes=1)
_AGAIN: Final = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
_STOPS_FIRST: Final = workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED


def read_payload(payload: Any, *names: str) -> Mapping[str, Any]:  # noqa: ANN401 - whatever somebody started it with
    """
    Return what a workflow or an activity was started with.

    Raises:
        ApplicationError: another version wrote it, or somebody else; never tried again.
    """
    known = isinstance(payload, dict) and payload.get("version") == VERSION
    if known and all(name in payload for name in names):
        found: Mapping[str, Any] = payload
        return found
    advice = (
        "start it with the library's own functions, in the version that the workers have; a sweep does so "
        "for every batch"
    )
    message = f"this workflow was not started with version {VERSION} of its input: {advice}"
    raise ApplicationError(message, type=ANOTHER_VERSION, non_retryable=True)


# Outside of the sandbox: it would import this package anew for every run, and refuses it beside sniffio;
# decision 320.
@workflow.defn(name=DRIVE, sandboxed=False)
class DriveRun:
    """
    Has one run of a batch driven until it is settled, paused or gone.
    """

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=WOKEN)
    def wake(self) -> None:
        """
        Look again now: something was done for the batch.
        """
        self._is_woken = True

    @workflow.run
    async def run(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever somebody started it with
        """
        Return how it ended, as `DriveReport` tells.
        """
        heartbeat = timedelta(seconds=read_payload(payload, "batch_id", "run", "heartbeat")["heartbeat"])
        while True:
            self._is_woken = False
            report: Mapping[str, Any] = await workflow.execute_activity(
                DRIVE,
                payload,
                start_to_close_timeout=_LONGEST_DRIVE,
                heartbeat_timeout=heartbeat,
                retry_policy=_AGAIN,
                cancellation_type=_STOPS_FIRST,
            )
            if report["ending"] in _OVER and not self._is_woken:
                return report
            await self._sleep(report["retry_after"])
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(payload)

    async def _sleep(self, seconds: float | None) -> None:
        shortest = _LONGEST_SLEEP if seconds is None else max(_SHORTEST_SLEEP, min(seconds, _LONGEST_SLEEP))
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._is_woken, timeout=shortest)


@workflow.defn(name=SWEEP, sandboxed=False)
class Sweep:
    """
    Has every run woken that is due and that nobody drives, and audit events delivered.
    """

    @workflow.run
    async def run(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as for the other
        """
        Return how many runs were found, and how many audit events were taken.
        """
        read_payload(payload, "limit")
        found: Mapping[str, Any] = await workflow.execute_activity(
            SWEEP, payload, schedule_to_close_timeout=_LONGEST_SWEEP, retry_policy=_AGAIN
        )
        return found


@workflow.defn(name=EXPIRY, sandboxed=False)
class Expiry:
    """
    Has certificates looked at, pushes sent, or one after the other; the second also where the first failed.
    """

    @workflow.run
    async def run(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as for the others
        """
        Return the counts of each step.
        """
        given = read_payload(payload, "heartbeat", "steps")
        failure: ActivityError | None = None
        counts: dict[str, Any] = {}
        for step in given["steps"]:
            try:
                counts[step] = await _expiry_step(step, given)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                failure = failure or error
        if failure is not None:
            raise failure
        return counts


async def _expiry_step(step: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    counts: Mapping[str, Any] = await workflow.execute_activity(
        f"{EXPIRY}.{step}",
        payload,
        schedule_to_close_timeout=_LONGEST_NIGHT,
        heartbeat_timeout=timedelta(seconds=payload["heartbeat"]),
        retry_policy=_AGAIN,
        cancellation_type=_STOPS_FIRST,
    )
    return counts

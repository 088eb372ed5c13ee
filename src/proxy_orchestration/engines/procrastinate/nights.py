"""
The nightly certificate run and the dispatch of pushes, as periodic jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, time, timedelta
from typing import Any, Final

import attrs
from procrastinate import App, RetryStrategy
from procrastinate.periodic import MAX_DELAY

from proxy_orchestration._wiring import check_functions
from proxy_orchestration.engines.procrastinate.periods import every
from proxy_orchestration.engines.procrastinate.wake_ups import QUEUE
from proxy_orchestration.errors import InvalidValueError, MisconfiguredError
from proxy_orchestration.notification.certificate_source import Certificates
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator

CATCH_UP: Final = 86_100
"""
The seconds for `App(periodic_defaults={"max_delay": CATCH_UP})`, so that a night without any worker
is made up for.

It is five minutes less than a day, so at most one missed night is run later; the next night makes
up for older ones.
"""

_AGAIN: Final = RetryStrategy(max_attempts=5, exponential_wait=5)
"""After 5 seconds, 25, 125, then 10 minutes and 52; the night after that makes up for the rest."""


def schedule_expiry(  # noqa: PLR0913 - what a night needs, by name
    app: App,
    notifications: NotificationOrchestrator,
    dispatcher: PushDispatcher,
    *,
    certificates: Callable[[], Certificates],
    at: time = time(0, 5, tzinfo=UTC),
    send_every: float = 60.0,
    queue: str = QUEUE,
) -> None:
    """
    Register the periodic tasks that run the certificates every night and send pushes all day.

    A nightly job that runs twice notifies nobody twice. One that fails is repeated. If its worker
    is killed, another worker takes it up within minutes. If it was missed, the first worker that
    starts within a day runs it, and the log of runs shows the gap.

    Args:
        app: the host's app, made with `periodic_defaults={"max_delay": CATCH_UP}`. That setting
            applies to all periodic jobs of the app, so the host must set it.
        notifications: writes the notices that are due.
        dispatcher: sends the pushes.
        certificates: a function that returns the certificates; it is called again for each attempt.
        at: the time of the nightly job, in UTC.
        send_every: seconds between two dispatches of due pushes; it must divide a minute or an hour
            evenly.
        queue: the name of the jobs' queue, and the first part of the names of the two tasks.

    Raises:
        MisconfiguredError: the app was made without that setting, so it would skip a late nightly
            job.
        InvalidValueError: `at` is not in UTC, or `send_every` does not divide a minute or an hour
            evenly.
    """
    _check_catch_up(app)
    if at.utcoffset() != timedelta(0):
        name, rule = (
            "at",
            "must be in UTC, such as time(0, 5, tzinfo=UTC), because a local hour may be skipped",
        )
        raise InvalidValueError(name, rule)
    night = Night(
        app=app, queue=queue, notifications=notifications, dispatcher=dispatcher, certificates=certificates
    )
    pushes, sending = f"{queue}.pushes", every("send_every", send_every)
    run = app.task(name=night.task, queue=queue, retry=_AGAIN)(night.run)
    send = app.task(name=pushes, queue=queue, queueing_lock=pushes)(night.send)
    app.periodic(cron=f"{at.minute} {at.hour} * * *")(run)
    app.periodic(cron=sending)(send)


def _check_catch_up(app: App) -> None:
    late = app.periodic_defaults.get("max_delay", MAX_DELAY)
    if late < CATCH_UP:
        problem = (
            f"it skips jobs that are more than {late:.0f} seconds late, and so a night without any worker. "
            f"Create it as App(..., periodic_defaults={{'max_delay': {CATCH_UP}}})"
        )
        raise MisconfiguredError(schedule_expiry.__name__, "app", problem)


@attrs.frozen(eq=False, kw_only=True)
class Night:
    """
    What the two tasks do. Neither has a lock: that of a worker which was killed would never be given back.
    """

    app: App
    queue: str
    notifications: NotificationOrchestrator
    dispatcher: PushDispatcher
    certificates: Callable[[], Certificates]

    def __attrs_post_init__(self) -> None:
        check_functions(self, "certificates")

    @property
    def task(self) -> str:
        """
        Return the name of the task that runs the certificates.
        """
        return f"{self.queue}.certificates"

    async def run(self, timestamp: int) -> Mapping[str, int]:
        """
        Write what is due now, however late the job is, send what is due, and return counts.

        Args:
            timestamp: when this night was due, as Procrastinate gives it.
        """
        result = await self.notifications.run(self.certificates())
        sent = await self.dispatcher.drain()
        counts = {"processed": result.processed, "created": result.created, "failed": result.failed}
        return {"due": timestamp, **counts, "sent": sent.sent}

    async def send(self, timestamp: int) -> Mapping[str, Any]:
        """
        Send what is due, and have a night repeated whose worker was killed.

        Args:
            timestamp: when this was due, as Procrastinate gives it.
        """
        manager = self.app.job_manager
        stalled = [*await manager.get_stalled_jobs(queue=self.queue, task_name=self.task)]
        for job in stalled:
            await manager.retry_job(job)
        return {"due": timestamp, "repeated": len(stalled), **attrs.asdict(await self.dispatcher.drain())}

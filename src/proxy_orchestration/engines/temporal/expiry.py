"""
The nightly certificate run and the dispatch of pushes, scheduled by Temporal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import time, timedelta
from typing import Any, Final

import attrs
from temporalio import activity
from temporalio.client import (
    Client,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)

from proxy_orchestration._validators import is_a, is_positive
from proxy_orchestration._wiring import check_functions
from proxy_orchestration.engines.temporal.attempts import attempt
from proxy_orchestration.engines.temporal.schedules import is_a_second_at_least, put_schedule
from proxy_orchestration.engines.temporal.workflows import (
    CERTIFICATES,
    EXPIRY,
    PUSHES,
    VERSION,
    Expiry,
    read_payload,
)
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.certificate_source import Certificates
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator

_NIGHT: Final = timedelta(hours=23, minutes=55)
"""How late a missed night is made up for: one at most, since the one after it makes up for both."""


@attrs.frozen(eq=False, kw_only=True)
class TemporalExpiry:
    """
    Runs the certificates every night and sends pushes all day, with the workers of a task queue.

    A nightly job that runs twice notifies nobody twice. The next one at the latest makes up for a
    missed one. The log of runs shows when the last one ran.

    Attributes:
        client: a connected client of the namespace.
        task_queue: the queue that the workers poll.
        notifications: writes the notices that are due.
        certificates: a function that returns the certificates; it is called again for each attempt.
        dispatcher: sends the pushes.
        at: the time of the nightly job, in UTC, to the minute, without a `tzinfo`.
        send_every: seconds between two dispatches of due pushes.
        heartbeat: seconds without a heartbeat after which another worker takes over.
        prefix: the prefix of the ids of workflows and schedules; use one for each store.
    """

    client: Client = attrs.field(validator=is_a(Client))
    task_queue: str = attrs.field(validator=is_a(str))
    notifications: NotificationOrchestrator = attrs.field(validator=is_a(NotificationOrchestrator))
    certificates: Callable[[], Certificates]
    dispatcher: PushDispatcher = attrs.field(validator=is_a(PushDispatcher))
    at: time = attrs.field(default=time(0, 5), validator=is_a(time))
    send_every: float = attrs.field(default=60.0, validator=is_a_second_at_least)
    heartbeat: float = attrs.field(default=10.0, validator=is_positive)
    prefix: str = attrs.field(default="expiry", validator=is_a(str))

    def __attrs_post_init__(self) -> None:
        check_functions(self, "certificates")
        if self.at.tzinfo is not None:
            name = "at"
            raise InvalidValueError(name, "must be a time in UTC without a zone of its own")

    @property
    def workflows(self) -> Sequence[type]:
        """
        Return the workflows to give to a worker of the task queue.
        """
        return (Expiry,)

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """
        Return the activities to give to a worker of the task queue.
        """
        return (self.run_certificates, self.send_pushes)

    async def schedule_expiry(self) -> None:
        """
        Create or update the schedules of the nightly job and of the pushes; repeated calls are harmless.

        If the server was off at night, the job runs once when it is back, within a day.

        Raises:
            RPCError: Temporal did not accept the schedules (`temporalio.service.RPCError`).
        """
        hour, minute = ScheduleRange(self.at.hour), ScheduleRange(self.at.minute)
        night = ScheduleCalendarSpec(hour=[hour], minute=[minute])
        await self._put("night", (CERTIFICATES, PUSHES), ScheduleSpec(calendars=[night]), late=_NIGHT)
        every = timedelta(seconds=self.send_every)
        by_day = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)])
        await self._put("pushes", (PUSHES,), by_day, late=max(every, timedelta(seconds=10)))

    async def _put(self, name: str, steps: Sequence[str], spec: ScheduleSpec, *, late: timedelta) -> None:
        await put_schedule(
            self.client,
            EXPIRY,
            {"version": VERSION, "heartbeat": self.heartbeat, "steps": list(steps)},
            schedule_id=f"{self.prefix}-{name}",
            task_queue=self.task_queue,
            spec=spec,
            policy=SchedulePolicy(catchup_window=late),
        )

    @activity.defn(name=f"{EXPIRY}.{CERTIFICATES}")
    async def run_certificates(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a workflow was started with
        """
        Write the notices that are due now, and return the counts; a Temporal activity.
        """
        read_payload(payload)
        result = await attempt(lambda: self.notifications.run(self.certificates()))
        return {
            "processed": result.processed,
            "created": result.created,
            "skipped": result.skipped,
            "failed": result.failed,
        }

    @activity.defn(name=f"{EXPIRY}.{PUSHES}")
    async def send_pushes(self, payload: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as for the other
        """
        Send the pushes that are due, and return the counts; a Temporal activity.
        """
        read_payload(payload)
        return attrs.asdict(await attempt(self.dispatcher.drain))

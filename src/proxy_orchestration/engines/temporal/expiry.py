"""
The night of certificates and their pushes, scheduled by Temporal.
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
    Runs the certificates every night and sends pushes in between, by the workers of a task queue.

    A night that runs twice tells nobody twice, and one that is missed is made up
    for by the next at the latest; the log of runs says when the last one was.

    Attributes:
        client: of the namespace; connected.
        task_queue: which the workers listen to.
        notifications: writes what is due.
        certificates: returns the certificates, anew for each attempt.
        dispatcher: sends the pushes.
        at: when the night is, in UTC; to the minute, and without a zone.
        send_every: seconds between two looks at what is due to be sent by day.
        heartbeat: seconds without a sign of life after which another worker goes on.
        prefix: of the ids of workflows and schedules; one for each store.
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
            raise InvalidValueError(name, "is in UTC, and has no zone of its own")

    @property
    def workflows(self) -> Sequence[type]:
        """
        Return what a worker of the task queue is given as `workflows`.
        """
        return (Expiry,)

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """
        Return what a worker of the task queue is given as `activities`.
        """
        return (self.run_certificates, self.send_pushes)

    async def schedule_expiry(self) -> None:
        """
        Have the night and the pushes scheduled; every process may say so, as often as it likes.

        A night that the server was off is made up for once, within a day.

        Raises:
            RPCError: Temporal did not take it; an error of `temporalio.service`.
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
        Write what is due for the certificates as of now, and return the counts; an activity.
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
        Send what is due, and return the counts; an activity.
        """
        read_payload(payload)
        return attrs.asdict(await attempt(self.dispatcher.drain))

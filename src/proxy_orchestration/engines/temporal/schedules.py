"""
Creates schedules once, and updates them when a newer process starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from proxy_orchestration._validators import is_positive
from proxy_orchestration.errors import InvalidValueError


def is_a_second_at_least(engine: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """
    Accept a period that Temporal's schedules know.
    """
    is_positive(engine, attribute, value)
    if value < 1:
        raise InvalidValueError(
            attribute.name, "must be at least one second, because Temporal schedules are no shorter"
        )


async def put_schedule(  # noqa: PLR0913 - a schedule's own parts
    client: Client,
    workflow: str,
    payload: Mapping[str, Any],
    *,
    schedule_id: str,
    task_queue: str,
    spec: ScheduleSpec,
    policy: SchedulePolicy,
) -> None:
    """
    Make the schedule, or change it to this; whether somebody paused it stays.
    """
    action = ScheduleActionStartWorkflow(workflow, payload, id=schedule_id, task_queue=task_queue)
    schedule = Schedule(action=action, spec=spec, policy=policy)

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule.state = found.description.schedule.state
        return ScheduleUpdate(schedule=schedule)

    try:
        await client.create_schedule(schedule_id, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(changed)

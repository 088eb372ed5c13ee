"""
What the store of activity records promises.
"""

from __future__ import annotations

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.testing.contracts._checks import Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts._samples import ACTIVITY, COORDINATOR, NOON

records: list[Check[ActivityRecords]] = []


def _record(number: int, mentor_id: str = "mentor-1", batch_id: str = "batch-1") -> ActivityRecord:
    registration_id = registration_id_of(batch_id, mentor_id)
    registration = ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, number),
        batch_id=batch_id,
        mentor_id=mentor_id,
        activity=ACTIVITY,
        registered_by=COORDINATOR,
    )
    return ActivityRecord(activity_id=f"activity-{number}", registration=registration, recorded_at=NOON)


@rule_of(records)
async def a_record_is_found_by_its_registration(store: ActivityRecords) -> None:
    record = _record(1)
    expect("nothing before", expected=None, actual=await store.find_activity("batch-1:mentor-1"))
    expect("it is stored", expected=record, actual=await store.add_activity(record))

    expect("it is found", expected=record, actual=await store.find_activity("batch-1:mentor-1"))
    expect("no other is", expected=None, actual=await store.find_activity("batch-1:mentor-2"))


@rule_of(records)
async def every_field_of_a_record_comes_back(store: ActivityRecords) -> None:
    registration = ProxyRegistration(
        registration_id="batch-ø:mentor-ø",
        idempotency_key="batch-ø:mentor-ø:7",
        batch_id="batch-ø",
        mentor_id="mentor-ø",
        activity=ProxyActivity(
            activity_type="visit",
            activity_date=ACTIVITY.activity_date,
            duration_minutes=90,
            notes="Line one\nline «two» — 日本語",
            details={"nested": {"list": [1, 2.5, None, False]}},
        ),
        registered_by=Actor(
            user_id="admin-1", roles={Role.CHAPTER_ADMIN, Role.COORDINATOR}, organization_id="org-9"
        ),
        override_of="activity-0",
    )
    record = ActivityRecord(activity_id="activity-ø", registration=registration, recorded_at=NOON)
    await store.add_activity(record)

    expect("all of it", expected=record, actual=await store.find_activity("batch-ø:mentor-ø"))


@rule_of(records)
async def a_registration_has_one_record_for_ever(store: ActivityRecords) -> None:
    first, second = _record(1), _record(2)
    await store.add_activity(first)

    expect("the stored one answers", expected=first, actual=await store.add_activity(second))
    expect("and stays", expected=first, actual=await store.find_activity("batch-1:mentor-1"))
    expect("alone", expected=[first], actual=list(await store.activities_of_batch("batch-1")))


@rule_of(records)
async def records_at_once_are_one(store: ActivityRecords) -> None:
    candidates = [_record(number) for number in range(1, 6)]
    answers = await at_once(
        *[lambda candidate=candidate: store.add_activity(candidate) for candidate in candidates]
    )
    stored = await store.find_activity("batch-1:mentor-1")

    expect("all calls return the stored one", expected=[stored] * 5, actual=answers)
    expect("which is one of them", expected=True, actual=stored in candidates)
    expect("alone", expected=[stored], actual=list(await store.activities_of_batch("batch-1")))


@rule_of(records)
async def a_batch_has_its_records_by_mentor(store: ActivityRecords) -> None:
    mine = [_record(number, f"mentor-{number}") for number in (3, 1, 2)]
    for record in [*mine, _record(4, "mentor-0", "batch-2")]:
        await store.add_activity(record)

    expect(
        "ordered by mentor id",
        expected=[mine[1], mine[2], mine[0]],
        actual=list(await store.activities_of_batch("batch-1")),
    )
    expect("an unknown batch has none", expected=[], actual=list(await store.activities_of_batch("batch-3")))

"""
What the store of activity records promises, of each and with `_duplicates` of several.
"""

from __future__ import annotations

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.registration.activities import ActivityRecord, ProxyActivity, ProxyRegistration
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.testing.contracts._checks import Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts._duplicates import duplicates
from proxy_orchestration.testing.contracts._samples import ACTIVITY, NOON, activity_record, later

records: list[Check[ActivityRecords]] = [*duplicates]


@rule_of(records)
async def a_record_is_found_by_its_registration(store: ActivityRecords) -> None:
    record = activity_record(1)
    expect("nothing before", expected=[], actual=list(await store.find_activities(["batch-1:mentor-1"])))
    added = await store.add_activities([record], atomic=False)

    expect("it is stored", expected=[record], actual=list(added))
    found = await store.find_activities(["batch-1:mentor-1"])
    expect("it is found", expected=[record], actual=list(found))
    others = await store.find_activities(["batch-1:mentor-2"])
    expect("no other is", expected=[], actual=list(others))


@rule_of(records)
async def several_records_are_found_at_once(store: ActivityRecords) -> None:
    mine = [activity_record(number, f"mentor-{number}") for number in range(1, 5)]
    await store.add_activities(mine, atomic=False)
    asked = ["batch-1:mentor-3", "batch-1:mentor-9", "batch-1:mentor-1", "batch-1:mentor-3"]
    found = await store.find_activities(asked)

    expect(
        "each that exists, once, in no order",
        expected=["activity-1", "activity-3"],
        actual=sorted(record.activity_id for record in found),
    )
    expect("none of none", expected=[], actual=list(await store.find_activities([])))


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
    record = ActivityRecord(
        activity_id="activity-ø",
        registration=registration,
        recorded_at=NOON,
        duplicate_key="a key with 'quotes' and «ø»",
        voided_at=later(1),
    )
    await store.add_activities([record], atomic=True)

    found = await store.find_activities(["batch-ø:mentor-ø"])
    expect("all of it", expected=[record], actual=list(found))


@rule_of(records)
async def many_records_are_answered_in_order(store: ActivityRecords) -> None:
    for atomic in (False, True):
        batch_id = f"batch-{atomic}"
        numbers = range(40, 0, -1)
        mine = [
            activity_record(f"{atomic}-{number}", f"mentor-{number:02}", batch_id, key=f"{atomic}-{number}")
            for number in numbers
        ]
        expect(
            "each answers itself", expected=mine, actual=list(await store.add_activities(mine, atomic=atomic))
        )
        stored = await store.activities_of_batch(batch_id)
        expect("all are stored", expected=mine[::-1], actual=list(stored))
    expect("nothing of nothing", expected=[], actual=list(await store.add_activities([], atomic=True)))


@rule_of(records)
async def a_registration_has_one_record_for_ever(store: ActivityRecords) -> None:
    first, second = activity_record(1), activity_record(2)
    await store.add_activities([first], atomic=False)

    for atomic in (False, True):
        answers = await store.add_activities([second], atomic=atomic)
        expect("the stored one answers", expected=[first], actual=list(answers))
    found = await store.find_activities(["batch-1:mentor-1"])
    expect("and stays", expected=[first], actual=list(found))
    expect("alone", expected=[first], actual=list(await store.activities_of_batch("batch-1")))


@rule_of(records)
async def a_record_among_new_ones_answers_for_itself(store: ActivityRecords) -> None:
    stored, repeated = activity_record(1), activity_record(5)
    await store.add_activities([stored], atomic=False)
    before, after = activity_record(2, "mentor-0"), activity_record(3, "mentor-3")
    answers = await store.add_activities([before, repeated, after], atomic=True)

    expect("in its place", expected=[before, stored, after], actual=list(answers))
    expect(
        "the new ones are stored",
        expected=[before, stored, after],
        actual=list(await store.activities_of_batch("batch-1")),
    )


@rule_of(records)
async def records_at_once_are_one(store: ActivityRecords) -> None:
    candidates = [activity_record(number) for number in range(1, 6)]
    answers = await at_once(
        *[lambda one=one: store.add_activities([one], atomic=False) for one in candidates]
    )
    stored = list(await store.find_activities(["batch-1:mentor-1"]))

    expect("all calls return the stored one", expected=[stored] * 5, actual=[list(a) for a in answers])
    expect("which is one of them", expected=True, actual=stored[0] in candidates)
    expect("alone", expected=stored, actual=list(await store.activities_of_batch("batch-1")))


@rule_of(records)
async def a_batch_has_its_records_by_mentor(store: ActivityRecords) -> None:
    mine = [activity_record(number, f"mentor-{number}") for number in (3, 1, 2)]
    await store.add_activities([*mine, activity_record(4, "mentor-0", "batch-2")], atomic=False)
    await store.void_activity("activity-1", voided_at=later(1))
    found = await store.activities_of_batch("batch-1")

    expect(
        "ordered by mentor id, void ones too",
        expected=[("activity-1", later(1)), ("activity-2", None), ("activity-3", None)],
        actual=[(record.activity_id, record.voided_at) for record in found],
    )
    expect(
        "with whoever registered them",
        expected={"coordinator-1"},
        actual={record.registration.registered_by.user_id for record in found},
    )
    expect("an unknown batch has none", expected=[], actual=list(await store.activities_of_batch("batch-3")))


@rule_of(records)
async def a_record_is_void_from_its_first_moment(store: ActivityRecords) -> None:
    await store.add_activities([activity_record(1), activity_record(2, "mentor-2")], atomic=False)

    for moment in (5, 4, 6):
        voided = await store.void_activity("activity-1", voided_at=later(moment))
        expect("there is such a record", expected=True, actual=voided)
    found = await store.activities_of_batch("batch-1")
    expect("the first moment stays", expected=[later(5), None], actual=[one.voided_at for one in found])
    nothing = await store.void_activity("no-such-activity", voided_at=later(5))
    expect("there is no such record", expected=False, actual=nothing)
    again = await store.add_activities([activity_record(9)], atomic=False)
    expect("it still is its registration's record", expected="activity-1", actual=again[0].activity_id)

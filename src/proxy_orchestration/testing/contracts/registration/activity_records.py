"""
What the store of activity records promises: of each record, and of duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.registration.activities import ActivityRecord, ProxyActivity, ProxyRegistration
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.testing.contracts.checks import (
    UNKEEPABLE,
    Check,
    at_once,
    error_of,
    expect,
    rule_of,
)
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    NOON,
    activity_record,
    later,
)

storing: list[Check[ActivityRecords]] = []

_KEY = "the same day"


def _ids(records: Sequence[ActivityRecord]) -> list[str]:
    return [record.activity_id for record in records]


async def _stored(store: ActivityRecords, *batch_ids: str) -> list[str]:
    """
    Return the ids of all that the batches wrote.
    """
    found = [record for batch_id in batch_ids for record in await store.activities_of_batch(batch_id)]
    return sorted(_ids(found))


async def _conflicting(store: ActivityRecords, *keys: str, organization_id: str = "org-1") -> dict[str, str]:
    found = await store.find_duplicates(organization_id, keys or (_KEY,))
    return {key: record.activity_id for key, record in found.items()}


@rule_of(storing)
async def a_record_is_found_by_its_registration(store: ActivityRecords) -> None:
    record = activity_record(1)
    expect("nothing before", expected=[], actual=list(await store.find_activities(["batch-1:mentor-1"])))
    added = await store.add_activities([record], atomic=False)

    expect("it is stored", expected=[record], actual=list(added))
    found = await store.find_activities(["batch-1:mentor-1"])
    expect("it is found", expected=[record], actual=list(found))
    others = await store.find_activities(["batch-1:mentor-2"])
    expect("no other is", expected=[], actual=list(others))


@rule_of(storing)
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


@rule_of(storing)
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


@rule_of(storing)
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


@rule_of(storing)
async def a_registration_has_one_record_for_ever(store: ActivityRecords) -> None:
    # A doubt ends by repeating the call, which must find what the first one wrote.
    first, second = activity_record(1), activity_record(2)
    await store.add_activities([first], atomic=False)

    for atomic in (False, True):
        answers = await store.add_activities([second], atomic=atomic)
        expect("the stored one answers", expected=[first], actual=list(answers))
    found = await store.find_activities(["batch-1:mentor-1"])
    expect("and stays", expected=[first], actual=list(found))
    expect("alone", expected=[first], actual=list(await store.activities_of_batch("batch-1")))


@rule_of(storing)
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


@rule_of(storing)
async def records_at_once_are_one(store: ActivityRecords) -> None:
    candidates = [activity_record(number) for number in range(1, 6)]
    answers = await at_once(
        *[lambda one=one: store.add_activities([one], atomic=False) for one in candidates]
    )
    stored = list(await store.find_activities(["batch-1:mentor-1"]))

    expect("all calls return the stored one", expected=[stored] * 5, actual=[list(a) for a in answers])
    expect("which is one of them", expected=True, actual=stored[0] in candidates)
    expect("alone", expected=stored, actual=list(await store.activities_of_batch("batch-1")))


@rule_of(storing)
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


@rule_of(storing)
async def a_record_is_void_from_its_first_moment(store: ActivityRecords) -> None:
    # A second void says nothing new, and auditors rely on the first.
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


@rule_of(storing)
async def a_stored_record_is_in_the_way(store: ActivityRecords) -> None:
    first = activity_record(1, key=_KEY)
    await store.add_activities([first], atomic=False)
    second = activity_record(2, batch_id="batch-2", key=_KEY)
    other = activity_record(3, "mentor-3", "batch-2", key="another day")
    answers = await store.add_activities([second, other], atomic=False)

    expect("it answers for the second", expected=[first, other], actual=list(answers))
    expect("which is not stored", expected=["activity-3"], actual=await _stored(store, "batch-2"))
    found = await store.find_activities([second.registration.registration_id])
    expect("nor found", expected=[], actual=list(found))


@rule_of(storing)
async def of_two_in_one_call_the_first_is_stored(store: ActivityRecords) -> None:
    first, second, third = (activity_record(n, f"mentor-{4 - n}", key=_KEY) for n in (1, 2, 3))
    answers = await store.add_activities([first, second, third], atomic=False)

    expect("it answers for the others", expected=[first] * 3, actual=list(answers))
    expect("alone", expected=["activity-1"], actual=await _stored(store, "batch-1"))


@rule_of(storing)
async def another_organization_is_in_nobody_s_way(store: ActivityRecords) -> None:
    # No host's rule for keys may make two organizations conflict; decision 27.
    stranger = attrs.evolve(COORDINATOR, organization_id="org-2")
    mine = activity_record(1, key=_KEY)
    theirs = activity_record(2, batch_id="batch-2", key=_KEY, actor=stranger)
    answers = await store.add_activities([mine, theirs], atomic=True)

    expect("both are stored", expected=[mine, theirs], actual=list(answers))
    expect("the one's", expected={_KEY: "activity-1"}, actual=await _conflicting(store))
    expect(
        "the other's",
        expected={_KEY: "activity-2"},
        actual=await _conflicting(store, organization_id="org-2"),
    )
    expect("nobody's", expected={}, actual=await _conflicting(store, organization_id="org-3"))


@rule_of(storing)
async def a_record_without_a_key_is_never_a_duplicate(store: ActivityRecords) -> None:
    mine = [activity_record(number, f"mentor-{number}") for number in (1, 2)]

    for atomic, added in ((False, mine), (True, [activity_record(3, "mentor-3")])):
        answers = await store.add_activities(added, atomic=atomic)
        expect("each is stored", expected=added, actual=list(answers))
    expect("all three", expected=3, actual=len(await _stored(store, "batch-1")))


@rule_of(storing)
async def a_void_record_is_in_nobody_s_way(store: ActivityRecords) -> None:
    await store.add_activities([activity_record(1, key=_KEY)], atomic=False)
    await store.void_activity("activity-1", voided_at=later(1))
    expect("nothing conflicts", expected={}, actual=await _conflicting(store))
    second = activity_record(2, batch_id="batch-2", key=_KEY)

    answers = await store.add_activities([second], atomic=True)
    expect("the next one is stored", expected=[second], actual=list(answers))
    expect("and conflicts now", expected={_KEY: "activity-2"}, actual=await _conflicting(store))


@rule_of(storing)
async def an_override_passes_and_is_in_the_way_later(store: ActivityRecords) -> None:
    # The unique index leaves overrides out, so a second one finds them; decision 27.
    first = activity_record(1, key=_KEY)
    over = activity_record(2, batch_id="batch-2", key=_KEY, override_of="activity-1")
    plain = activity_record(3, batch_id="batch-3", key=_KEY)
    await store.add_activities([first], atomic=False)

    expect("it is stored", expected=[over], actual=list(await store.add_activities([over], atomic=True)))
    expect(
        "the one that is none comes first", expected={_KEY: "activity-1"}, actual=await _conflicting(store)
    )
    await store.void_activity("activity-1", voided_at=later(1))
    expect("then the override", expected={_KEY: "activity-2"}, actual=await _conflicting(store))
    for atomic in (False, True):
        answers = await store.add_activities([plain], atomic=atomic)
        expect("conflicts with a plain one", expected=["activity-2"], actual=_ids(answers))
    expect("which is not stored", expected=[], actual=await _stored(store, "batch-3"))


@rule_of(storing)
async def an_override_is_in_the_way_of_a_plain_one_in_the_same_call(store: ActivityRecords) -> None:
    over = activity_record(1, key=_KEY, override_of="activity-0")
    plain = activity_record(2, batch_id="batch-2", key=_KEY)

    answers = await store.add_activities([over, plain], atomic=False)

    expect("the first stands for both", expected=["activity-1", "activity-1"], actual=_ids(answers))
    expect("which is not stored", expected=[], actual=await _stored(store, "batch-2"))


@rule_of(storing)
async def an_override_that_is_not_stored_is_in_nobody_s_way(store: ActivityRecords) -> None:
    # Its registration has its record already, which is void.
    over = activity_record(1, key=_KEY, override_of="activity-0")
    await store.add_activities([over], atomic=False)
    await store.void_activity("activity-1", voided_at=later(1))
    again = attrs.evolve(over, activity_id="activity-1-again")
    plain = activity_record(2, "mentor-2", key=_KEY)
    for atomic in (True, False):
        answers = await store.add_activities([again, plain], atomic=atomic)
        expect(f"atomic {atomic}", expected=["activity-1", "activity-2"], actual=_ids(answers))
    expect("both are there", expected=["activity-1", "activity-2"], actual=await _stored(store, "batch-1"))


@rule_of(storing)
async def overrides_pass_one_another(store: ActivityRecords) -> None:
    overs = [
        activity_record(number, f"mentor-{number}", key=_KEY, override_of="activity-0") for number in (1, 2)
    ]
    answers = await store.add_activities(overs, atomic=True)

    expect("both are stored", expected=overs, actual=list(answers))
    await store.void_activity("activity-1", voided_at=later(1))
    expect("each conflicts", expected={_KEY: "activity-2"}, actual=await _conflicting(store))


@rule_of(storing)
async def a_record_stays_its_registration_s_answer(store: ActivityRecords) -> None:
    # Its own record comes before any conflict: the call may be a repetition.
    mine = activity_record(1, key=_KEY)
    over = activity_record(2, batch_id="batch-2", key=_KEY, override_of="activity-1")
    await store.add_activities([mine], atomic=False)
    await store.add_activities([over], atomic=False)
    await store.void_activity("activity-1", voided_at=later(1))

    for atomic in (False, True):
        answers = await store.add_activities([mine, over], atomic=atomic)
        expect("its own comes first", expected=["activity-1", "activity-2"], actual=_ids(answers))
    expect("nothing is added", expected=2, actual=len(await _stored(store, "batch-1", "batch-2")))


@rule_of(storing)
async def all_or_nothing_is_nothing_with_one_in_the_way(store: ActivityRecords) -> None:
    # The answer names the offender, which an error would not; decision 28.
    await store.add_activities([activity_record(1, key=_KEY)], atomic=False)
    mine = [activity_record(n, f"mentor-{n}", "batch-2", key=f"key {n}") for n in range(2, 8)]
    mine[3] = activity_record(5, "mentor-5", "batch-2", key=_KEY)
    answers = await store.add_activities(mine, atomic=True)

    expect("the conflicting one is told", expected="activity-1", actual=answers[3].activity_id)
    expect("in its place", expected=6, actual=len(answers))
    expect("none is stored", expected=[], actual=await _stored(store, "batch-2"))
    found = await store.find_activities([one.registration.registration_id for one in mine])
    expect("none is found", expected=[], actual=list(found))
    expect("none conflicts", expected={}, actual=await _conflicting(store, "key 2", "key 7"))
    again = await store.add_activities([one for one in mine if one.duplicate_key != _KEY], atomic=True)
    expect("without it all are stored", expected=5, actual=len(await _stored(store, "batch-2")))
    expect("as themselves", expected=mine[0], actual=again[0])


@rule_of(storing)
async def all_or_nothing_is_nothing_with_two_alike(store: ActivityRecords) -> None:
    mine = [activity_record(n, f"mentor-{n}", key=_KEY if n in {2, 4} else f"key {n}") for n in range(1, 6)]
    answers = await store.add_activities(mine, atomic=True)

    expect("the first of them is told", expected="activity-2", actual=answers[3].activity_id)
    expect("none is stored", expected=[], actual=await _stored(store, "batch-1"))


@rule_of(storing)
async def all_or_nothing_repeated_is_answered_by_its_own(store: ActivityRecords) -> None:
    mine = [activity_record(n, f"mentor-{n}", key=f"key {n}") for n in range(1, 5)]
    await store.add_activities(mine, atomic=True)
    repeated = [attrs.evolve(one, activity_id=f"{one.activity_id}-again") for one in mine]

    for _ in range(2):
        answers = await store.add_activities(repeated, atomic=True)
        expect("the records that were written", expected=mine, actual=list(answers))
    expect("once", expected=_ids(mine), actual=await _stored(store, "batch-1"))


@rule_of(storing)
async def of_calls_at_once_one_stores_and_all_get_it(store: ActivityRecords) -> None:
    # No look-up before the insert can see what another call is about to write.
    batch_ids = [f"batch-{number}" for number in range(5)]
    candidates = [activity_record(n, batch_id=name, key=_KEY) for n, name in enumerate(batch_ids)]
    answers = await at_once(
        *[
            lambda one=one, number=number: store.add_activities([one], atomic=number % 2 == 0)
            for number, one in enumerate(candidates)
        ]
    )
    stored = await _stored(store, *batch_ids)

    expect("one is stored", expected=1, actual=len(stored))
    expect("all get it", expected=[stored] * 5, actual=[_ids(answer) for answer in answers])


@rule_of(storing)
async def calls_of_many_at_once_share_their_records(store: ActivityRecords) -> None:
    batch_ids = [f"batch-{number}" for number in range(3)]

    def records_of(batch_id: str) -> list[ActivityRecord]:
        names = [f"mentor-{n}" for n in range(20)]
        return [activity_record(f"{batch_id}-{name}", name, batch_id, key=name) for name in names]

    answers = await at_once(
        *[lambda name=name: store.add_activities(records_of(name), atomic=False) for name in batch_ids]
    )

    expect("one for each key", expected=20, actual=len(await _stored(store, *batch_ids)))
    expect("all calls get the same", expected=[_ids(answers[0])] * 3, actual=[_ids(one) for one in answers])


@rule_of(storing)
async def duplicates_are_found_for_many_keys_at_once(store: ActivityRecords) -> None:
    mine = [activity_record(n, f"mentor-{n}", key=f"key {n} «ø»") for n in range(300)]
    await store.add_activities(mine, atomic=True)
    await store.void_activity("activity-7", voided_at=later(1))
    asked = [f"key {n} «ø»" for n in range(5, 305)]
    expected = {f"key {n} «ø»": f"activity-{n}" for n in (5, 6, *range(8, 300))}

    expect("each that conflicts", expected=expected, actual=await _conflicting(store, *asked))
    expect("none for none", expected={}, actual=dict(await store.find_duplicates("org-1", [])))


def _with_activity(record: ActivityRecord, **changes: Any) -> ActivityRecord:  # noqa: ANN401 - fields of it
    registration = record.registration
    activity = attrs.evolve(registration.activity, **changes)
    return attrs.evolve(record, registration=attrs.evolve(registration, activity=activity))


@rule_of(storing)
async def a_record_that_cannot_be_kept_is_refused_with_its_call(store: ActivityRecords) -> None:
    good, bad = activity_record(1, key="a"), activity_record(2, "mentor-2", key="b")
    refused = [_with_activity(bad, notes=odd) for odd in UNKEEPABLE]
    refused += [attrs.evolve(bad, duplicate_key=odd) for odd in UNKEEPABLE]
    refused.append(_with_activity(bad, details={"name": UNKEEPABLE[1]}))
    refused.append(_with_activity(bad, duration_minutes=2**31))
    refused.append(activity_record(2, COORDINATOR.user_id, key="b"))
    for number, record in enumerate(refused):
        for atomic in (False, True):
            call = store.add_activities([good, record], atomic=atomic)
            await error_of(RecordRefusedError, f"record {number}, atomic {atomic}", call)

    expect("nothing of the calls is stored", expected=[], actual=await _stored(store, "batch-1"))
    await store.add_activities([bad], atomic=False)
    for number, record in enumerate(refused):
        call = store.add_activities([good, record], atomic=False)
        await error_of(RecordRefusedError, f"record {number}, whose registration has one", call)
    expect("and nothing then", expected=["activity-2"], actual=await _stored(store, "batch-1"))


@rule_of(storing)
async def one_id_that_cannot_be_kept_hides_no_other(store: ActivityRecords) -> None:
    record = activity_record(1, key=_KEY)
    await store.add_activities([record], atomic=False)
    for odd in UNKEEPABLE:
        found = await store.find_activities([odd, record.registration.registration_id])
        expect("found by registration", expected=["activity-1"], actual=_ids(found))
        expect("found by key", expected={_KEY: "activity-1"}, actual=await _conflicting(store, odd, _KEY))


@rule_of(storing)
async def the_longest_ids_are_kept(store: ActivityRecords) -> None:
    # Characters of four bytes each: an index of a database counts bytes.
    longest = "\N{MATHEMATICAL BOLD CAPITAL A}" * 200
    actor = attrs.evolve(COORDINATOR, organization_id=longest)
    record = activity_record(1, longest, "b" * 200, key=f"2026-03-03:200:{longest}:{'t' * 200}", actor=actor)
    await store.add_activities([record], atomic=False)
    found = await store.find_activities([record.registration.registration_id])

    expect("it is found", expected=[record], actual=list(found))
    conflicting = await _conflicting(store, str(record.duplicate_key), organization_id=longest)
    expect("by its key too", expected=["activity-1"], actual=list(conflicting.values()))

"""
What the store of activity records promises where one stands in the way of another.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.testing.contracts._checks import Check, at_once, expect, rule_of
from proxy_orchestration.testing.contracts._samples import COORDINATOR, activity_record, later

duplicates: list[Check[ActivityRecords]] = []

_KEY = "the same day"


def _ids(records: Sequence[ActivityRecord]) -> list[str]:
    return [record.activity_id for record in records]


async def _stored(store: ActivityRecords, *batch_ids: str) -> list[str]:
    """
    Return the ids of all that the batches wrote.
    """
    found = [record for batch_id in batch_ids for record in await store.activities_of_batch(batch_id)]
    return sorted(_ids(found))


async def _in_the_way(store: ActivityRecords, *keys: str, organization_id: str = "org-1") -> dict[str, str]:
    found = await store.find_duplicates(organization_id, keys or (_KEY,))
    return {key: record.activity_id for key, record in found.items()}


@rule_of(duplicates)
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


@rule_of(duplicates)
async def of_two_in_one_call_the_first_is_stored(store: ActivityRecords) -> None:
    first, second, third = (activity_record(n, f"mentor-{4 - n}", key=_KEY) for n in (1, 2, 3))
    answers = await store.add_activities([first, second, third], atomic=False)

    expect("it answers for the others", expected=[first] * 3, actual=list(answers))
    expect("alone", expected=["activity-1"], actual=await _stored(store, "batch-1"))


@rule_of(duplicates)
async def another_organization_is_in_nobody_s_way(store: ActivityRecords) -> None:
    stranger = attrs.evolve(COORDINATOR, organization_id="org-2")
    mine = activity_record(1, key=_KEY)
    theirs = activity_record(2, batch_id="batch-2", key=_KEY, actor=stranger)
    answers = await store.add_activities([mine, theirs], atomic=True)

    expect("both are stored", expected=[mine, theirs], actual=list(answers))
    expect("the one's", expected={_KEY: "activity-1"}, actual=await _in_the_way(store))
    expect(
        "the other's", expected={_KEY: "activity-2"}, actual=await _in_the_way(store, organization_id="org-2")
    )
    expect("nobody's", expected={}, actual=await _in_the_way(store, organization_id="org-3"))


@rule_of(duplicates)
async def a_record_without_a_key_is_never_a_duplicate(store: ActivityRecords) -> None:
    mine = [activity_record(number, f"mentor-{number}") for number in (1, 2)]

    for atomic, added in ((False, mine), (True, [activity_record(3, "mentor-3")])):
        answers = await store.add_activities(added, atomic=atomic)
        expect("each is stored", expected=added, actual=list(answers))
    expect("all three", expected=3, actual=len(await _stored(store, "batch-1")))


@rule_of(duplicates)
async def a_void_record_is_in_nobody_s_way(store: ActivityRecords) -> None:
    await store.add_activities([activity_record(1, key=_KEY)], atomic=False)
    await store.void_activity("activity-1", voided_at=later(1))
    expect("nothing is in the way", expected={}, actual=await _in_the_way(store))
    second = activity_record(2, batch_id="batch-2", key=_KEY)

    answers = await store.add_activities([second], atomic=True)
    expect("the next one is stored", expected=[second], actual=list(answers))
    expect("and is in the way now", expected={_KEY: "activity-2"}, actual=await _in_the_way(store))


@rule_of(duplicates)
async def an_override_passes_and_is_in_the_way_later(store: ActivityRecords) -> None:
    first = activity_record(1, key=_KEY)
    over = activity_record(2, batch_id="batch-2", key=_KEY, override_of="activity-1")
    plain = activity_record(3, batch_id="batch-3", key=_KEY)
    await store.add_activities([first], atomic=False)

    expect("it is stored", expected=[over], actual=list(await store.add_activities([over], atomic=True)))
    expect("the one that is none comes first", expected={_KEY: "activity-1"}, actual=await _in_the_way(store))
    await store.void_activity("activity-1", voided_at=later(1))
    expect("then the override", expected={_KEY: "activity-2"}, actual=await _in_the_way(store))
    for atomic in (False, True):
        answers = await store.add_activities([plain], atomic=atomic)
        expect("in the way of a plain one", expected=["activity-2"], actual=_ids(answers))
    expect("which is not stored", expected=[], actual=await _stored(store, "batch-3"))


@rule_of(duplicates)
async def an_override_is_in_the_way_of_a_plain_one_in_the_same_call(store: ActivityRecords) -> None:
    over = activity_record(1, key=_KEY, override_of="activity-0")
    plain = activity_record(2, batch_id="batch-2", key=_KEY)

    answers = await store.add_activities([over, plain], atomic=False)

    expect("the first stands for both", expected=["activity-1", "activity-1"], actual=_ids(answers))
    expect("which is not stored", expected=[], actual=await _stored(store, "batch-2"))


@rule_of(duplicates)
async def overrides_pass_one_another(store: ActivityRecords) -> None:
    overs = [
        activity_record(number, f"mentor-{number}", key=_KEY, override_of="activity-0") for number in (1, 2)
    ]
    answers = await store.add_activities(overs, atomic=True)

    expect("both are stored", expected=overs, actual=list(answers))
    await store.void_activity("activity-1", voided_at=later(1))
    expect("each is in the way", expected={_KEY: "activity-2"}, actual=await _in_the_way(store))


@rule_of(duplicates)
async def a_record_stays_its_registration_s_answer(store: ActivityRecords) -> None:
    mine = activity_record(1, key=_KEY)
    over = activity_record(2, batch_id="batch-2", key=_KEY, override_of="activity-1")
    await store.add_activities([mine], atomic=False)
    await store.add_activities([over], atomic=False)
    await store.void_activity("activity-1", voided_at=later(1))

    for atomic in (False, True):
        answers = await store.add_activities([mine, over], atomic=atomic)
        expect("its own comes first", expected=["activity-1", "activity-2"], actual=_ids(answers))
    expect("nothing is added", expected=2, actual=len(await _stored(store, "batch-1", "batch-2")))


@rule_of(duplicates)
async def all_or_nothing_is_nothing_with_one_in_the_way(store: ActivityRecords) -> None:
    await store.add_activities([activity_record(1, key=_KEY)], atomic=False)
    mine = [activity_record(n, f"mentor-{n}", "batch-2", key=f"key {n}") for n in range(2, 8)]
    mine[3] = activity_record(5, "mentor-5", "batch-2", key=_KEY)
    answers = await store.add_activities(mine, atomic=True)

    expect("the one in the way is told", expected="activity-1", actual=answers[3].activity_id)
    expect("in its place", expected=6, actual=len(answers))
    expect("none is stored", expected=[], actual=await _stored(store, "batch-2"))
    found = await store.find_activities([one.registration.registration_id for one in mine])
    expect("none is found", expected=[], actual=list(found))
    expect("none is in the way", expected={}, actual=await _in_the_way(store, "key 2", "key 7"))
    again = await store.add_activities([one for one in mine if one.duplicate_key != _KEY], atomic=True)
    expect("without it all are stored", expected=5, actual=len(await _stored(store, "batch-2")))
    expect("as themselves", expected=mine[0], actual=again[0])


@rule_of(duplicates)
async def all_or_nothing_is_nothing_with_two_alike(store: ActivityRecords) -> None:
    mine = [activity_record(n, f"mentor-{n}", key=_KEY if n in {2, 4} else f"key {n}") for n in range(1, 6)]
    answers = await store.add_activities(mine, atomic=True)

    expect("the first of them is told", expected="activity-2", actual=answers[3].activity_id)
    expect("none is stored", expected=[], actual=await _stored(store, "batch-1"))


@rule_of(duplicates)
async def all_or_nothing_repeated_is_answered_by_its_own(store: ActivityRecords) -> None:
    mine = [activity_record(n, f"mentor-{n}", key=f"key {n}") for n in range(1, 5)]
    await store.add_activities(mine, atomic=True)
    repeated = [attrs.evolve(one, activity_id=f"{one.activity_id}-again") for one in mine]

    for _ in range(2):
        answers = await store.add_activities(repeated, atomic=True)
        expect("the records that were written", expected=mine, actual=list(answers))
    expect("once", expected=_ids(mine), actual=await _stored(store, "batch-1"))


@rule_of(duplicates)
async def of_calls_at_once_one_stores_and_all_get_it(store: ActivityRecords) -> None:
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


@rule_of(duplicates)
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


@rule_of(duplicates)
async def duplicates_are_found_for_many_keys_at_once(store: ActivityRecords) -> None:
    mine = [activity_record(n, f"mentor-{n}", key=f"key {n} «ø»") for n in range(300)]
    await store.add_activities(mine, atomic=True)
    await store.void_activity("activity-7", voided_at=later(1))
    asked = [f"key {n} «ø»" for n in range(5, 305)]
    expected = {f"key {n} «ø»": f"activity-{n}" for n in (5, 6, *range(8, 300))}

    expect("each that is in the way", expected=expected, actual=await _in_the_way(store, *asked))
    expect("none for none", expected={}, actual=dict(await store.find_duplicates("org-1", [])))

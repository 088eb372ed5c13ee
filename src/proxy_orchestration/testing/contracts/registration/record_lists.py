"""
What the store of activity records promises about lists: order, filters and correction notes.
"""

from __future__ import annotations

from datetime import date, timedelta

import attrs

from proxy_orchestration.access import Actor, Role, Visibility
from proxy_orchestration.errors import InvalidValueError, RecordRefusedError
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter, RecordPage
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    NOON,
    activity_record,
    later,
)

looking_through: list[Check[ActivityRecords]] = []

_DAY = ACTIVITY.activity_date
_OTHER = Actor(user_id="coordinator-2", roles={Role.COORDINATOR}, organization_id="org-1")
_ELSEWHERE = attrs.evolve(COORDINATOR, organization_id="org-2")
_ALL = Visibility(organization_id="org-1")
_OWN = Visibility(organization_id="org-1", coordinator_id=COORDINATOR.user_id)
_ANY = RecordFilter()


def _record(
    name: str, mentor_id: str = "mentor-1", *, days: int = 0, seconds: int = 0, actor: Actor = COORDINATOR
) -> ActivityRecord:
    record = activity_record(name, mentor_id, f"batch-{name}", actor=actor)
    activity = attrs.evolve(ACTIVITY, activity_date=_DAY + timedelta(days))
    registration = attrs.evolve(record.registration, activity=activity)
    return attrs.evolve(record, registration=registration, recorded_at=later(seconds))


def _note(name: str, text: str = "It was an hour.", *, seconds: int = 0) -> CorrectionNote:
    return CorrectionNote(
        note_id=name,
        activity_id="activity-1",
        text=text,
        written_by=COORDINATOR.user_id,
        written_at=later(seconds),
    )


def _names(page: RecordPage) -> list[str]:
    return [listed.record.activity_id.removeprefix("activity-") for listed in page.records]


async def _listed(
    store: ActivityRecords, found_by: RecordFilter = _ANY, visibility: Visibility = _ALL
) -> list[str]:
    return _names(await store.list_activities(visibility, limit=100, found_by=found_by))


@rule_of(looking_through)
async def records_are_listed_newest_first(store: ActivityRecords) -> None:
    given = [
        _record("old", days=-1, seconds=9),
        _record("late", "mentor-2", seconds=2),
        _record("tie-b", "mentor-3"),
        _record("tie-a", "mentor-4"),
        _record("new", "mentor-5", days=1),
    ]
    expect("none before", expected=[], actual=await _listed(store))
    await store.add_activities(given, atomic=False)
    page = await store.list_activities(_ALL, limit=9, found_by=_ANY)

    expect("by day, moment, id", expected=["new", "late", "tie-b", "tie-a", "old"], actual=_names(page))
    expect("as they were stored", expected=given[4], actual=page.records[0].record)
    expect("nothing follows", expected=None, actual=page.next_cursor)


@rule_of(looking_through)
async def pages_follow_each_other_without_gap_or_repetition(store: ActivityRecords) -> None:
    given = [
        _record(f"{days}-{seconds}-{name}", f"mentor-{name}", days=days, seconds=seconds)
        for days in range(2)
        for seconds in range(2)
        for name in "abc"
    ]
    await store.add_activities(given, atomic=False)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = await store.list_activities(_ALL, limit=5, found_by=RecordFilter(cursor=cursor))
        seen += _names(page)
        cursor = page.next_cursor

    expect("all, once, in order", expected=await _listed(store), actual=seen)
    expect("all of them", expected=12, actual=len(seen))
    expect("the last page says so", expected=None, actual=cursor)


@rule_of(looking_through)
async def records_are_found_by_person_mentor_and_days(store: ActivityRecords) -> None:
    await store.add_activities(
        [
            _record("a", days=0),
            _record("b", "mentor-2", days=1),
            _record("c", days=2, actor=_OTHER),
            _record("d", days=3, actor=_ELSEWHERE),
        ],
        atomic=False,
    )
    day = {number: _DAY + timedelta(number) for number in range(4)}
    for found_by, expected in (
        (_ANY, ["c", "b", "a"]),
        (RecordFilter(coordinator_id="coordinator-2"), ["c"]),
        (RecordFilter(coordinator_id="nobody"), []),
        (RecordFilter(mentor_ids=frozenset({"mentor-1"})), ["c", "a"]),
        (RecordFilter(mentor_ids=frozenset({"mentor-1", "mentor-2", UNKEEPABLE[0]})), ["c", "b", "a"]),
        (RecordFilter(mentor_ids=frozenset()), []),
        (RecordFilter(activity_from=day[1]), ["c", "b"]),
        (RecordFilter(activity_through=day[1]), ["b", "a"]),
        (RecordFilter(activity_from=day[1], activity_through=day[1]), ["b"]),
    ):
        expect(f"found by {found_by}", expected=expected, actual=await _listed(store, found_by))
    expect("what is one's own", expected=["b", "a"], actual=await _listed(store, visibility=_OWN))
    hidden = RecordFilter(coordinator_id="coordinator-2")
    expect("no other's", expected=[], actual=await _listed(store, hidden, _OWN))


@rule_of(looking_through)
async def a_void_record_is_listed_too(store: ActivityRecords) -> None:
    await store.add_activities([_record("1")], atomic=False)
    await store.void_activity("activity-1", voided_at=later(5))
    (listed,) = (await store.list_activities(_OWN, limit=1, found_by=_ANY)).records

    expect("since when it is void", expected=later(5), actual=listed.record.voided_at)


@rule_of(looking_through)
async def a_cursor_that_is_none_is_refused(store: ActivityRecords) -> None:
    for odd in ("", "next", f"{_DAY}~x~y", f"{date.max}~{NOON.replace(tzinfo=None)}~id", f"x~{NOON}~id"):
        call = store.list_activities(_ALL, limit=1, found_by=RecordFilter(cursor=odd))
        await error_of(InvalidValueError, f"cursor {odd!r}", call)


@rule_of(looking_through)
async def a_note_stands_beside_a_record_that_stays_as_it_is(store: ActivityRecords) -> None:
    record = _record("1")
    await store.add_activities([record, _record("2", days=1)], atomic=False)
    second, first = _note("a", seconds=2), _note("b", seconds=1)
    for note in (second, first):
        expect("it is answered", expected=note, actual=await store.add_correction(_OWN, note))
    for visibility in (_OWN, _ALL):
        other, listed = (await store.list_activities(visibility, limit=9, found_by=_ANY)).records
        expect("the original", expected=record, actual=listed.record)
        expect("the oldest first", expected=(first, second), actual=listed.corrections)
        expect("none beside the other", expected=(), actual=other.corrections)


@rule_of(looking_through)
async def one_note_id_is_one_note(store: ActivityRecords) -> None:
    await store.add_activities([_record("1")], atomic=False)
    first = _note("a")
    answers = [await store.add_correction(_OWN, note) for note in (first, _note("a", "No.", seconds=1))]
    (listed,) = (await store.list_activities(_OWN, limit=1, found_by=_ANY)).records

    expect("the first one stands", expected=[first, first], actual=answers)
    expect("once", expected=(first,), actual=listed.corrections)


@rule_of(looking_through)
async def no_note_stands_beside_what_is_not_visible(store: ActivityRecords) -> None:
    await store.add_activities([_record("1", actor=_OTHER)], atomic=False)
    unknown = attrs.evolve(_note("a"), activity_id="activity-9")
    elsewhere = Visibility(organization_id="org-2")
    for visibility, note in ((_OWN, _note("a")), (elsewhere, _note("a")), (_ALL, unknown)):
        expect("no answer", expected=None, actual=await store.add_correction(visibility, note))
    (listed,) = (await store.list_activities(_ALL, limit=1, found_by=_ANY)).records

    expect("nothing beside it", expected=(), actual=listed.corrections)


@rule_of(looking_through)
async def a_note_that_cannot_be_kept_is_refused(store: ActivityRecords) -> None:
    await store.add_activities([_record("1")], atomic=False)
    for odd in UNKEEPABLE:
        await error_of(RecordRefusedError, "a note", store.add_correction(_OWN, _note("a", odd)))

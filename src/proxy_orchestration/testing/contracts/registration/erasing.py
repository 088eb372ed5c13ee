"""
What exporting and erasing one mentor promises.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from proxy_orchestration._pseudonyms import mentor_pseudonym, pseudonym_of
from proxy_orchestration.access import Actor, Visibility
from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.erasure import ERASED_TEXT, MentorExport, erased_activity
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.records import CorrectionNote
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.testing.contracts.checks import Check, broken, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    COORDINATOR,
    LONG,
    NOON,
    OVER,
    accepted,
    activity_record,
    batch_of,
    lease_of,
    mentors,
    override,
    rerun,
    settle,
    settled_batch,
)

erasing: list[Check[ActivityRepository]] = []

_DONE, _FAILED = ItemState.SUCCEEDED, ItemState.FAILED
_NOTED: Final = attrs.evolve(ACTIVITY, notes="Met at home.", details={"with": ["a friend"]})
_EDITED: Final = attrs.evolve(_NOTED, duration_minutes=50)
_ALL: Final = Visibility(organization_id="org-1")
_ELSEWHERE: Final = attrs.evolve(COORDINATOR, organization_id="org-2")
_ENTRIES: Final = (
    RegistrationEntry("mentor-1", _NOTED),
    RegistrationEntry("mentor-1", _NOTED, "second visit"),
    RegistrationEntry("mentor-2", _NOTED),
)


def _noted(name: object, mentor_id: str = "mentor-1", *, key: str | None = None) -> ActivityRecord:
    record = activity_record(name, mentor_id, f"batch-{name}", key=key)
    return attrs.evolve(record, registration=attrs.evolve(record.registration, activity=_NOTED))


async def _with_history(store: ActivityRepository) -> str:
    """
    Return the id of a batch in which a mentor stands twice, failed twice, and was edited once.
    """
    batch_id = await accepted(store, batch_of(3, entries=_ENTRIES))
    await settle(store, batch_id, [_FAILED, _FAILED, _DONE], hold=OVER)
    overrides = {"mentor-1": override("activity-0")}
    edits = {"second visit": _EDITED}
    again = rerun(batch_id, ["mentor-1", "second visit"], activities=edits, overrides=overrides)
    await store.open_run(again)
    await settle(store, batch_id, [_FAILED, _FAILED], run=2, hold=OVER)
    return batch_id


def _note(number: int, activity_id: str, author: str) -> CorrectionNote:
    return CorrectionNote(
        note_id=f"note-{number}",
        activity_id=activity_id,
        text=f"Note {number}.",
        written_by=author,
        written_at=NOON + timedelta(seconds=number),
    )


async def _known(
    store: ActivityRepository, mentor_id: str = "mentor-1", *, of: Actor = COORDINATOR
) -> MentorExport:
    return await store.export_mentor(of.organization_id, mentor_id)


@rule_of(erasing)
async def an_export_tells_all_of_one_mentor_and_nothing_of_others(store: ActivityRepository) -> None:
    batch_id = await _with_history(store)
    later = attrs.evolve(_noted(2), recorded_at=_noted(2).recorded_at + timedelta(seconds=1))
    other = attrs.evolve(
        _noted(3), registration=attrs.evolve(_noted(3).registration, registered_by=_ELSEWHERE)
    )
    await store.add_activities([later, _noted(1), other, _noted(4, "mentor-2")], atomic=False)
    page = await store.read_item_page(batch_id, states=None, after=0, limit=9)
    export = await _known(store)

    expect("their items", expected=page.items[:2], actual=tuple(each.item for each in export.items))
    expect("with the batch", expected={batch_id}, actual={each.batch_id for each in export.items})
    expect("their records, the oldest first", expected=(_noted(1), later), actual=export.records)
    said = [one.activity_id for event in export.audit_events for one in event.overrides]
    expect("what was overridden for them", expected=["activity-0"], actual=said)
    nobody = await _known(store, "mentor-9")
    expect("nobody has nothing", expected=((), (), (), ()), actual=attrs.astuple(nobody, recurse=False)[2:])


@rule_of(erasing)
async def an_erased_mentor_is_named_nowhere(store: ActivityRepository) -> None:
    await _with_history(store)
    await store.add_activities([_noted(1, key="key-1"), _noted(2)], atomic=False)
    erasure = await store.erase_mentor("org-1", "mentor-1")
    again = await store.erase_mentor("org-1", "mentor-1")
    left = await _known(store)
    under = await _known(store, erasure.pseudonym)

    told = (erasure.pseudonym, erasure.items, erasure.records, erasure.audit_events)
    expect("it says what went", expected=(pseudonym_of("mentor-1"), 2, 2, 1), actual=told)
    expect("once", expected=(0, 0, 0, 0), actual=attrs.astuple(again)[1:])
    expect("nothing is left", expected=((), (), (), ()), actual=attrs.astuple(left, recurse=False)[2:])
    texts = str(under.to_dict())
    for word in ("mentor-1", "second visit", "home", "friend", "said no"):
        expect(f"{word} is gone", expected=False, actual=word in texts)
    expect(
        "records stay",
        expected=["activity-1", "activity-2"],
        actual=[one.activity_id for one in under.records],
    )
    expect("and events", expected=1, actual=len(under.audit_events))


@rule_of(erasing)
async def counts_codes_and_history_stay(store: ActivityRepository) -> None:
    batch_id = await _with_history(store)
    before = await store.read_result(batch_id)
    page = await store.read_item_page(batch_id, states=None, after=0, limit=9)
    await store.erase_mentor("org-1", "mentor-1")
    after = await store.read_result(batch_id)
    erased = await store.read_item_page(batch_id, states=None, after=0, limit=9)

    if before is None or after is None:
        broken("a batch stays")
    expect("counts", expected=before.counts, actual=after.counts)
    codes = [[one.failure and one.failure.code for one in result.outcomes] for result in (before, after)]
    expect("codes", expected=codes[0], actual=codes[1])
    keys = [pseudonym_of("mentor-1"), pseudonym_of("second visit"), "mentor-2"]
    expect("each has a name", expected=keys, actual=[one.item_key for one in after.outcomes])
    expect("others are untouched", expected=page.items[2], actual=erased.items[2])
    activities = [attempt.activity for item in erased.items[:2] for attempt in item.history]
    was = [erased_activity(attempt.activity) for item in page.items[:2] for attempt in item.history]
    expect("type, day and minutes", expected=was, actual=activities)
    items = [item.is_erased for item in await store.read_items(batch_id)]
    expect("they are known as erased", expected=[True, True, False], actual=items)


@rule_of(erasing)
async def nothing_is_erased_while_a_run_is_open(store: ActivityRepository) -> None:
    done = await settled_batch(store, _DONE, _DONE)
    waiting = await accepted(store, batch_of(2))
    error = await error_of(BatchStateError, "a run is open", store.erase_mentor("org-1", "mentor-1"))
    left = await _known(store)
    elsewhere = await store.erase_mentor("org-2", "mentor-1")
    await store.cancel_run(waiting, reason=None, wished_at=NOON)
    lease = await lease_of(store, waiting)
    await store.settle(lease, settled_at=NOON, audit_hold=LONG)
    erased = await store.erase_mentor("org-1", "mentor-1")

    expect("it says which", expected=waiting, actual=error.batch_id)
    expect("all is there", expected=[done, waiting], actual=[each.batch_id for each in left.items])
    expect("another organization's is another", expected=0, actual=elsewhere.items)
    expect("then both", expected=2, actual=erased.items)


@rule_of(erasing)
async def an_erased_record_is_found_by_its_registration(store: ActivityRepository) -> None:
    record = _noted(1, key="key-1")
    await store.add_activities([record], atomic=False)
    await store.erase_mentor("org-1", "mentor-1")
    name = record.registration.registration_id
    (found,) = await store.find_activities([name])
    (answer,) = await store.add_activities([record], atomic=True)

    expect("under its own id", expected=name, actual=found.registration.registration_id)
    expect("it is that one", expected=record.activity_id, actual=found.activity_id)
    expect("and is not written twice", expected=found, actual=answer)
    expect("it is one", expected=1, actual=len((await _known(store, pseudonym_of("mentor-1"))).records))


@rule_of(erasing)
async def no_erased_registration_is_written_again(store: ActivityRepository) -> None:
    # A call whose answer was lost may come after the erasure, and whatever it brings, its record is there.
    over = activity_record(2, "mentor-1", "batch-2", key="key-2", override_of="activity-0")
    written = [_noted(1), over, _noted(3, key="key-3")]
    await store.add_activities(written, atomic=False)
    await store.void_activity("activity-3", voided_at=NOON)
    await store.erase_mentor("org-1", "mentor-1")
    other = _noted(4, "mentor-2")
    late = [attrs.evolve(record, activity_id=f"{record.activity_id}-again") for record in written]
    answers = await store.add_activities([*late, other], atomic=False)
    whole = await store.add_activities(late, atomic=True)

    expected = [record.activity_id for record in (*written, other)]
    expect("each has its record", expected=expected, actual=[one.activity_id for one in answers])
    expect("all or nothing, too", expected=expected[:3], actual=[one.activity_id for one in whole])
    names = [one.registration.registration_id for one in answers]
    asked = [one.registration.registration_id for one in (*late, other)]
    expect("under the ids that were asked for", expected=asked, actual=names)
    under = await _known(store, pseudonym_of("mentor-1"))
    expect("there is no other", expected=3, actual=len(under.records))
    expect("nothing new names them", expected=(), actual=(await _known(store)).records)


@rule_of(erasing)
async def an_erased_record_is_in_the_way_as_before(store: ActivityRepository) -> None:
    await store.add_activities([_noted(1, key="key-1")], atomic=False)
    await store.erase_mentor("org-1", "mentor-1")
    found = await store.find_duplicates("org-1", ["key-1", "key-2"])
    alike, other = _noted(2, key="key-1"), _noted(3, key="key-2")
    over = activity_record(4, batch_id="batch-4", key="key-1", override_of="activity-1")
    answers = await store.add_activities([alike, other, over], atomic=False)
    whole = await store.add_activities([_noted(5, key="key-5"), _noted(6, key="key-1")], atomic=True)

    seen = {key: record.activity_id for key, record in found.items()}
    expect("it is found by the key", expected={"key-1": "activity-1"}, actual=seen)
    written = ["activity-1", "activity-3", "activity-4"]
    expect("what is alike is not written", expected=written, actual=[one.activity_id for one in answers])
    expect("nor with others", expected="activity-1", actual=whole[1].activity_id)
    name = _noted(5).registration.registration_id
    expect("all or nothing", expected=[], actual=await store.find_activities([name]))
    await store.void_activity("activity-1", voided_at=NOON)
    await store.void_activity("activity-4", voided_at=NOON)
    (free,) = await store.add_activities([_noted(7, key="key-1")], atomic=False)
    expect("a void one is not", expected="activity-7", actual=free.activity_id)


@rule_of(erasing)
async def who_comes_again_is_erased_again(store: ActivityRepository) -> None:
    await settled_batch(store, _DONE, _DONE)
    await store.erase_mentor("org-1", "mentor-1")
    await settled_batch(store, _FAILED, _FAILED)
    second = await store.erase_mentor("org-1", "mentor-1")
    under = await _known(store, second.pseudonym)

    expect("what came since", expected=1, actual=second.items)
    expect("under one name", expected=2, actual=len(under.items))
    expect("others stay", expected=2, actual=len((await _known(store, mentors(2)[0])).items))


@rule_of(erasing)
async def a_mentor_is_found_by_any_spelling(store: ActivityRepository) -> None:
    # The last one is neither composed nor decomposed: its first letter is the one, its second the other.
    spellings = "\u1e69-\u00e5", "s\u0323\u0307-a\u030a", "\u1e63\u0307-a\u030a"
    entries = tuple(RegistrationEntry(each, _NOTED, f"visit {each}") for each in spellings)
    batch_id = await accepted(store, batch_of(3, entries=(*entries, RegistrationEntry("mentor-2", _NOTED))))
    await settle(store, batch_id, [_FAILED, _FAILED, _FAILED, _DONE], hold=OVER)
    overrides = {key: override("activity-0") for key in (each.item_key for each in entries)}
    await store.open_run(rerun(batch_id, overrides, overrides=overrides))
    await settle(store, batch_id, [_FAILED] * 3, run=2, hold=OVER)
    await store.add_activities([_noted(n, each) for n, each in enumerate(spellings)], atomic=False)

    for each in spellings:
        known = await _known(store, each)
        told = (len(known.items), len(known.records), len(known.audit_events[0].overrides))
        expect(f"by {each!a}", expected=(3, 3, 3), actual=told)
    erased = await store.erase_mentor("org-1", spellings[2])
    expect("all go", expected=(3, 3, 1), actual=(erased.items, erased.records, erased.audit_events))
    expect("one pseudonym", expected=mentor_pseudonym(spellings[1]), actual=erased.pseudonym)
    under = await _known(store, erased.pseudonym)
    expect("for all", expected=(3, 3), actual=(len(under.items), len(under.records)))
    left = await _known(store, spellings[0])
    expect("nothing is left", expected=((), (), (), ()), actual=attrs.astuple(left, recurse=False)[2:])
    keys = [one.outcome.item_key for one in (each.item for each in under.items)]
    expect("each has its key", expected=[pseudonym_of(one.item_key) for one in entries], actual=keys)


@rule_of(erasing)
async def a_mentor_of_plain_letters_may_be_spelled_with_others(store: ActivityRepository) -> None:
    # The Kelvin sign is composed as the letter K.
    plain, kelvin = "K-1", "\u212a-1"
    entries = (RegistrationEntry(kelvin, _NOTED, "visit"),)
    batch_id = await accepted(
        store, batch_of(1, entries=entries, overrides={"visit": override("activity-0")})
    )
    await settle(store, batch_id, [_FAILED], hold=OVER)
    await store.add_activities([_noted(1, kelvin)], atomic=False)
    known = await _known(store, plain)
    erased = await store.erase_mentor("org-1", plain)

    told = (len(known.items), len(known.records), len(known.audit_events))
    expect("all is known", expected=(1, 1, 1), actual=told)
    expect("all goes", expected=(1, 1, 1), actual=(erased.items, erased.records, erased.audit_events))


@rule_of(erasing)
async def two_spellings_in_one_batch_keep_their_keys_apart(store: ActivityRepository) -> None:
    composed, decomposed = "\u00e5", "a\u030a"
    entries = RegistrationEntry(composed, _NOTED), RegistrationEntry(decomposed, _NOTED)
    batch_id = await accepted(store, batch_of(2, entries=entries))
    await store.cancel_run(batch_id, reason=None, wished_at=NOON)
    await store.settle(await lease_of(store, batch_id), settled_at=NOON, audit_hold=LONG)
    await store.erase_mentor("org-1", composed)
    items = await store.read_items(batch_id)

    expect("one person", expected={mentor_pseudonym(composed)}, actual={item.mentor_id for item in items})
    keys = [pseudonym_of(composed), pseudonym_of(decomposed)]
    expect("two items", expected=keys, actual=[item.item_key for item in items])


@rule_of(erasing)
async def what_was_noted_beside_a_record_goes_with_it(store: ActivityRepository) -> None:
    await store.add_activities([_noted(1), _noted(2), _noted(3, "mentor-2")], atomic=False)
    for number, (name, author) in enumerate([("1", "coordinator-1"), ("1", "mentor-1"), ("3", "mentor-1")]):
        await store.add_correction(_ALL, _note(number, f"activity-{name}", author))
    before = await _known(store)
    erased = await store.erase_mentor("org-1", "mentor-1")
    after = await _known(store, erased.pseudonym)
    others = await _known(store, "mentor-2")

    expect(
        "an export tells them",
        expected=["Note 0.", "Note 1."],
        actual=[one.text for one in before.corrections],
    )
    expect("they are counted", expected=2, actual=erased.corrections)
    told = [(one.note_id, one.text, one.written_by) for one in after.corrections]
    said = [("note-0", ERASED_TEXT, "coordinator-1"), ("note-1", ERASED_TEXT, erased.pseudonym)]
    expect("texts go, and who was erased", expected=said, actual=told)
    expect("others' stay", expected=["Note 2."], actual=[one.text for one in others.corrections])
    await store.add_correction(_ALL, _note(4, "activity-2", "coordinator-1"))
    again = await store.erase_mentor("org-1", "mentor-1")
    expect("what came since goes, too", expected=(0, 1), actual=(again.records, again.corrections))
    texts = {one.text for one in (await _known(store, erased.pseudonym)).corrections}
    expect("all of it", expected={ERASED_TEXT}, actual=texts)

"""
The memory store's activity records.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._pseudonyms import is_same_mentor, mentor_pseudonym, pseudonym_of
from proxy_orchestration._texts import check_texts
from proxy_orchestration.access import Visibility
from proxy_orchestration.registration.activities import ActivityRecord, check_recordable
from proxy_orchestration.registration.erasure import ERASED_TEXT, as_asked, erased_note, erased_record
from proxy_orchestration.registration.records import (
    CorrectionNote,
    RecordFilter,
    RecordPage,
    RegisteredActivity,
    cursor_behind,
    place_of,
)


@attrs.define(eq=False, slots=False)
class MemoryActivityRecords:
    """
    One record for each registration; it outlives its batch.
    """

    _records: dict[str, ActivityRecord] = attrs.field(init=False, repr=False, factory=dict)
    _records_of: dict[str, list[str]] = attrs.field(init=False, repr=False, factory=dict)
    _alike: dict[tuple[str, str], list[str]] = attrs.field(init=False, repr=False, factory=dict)
    _corrections: dict[str, dict[str, CorrectionNote]] = attrs.field(init=False, repr=False, factory=dict)

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Store each record, and answer each with the record that stands for it, in order.
        """
        await checkpoint()
        for record in records:
            _check_keepable(record)
        added: list[ActivityRecord] = []
        answers: list[ActivityRecord] = []
        for record in records:
            standing = self._standing_for(record)
            if standing is None:
                self._store(record)
                added.append(record)
            answers.append(standing or record)
        if atomic and any(_belongs_to_another(*pair) for pair in zip(records, answers, strict=True)):
            for record in added:
                self._forget(record)
        return answers

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Return the records of these registrations.
        """
        await checkpoint()
        found = (self._own(name) for name in set(registration_ids))
        return [record for record in found if record is not None]

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Return for each of the keys the organization's record that is in the way, where there is one.
        """
        await checkpoint()
        found = {key: self._in_the_way(organization_id, key) for key in duplicate_keys}
        return {key: record for key, record in found.items() if record is not None}

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Return the batch's records, ordered by mentor id.
        """
        await checkpoint()
        records = [self._records[name] for name in self._records_of.get(batch_id, ())]
        return sorted(records, key=lambda record: record.registration.mentor_id)

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Declare a record void; return whether there is such a record.
        """
        await checkpoint()
        for name, record in self._records.items():
            if record.activity_id == activity_id:
                self._records[name] = attrs.evolve(record, voided_at=record.voided_at or voided_at)
                return True
        return False

    async def list_activities(
        self, visibility: Visibility, /, *, limit: int, found_by: RecordFilter
    ) -> RecordPage:
        """
        Return some of the visible records, newest first.
        """
        await checkpoint()
        position = found_by.position()
        found = [
            record
            for record in self._records.values()
            if _is_visible(record, visibility)
            and _is_found(record, found_by)
            and (position is None or place_of(record) < position)
        ]
        newest = sorted(found, key=place_of, reverse=True)[:limit]
        return RecordPage(
            records=tuple(
                RegisteredActivity(record=record, corrections=self._notes_beside(record)) for record in newest
            ),
            next_cursor=cursor_behind(newest[-1]) if len(found) > len(newest) else None,
        )

    async def add_correction(self, visibility: Visibility, note: CorrectionNote, /) -> CorrectionNote | None:
        """
        Put the note beside its record; return the note of its id that stands there then.
        """
        await checkpoint()
        check_texts((note.text,))
        for record in self._records.values():
            if record.activity_id == note.activity_id and _is_visible(record, visibility):
                return self._corrections.setdefault(note.activity_id, {}).setdefault(note.note_id, note)
        return None

    def _notes_beside(self, record: ActivityRecord) -> tuple[CorrectionNote, ...]:
        notes = self._corrections.get(record.activity_id, {}).values()
        return tuple(sorted(notes, key=lambda note: (note.written_at, note.note_id)))

    def _standing_for(self, record: ActivityRecord) -> ActivityRecord | None:
        registration = record.registration
        own = self._own(registration.registration_id)
        if own is not None or registration.override_of is not None or record.duplicate_key is None:
            return own
        return self._in_the_way(registration.registered_by.organization_id, record.duplicate_key)

    def _own(self, name: str) -> ActivityRecord | None:
        if name in self._records:
            return self._records[name]
        erased = self._records.get(pseudonym_of(name))
        return None if erased is None else as_asked(erased, name)

    def _in_the_way(self, organization_id: str, key: str) -> ActivityRecord | None:
        alike = [
            self._records[name]
            for asked in (key, pseudonym_of(key))
            for name in self._alike.get((organization_id, asked), ())
        ]
        standing = [record for record in alike if record.voided_at is None]
        return min(standing, key=lambda record: record.registration.override_of is not None, default=None)

    def _records_about(self, organization_id: str, mentor_id: str) -> list[ActivityRecord]:
        return sorted(
            (
                record
                for record in self._records.values()
                if is_same_mentor(record.registration.mentor_id, mentor_id)
                and record.registration.registered_by.organization_id == organization_id
            ),
            key=lambda record: (record.recorded_at, record.activity_id),
        )

    def _erase_corrections(self, organization_id: str, mentor_id: str) -> int:
        # What was put beside an erased record since is about the same mentor.
        records = [
            record
            for name in (mentor_id, mentor_pseudonym(mentor_id))
            for record in self._records_about(organization_id, name)
        ]
        known = [
            note for record in records for note in self._notes_beside(record) if note.text != ERASED_TEXT
        ]
        for note in known:
            self._corrections[note.activity_id][note.note_id] = erased_note(note, mentor_id)
        return len(known)

    def _erase_records(self, organization_id: str, mentor_id: str) -> int:
        known = self._records_about(organization_id, mentor_id)
        for record in known:
            self._forget(record)
            self._store(erased_record(record))
        return len(known)

    def _store(self, record: ActivityRecord) -> None:
        registration = record.registration
        name = registration.registration_id
        self._records[name] = record
        self._records_of.setdefault(registration.batch_id, []).append(name)
        if record.duplicate_key is not None:
            self._alike.setdefault(_likeness(record), []).append(name)

    def _forget(self, record: ActivityRecord) -> None:
        registration = record.registration
        name = registration.registration_id
        del self._records[name]
        self._records_of[registration.batch_id].remove(name)
        if record.duplicate_key is not None:
            self._alike[_likeness(record)].remove(name)


def _is_visible(record: ActivityRecord, visibility: Visibility) -> bool:
    actor = record.registration.registered_by
    return visibility.covers(organization_id=actor.organization_id, coordinator_id=actor.user_id)


def _is_found(record: ActivityRecord, found_by: RecordFilter) -> bool:
    registration = record.registration
    day = registration.activity.activity_date
    return (
        found_by.coordinator_id in {None, registration.registered_by.user_id}
        and (found_by.mentor_ids is None or registration.mentor_id in found_by.mentor_ids)
        and (found_by.activity_from is None or found_by.activity_from <= day)
        and (found_by.activity_through is None or day <= found_by.activity_through)
    )


def _likeness(record: ActivityRecord) -> tuple[str, str]:
    return record.registration.registered_by.organization_id, record.duplicate_key or ""


def _belongs_to_another(asked: ActivityRecord, answer: ActivityRecord) -> bool:
    return asked.registration.registration_id != answer.registration.registration_id


def _check_keepable(record: ActivityRecord) -> None:
    """
    Accept what a database would keep too, so that a test on this store promises nothing that one breaks.

    Raises:
        RecordRefusedError: a text or a number is none that it keeps, or nobody registers for another.
    """
    check_texts((record.activity_id, record.duplicate_key))
    check_recordable(record.registration)

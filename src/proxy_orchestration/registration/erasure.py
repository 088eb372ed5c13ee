"""
The data about one mentor: its export, and the result of its erasure.

A pseudonym takes the place of each text that names the mentor: their id, their
items' own keys, and the ids and keys of their records. It is made of that text
alone, so whoever asks by the text still finds what stands there, and nothing
is registered a second time. That of the mentor alone is made of the form in
which ids are compared: one person has one pseudonym, however they were spelled.
Counts, codes, dates and minutes stay.
"""

from __future__ import annotations

from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._pseudonyms import is_same_mentor, mentor_pseudonym, pseudonym_of
from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.activities import ActivityRecord, ProxyActivity
from proxy_orchestration.registration.batches import BatchItem, MentorOutcome
from proxy_orchestration.registration.records import CorrectionNote
from proxy_orchestration.registration.requests import RegistrationEntry

ERASED_TEXT: Final = "What was said here is erased."
"""Stands in the place of a failure's message."""

STILL_OPEN: Final = (
    "it contains the mentor to erase, and its current run is not settled. Nothing was erased. Wait until the "
    "batch is settled, or cancel it, and erase again."
)
"""Why an erasure is refused, in a `BatchStateError`."""


@attrs.frozen(kw_only=True)
class ExportedItem(PlainModel):
    """
    A mentor's item and its batch.

    Attributes:
        batch_id: the id of the batch.
        item: the item with its activity, its notes and its history.
    """

    batch_id: str
    item: BatchItem


@attrs.frozen(kw_only=True)
class MentorExport(PlainModel):
    """
    Everything that the store of registrations holds about one mentor of an organization.

    Attributes:
        mentor_id: the mentor.
        organization_id: the organization.
        items: the mentor's items in existing batches, in the order in which the batches were
            accepted.
        records: the mentor's records of the standard service, the oldest first, void ones too.
        corrections: the correction notes on those records, record by record, the oldest first; free
            text.
        audit_events: the audit events that name the mentor, the oldest first, with only this
            mentor's overrides.
    """

    mentor_id: str
    organization_id: str
    items: tuple[ExportedItem, ...]
    records: tuple[ActivityRecord, ...]
    audit_events: tuple[AuditEvent, ...]
    corrections: tuple[CorrectionNote, ...] = ()


@attrs.frozen(kw_only=True)
class MentorErasure(PlainModel):
    """
    What was erased. All counts are 0 if nothing was stored, or nothing new since the last erasure.

    Attributes:
        pseudonym: the pseudonym that replaces the mentor's id.
        items: the number of the mentor's items in batches.
        records: the number of the mentor's records of the standard service.
        audit_events: the number of audit events that named the mentor.
        corrections: the number of correction notes on the mentor's records, also on records that
            were erased before.
    """

    pseudonym: str
    items: int
    records: int
    audit_events: int
    corrections: int = 0


def erased_activity(activity: ProxyActivity) -> ProxyActivity:
    """
    Return the activity without its notes and details.
    """
    return attrs.evolve(activity, notes="", details={})


def erased_entry(entry: RegistrationEntry) -> RegistrationEntry:
    """
    Return the entry under pseudonyms, without what was written about it.
    """
    return RegistrationEntry(
        mentor_pseudonym(entry.mentor_id), erased_activity(entry.activity), pseudonym_of(entry.item_key)
    )


def erased_outcome(outcome: MentorOutcome) -> MentorOutcome:
    """
    Return the outcome under pseudonyms; of a failure its code stays.
    """
    failure = outcome.failure
    return attrs.evolve(
        outcome,
        mentor_id=mentor_pseudonym(outcome.mentor_id),
        item_key=pseudonym_of(outcome.item_key),
        failure=None if failure is None else attrs.evolve(failure, message=ERASED_TEXT),
    )


def erased_record(record: ActivityRecord) -> ActivityRecord:
    """
    Return the record under pseudonyms; its own id, its coordinator and its batch stay.
    """
    of, key = record.registration, record.duplicate_key
    registration = attrs.evolve(
        of,
        registration_id=pseudonym_of(of.registration_id),
        idempotency_key=pseudonym_of(of.idempotency_key),
        mentor_id=mentor_pseudonym(of.mentor_id),
        activity=erased_activity(of.activity),
    )
    return attrs.evolve(
        record, registration=registration, duplicate_key=None if key is None else pseudonym_of(key)
    )


def as_asked(record: ActivityRecord, registration_id: str) -> ActivityRecord:
    """
    Return a record under the registration id by which it was asked for, erased or not.
    """
    registration = attrs.evolve(record.registration, registration_id=registration_id)
    return attrs.evolve(record, registration=registration)


def erased_note(note: CorrectionNote, mentor_id: str) -> CorrectionNote:
    """
    Return the note without what it says; who wrote it stays, unless that is the mentor.
    """
    is_own = is_same_mentor(note.written_by, mentor_id)
    author = mentor_pseudonym(mentor_id) if is_own else note.written_by
    return attrs.evolve(note, text=ERASED_TEXT, written_by=author)


def names(event: AuditEvent, organization_id: str, mentor_id: str) -> bool:
    """
    Tell whether the event is about that mentor of that organization.
    """
    return event.organization_id == organization_id and any(
        is_same_mentor(override.mentor_id, mentor_id) for override in event.overrides
    )


def exported_event(event: AuditEvent, mentor_id: str) -> AuditEvent:
    """
    Return the event with that mentor's overrides only: the others' are theirs.
    """
    own = tuple(override for override in event.overrides if is_same_mentor(override.mentor_id, mentor_id))
    return attrs.evolve(event, overrides=own)


def erased_event(event: AuditEvent, mentor_id: str) -> AuditEvent:
    """
    Return the event with pseudonyms in the place of that mentor.
    """
    overrides = tuple(
        attrs.evolve(
            override,
            mentor_id=mentor_pseudonym(override.mentor_id),
            item_key=pseudonym_of(override.item_key),
        )
        if is_same_mentor(override.mentor_id, mentor_id)
        else override
        for override in event.overrides
    )
    return attrs.evolve(event, overrides=overrides)

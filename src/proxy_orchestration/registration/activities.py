"""
Activities, and registrations of them for one mentor.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

import attrs

from proxy_orchestration._frozen_json import FrozenMapping, canonical_json
from proxy_orchestration._normal_forms import code_form, id_form
from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._texts import UNSTORABLE, is_storable
from proxy_orchestration._validators import is_derived_identifier, is_identifier, is_positive_count
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import (
    DuplicateActivityError,
    InvalidTypeError,
    InvalidValueError,
    RecordRefusedError,
    RegistrationRejected,
)

_MOST_KEPT: Final = 1_000_000
_LONGEST_KEPT: Final = 50_000
_MOST_MINUTES: Final = 2**31 - 1  # what every database's integers hold


def _plain_date(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    # A datetime is a date too, but which day it means depends on a zone that nobody gave.
    if not isinstance(value, date) or isinstance(value, datetime):
        name = f"{type(instance).__name__}.{attribute.name}"
        raise InvalidTypeError(name, f"must be a date, not a {type(value).__name__}")


def _text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        name = f"{type(instance).__name__}.{attribute.name}"
        raise InvalidTypeError(name, f"must be a string, not {type(value).__name__}")


def _frozen_details(value: Mapping[str, object]) -> FrozenMapping:
    if isinstance(value, FrozenMapping):
        return value
    given: object = value
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise InvalidTypeError(
            "details",  # noqa: EM101 - a field's name
            f"must be a mapping, not {kind}: leave the argument out if there are no details",
        )
    return FrozenMapping(value)


def plain_activity_id(value: str | None) -> str | None:
    """
    Return the id of a record that conflicts as any store keeps it; `None` stays.

    Raises:
        InvalidValueError: it is empty.
    """
    return None if value is None else DuplicateActivityError(value).existing_activity_id


def _said(message: str) -> str:
    return RegistrationRejected("refused", message).message


@attrs.frozen(kw_only=True)
class ProxyActivity(PlainModel):
    """
    One activity, as the coordinator describes it.

    Two objects with equal content are equal and have the same hash.

    Attributes:
        activity_type: the host's code for the kind of activity; not empty.
        activity_date: the calendar day of the activity, without a time.
        duration_minutes: whole minutes, at least 1.
        notes: free text; personal data, so never in a repr, a log or an audit event.
        details: any JSON object, at most 50 levels deep; made immutable; never in a repr.
    """

    activity_type: str = attrs.field(validator=is_identifier)
    activity_date: date = attrs.field(validator=_plain_date)
    duration_minutes: int = attrs.field(validator=is_positive_count)
    notes: str = attrs.field(default="", validator=_text, repr=False)
    details: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen_details, repr=False)


@attrs.frozen(kw_only=True)
class ActivityTemplate:
    """
    What a host offers to fill a form with; never a day.

    Attributes:
        template_id: the host's id of it.
        activity_type: the kind of activity.
        duration_minutes: whole minutes; `None` leaves what the form holds.
        notes: free text, never in a repr.
        details: any JSON object, kept immutable, never in a repr.
    """

    template_id: str = attrs.field(validator=is_identifier)
    activity_type: str = attrs.field(validator=is_identifier)
    duration_minutes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_positive_count)
    )
    notes: str = attrs.field(default="", validator=_text, repr=False)
    details: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen_details, repr=False)


@attrs.frozen(kw_only=True)
class ActivityDraft:
    """
    An activity of which parts may be missing; what is there is valid.

    Each flow has its own subclass, so that a draft of one is none of the other.

    Attributes:
        activity_type, activity_date, duration_minutes: as in `ProxyActivity`, or `None`.
        notes, details: as in `ProxyActivity`; never in a repr.
    """

    activity_type: str | None = attrs.field(default=None, validator=attrs.validators.optional(is_identifier))
    activity_date: date | None = attrs.field(default=None, validator=attrs.validators.optional(_plain_date))
    duration_minutes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_positive_count)
    )
    notes: str = attrs.field(default="", validator=_text, repr=False)
    details: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen_details, repr=False)

    @property
    def activity(self) -> ProxyActivity | None:
        """
        Return the activity, or `None` while its type, date or minutes are missing.
        """
        if self.activity_type is None or self.activity_date is None or self.duration_minutes is None:
            return None
        return ProxyActivity(
            activity_type=self.activity_type,
            activity_date=self.activity_date,
            duration_minutes=self.duration_minutes,
            notes=self.notes,
            details=self.details,
        )


@attrs.frozen(kw_only=True)
class ProxyRegistration(PlainModel):
    """
    One activity for one mentor, on its way to the registration service.

    Attributes:
        registration_id: identifies the batch and the item; there is never more than one record for
            it.
        idempotency_key: `registration_id` and an epoch. It stays the same while a call's result is
            in doubt, and is new only after a definite failure. It is meant for services that replay
            a stored failure under its key.
        batch_id: the batch this belongs to.
        mentor_id: the mentor for whom the activity is registered (`attributed_to`).
        activity: the activity to register.
        registered_by: the person who opened the run.
        override_of: the conflicting activity that the coordinator decided to override.
    """

    registration_id: str
    idempotency_key: str
    batch_id: str
    mentor_id: str
    activity: ProxyActivity
    registered_by: Actor
    override_of: str | None = None

    @property
    def item_key(self) -> str:
        """
        Return the item's key in its batch: the mentor's id, unless the entry has its own key.
        """
        of_batch = f"{self.batch_id}:"
        known = self.registration_id.startswith(of_batch)
        return self.registration_id.removeprefix(of_batch) if known else self.mentor_id


@attrs.frozen(kw_only=True)
class RegistrationReceipt(PlainModel):
    """
    A registration service's confirmation that the record exists.

    Attributes:
        registration_id: the id of the registration that was asked for; any other id is an invalid
            answer.
        activity_id: the id of the record; the same for every call with the same registration.
    """

    registration_id: str = attrs.field(validator=is_derived_identifier)
    activity_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class RegistrationFailure(PlainModel):
    """
    A definite refusal in the answer of `SupportsBulk.register_many`; nothing was written for it.

    Attributes:
        registration_id: the id of the refused registration.
        code: a stable code for programs, in `snake_case`.
        message: one sentence for the coordinator, without personal data; not empty, never in a
            repr or a log.
        existing_activity_id: the id of the conflicting record, if that is the reason.
    """

    registration_id: str = attrs.field(validator=is_derived_identifier)
    code: str = attrs.field(validator=is_identifier)
    message: str = attrs.field(repr=False, converter=_said)
    existing_activity_id: str | None = attrs.field(default=None, converter=plain_activity_id)


@attrs.frozen(kw_only=True)
class ActivityRecord(PlainModel):
    """
    A registered activity as the standard service stores it.

    Attributes:
        activity_id: the id of the record.
        registration: the registration as it was requested.
        recorded_at: when it was written, by the service's clock; aware, UTC.
        duplicate_key: two records of one organization with the same key are duplicates; `None` for
            a record that is never a duplicate. The host's rule makes it and may use personal data,
            so it is never in a repr.
        voided_at: when the record was declared void, or `None`. A void record conflicts with
            nothing.
    """

    activity_id: str = attrs.field(validator=is_identifier)
    registration: ProxyRegistration
    recorded_at: datetime
    duplicate_key: str | None = attrs.field(default=None, repr=False)
    voided_at: datetime | None = None


def registration_id_of(batch_id: str, item_key: str) -> str:
    """
    Return the one id under which this item of this batch is ever registered.
    """
    # No epoch in it: whatever is refused, repeated or retried, there is one record.
    return f"{batch_id}:{item_key}"


def idempotency_key_of(registration_id: str, epoch: int) -> str:
    """
    Return the key of the epoch's calls; different for every registration and epoch.
    """
    return f"{registration_id}:{epoch}"


def usual_duplicate_key(mentor_id: str, activity_type: str, activity_date: date) -> str:
    """
    Return the duplicate key of one activity of a type for a mentor on a calendar day.

    Neither the case of the type nor the way in which letters are composed makes another one.
    """
    mentor = id_form(mentor_id)
    # The length keeps apart what a colon in an id or a type would run together.
    return f"{activity_date.isoformat()}:{len(mentor)}:{mentor}:{code_form(activity_type)}"


def check_storable(activity: ProxyActivity) -> None:
    """
    Accept an activity that every store keeps as it is.

    Raises:
        InvalidValueError: a text in its notes or details, or the number of its minutes, is none of those.
    """
    # Not in the model: what an earlier version stored has to be read; decision 132.
    if activity.duration_minutes > _MOST_MINUTES:
        name, rule = "ProxyActivity.duration_minutes", f"must be at most {_MOST_MINUTES}"
    elif not is_storable(activity.notes):
        name, rule = "ProxyActivity.notes", UNSTORABLE
    elif not is_storable(canonical_json(activity.details)):
        name, rule = "ProxyActivity.details", UNSTORABLE
    else:
        return
    raise InvalidValueError(name, rule)


def check_recordable(registration: ProxyRegistration) -> None:
    """
    Accept a registration of which every store keeps a record.

    Raises:
        RecordRefusedError: its activity is none that every store keeps, or nobody registers for another.
    """
    if registration.registered_by.user_id == registration.mentor_id:
        raise RecordRefusedError
    try:
        check_storable(registration.activity)
    except InvalidValueError:
        raise RecordRefusedError from None


def encode_activity(activity: ProxyActivity) -> str:
    """
    Return the activity's canonical JSON text, for a store or a fingerprint.
    """
    return canonical_json(
        {
            "activity_type": activity.activity_type,
            "activity_date": activity.activity_date.isoformat(),
            "duration_minutes": activity.duration_minutes,
            "notes": activity.notes,
            "details": activity.details,
        }
    )


def encode_activities(activities: Iterable[ProxyActivity]) -> Iterator[str]:
    """
    Yield each activity's text; one object many times in a row is encoded once.
    """
    # By identity, not equality: comparing long details would cost what encoding them does.
    previous: ProxyActivity | None = None
    text = ""
    for activity in activities:
        if activity is not previous:
            previous, text = activity, encode_activity(activity)
        yield text


class _DecodedActivities:
    """
    Activities by their texts, so that a batch's shared one is decoded once; bounded by what they hold.
    """

    def __init__(self) -> None:
        self._kept: dict[str, ProxyActivity] = {}
        self._length = 0
        self._lock = threading.Lock()  # stores decode in worker threads

    def get(self, text: str) -> ProxyActivity | None:
        return self._kept.get(text)

    def keep(self, text: str, activity: ProxyActivity) -> None:
        if len(text) > _LONGEST_KEPT:
            return
        with self._lock:
            if self._length + len(text) > _MOST_KEPT:
                self._kept, self._length = {}, 0
            self._kept[text] = activity
            self._length += len(text)

    def forget(self) -> None:
        with self._lock:
            self._kept, self._length = {}, 0


_decoded = _DecodedActivities()


def forget_decoded_activities() -> None:
    """
    Let go of every activity that was decoded; notes need not outlive the run that needed them.
    """
    _decoded.forget()


def decode_activity(text: str) -> ProxyActivity:
    """
    Return the activity that `encode_activity` wrote; equal texts share one object for a while.
    """
    known = _decoded.get(text)
    if known is None:
        known = _decode(text)
        _decoded.keep(text, known)
    return known


def _decode(text: str) -> ProxyActivity:
    fields = json.loads(text)
    return ProxyActivity(
        activity_type=fields["activity_type"],
        activity_date=date.fromisoformat(fields["activity_date"]),
        duration_minutes=fields["duration_minutes"],
        notes=fields["notes"],
        details=FrozenMapping.stored(fields["details"]),
    )

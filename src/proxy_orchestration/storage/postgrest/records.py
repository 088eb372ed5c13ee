"""
The activity records of the standard service, over PostgREST.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Self

import attrs
import httpx

from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration._texts import check_texts, is_storable
from proxy_orchestration._wiring import check_parts
from proxy_orchestration.access import Visibility
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.registration.activities import ActivityRecord
from proxy_orchestration.registration.erasure import as_asked
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter, RecordPage, cursor_behind
from proxy_orchestration.storage.postgrest.answers import leave_in_doubt
from proxy_orchestration.storage.postgrest.calls import PostgrestCalls
from proxy_orchestration.storage.postgrest.keys import KeySource, ServiceKeys, environment_key
from proxy_orchestration.storage.postgrest.settings import PostgrestSettings, rest_address
from proxy_orchestration.storage.postgrest.wire import (
    check_keepable,
    field_of,
    list_of,
    note_from_json,
    note_to_json,
    record_from_json,
    record_to_json,
    registered_from_json,
)


def _source_of(key: str | KeySource | None) -> KeySource:
    if key is None:
        return environment_key
    if callable(key):
        return key
    return lambda: key


@attrs.define(eq=False)
class PostgrestActivityRecords:
    """
    `ActivityRecords` in a database behind PostgREST, such as Supabase; for one event loop at a time.

    It calls the database functions that `supabase_functions` defines, with the key of the service.
    The attribute `nothing_written` of a `RepositoryUnavailableError` tells whether a call was
    definitely not executed. A call that was cut off may still write its record, which is then found
    by its registration.

    Args:
        url: the address of a Supabase project, or of your own PostgREST.
        client: the HTTP client for the calls, with its proxies and certificates. You must close it.
            Redirects are not followed, whatever the client's setting is.
        key: the service's key, or a function that returns it. The function is called before the
            first call, shortly before a token ends, and once after a key was refused. `None`: the
            key is read from the environment variable `SUPABASE_SECRET_KEY` or
            `SUPABASE_SERVICE_ROLE_KEY`.
        clock: the source of time.
        settings: names and times.

    Raises:
        InvalidValueError: the address is not valid.
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """

    url: str = attrs.field(converter=rest_address)
    client: httpx.AsyncClient = attrs.field(repr=False)
    key: KeySource = attrs.field(repr=False, kw_only=True, default=None, converter=_source_of)
    clock: Clock = attrs.field(kw_only=True, factory=SystemClock, repr=False)
    settings: PostgrestSettings = attrs.field(kw_only=True, factory=PostgrestSettings)
    _calls: PostgrestCalls = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_parts(self, client=httpx.AsyncClient, clock=Clock, settings=PostgrestSettings)
        self._calls = PostgrestCalls(
            address=self.url,
            client=self.client,
            keys=ServiceKeys(source=self.key, clock=self.clock),
            clock=self.clock,
            settings=self.settings,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        key: str | KeySource | None = None,
        clock: Clock | None = None,
        settings: PostgrestSettings | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncIterator[Self]:
        """
        Open the records with an HTTP client of their own, which is closed when the block is left.

        Args:
            url: as of the class.
            key: as of the class.
            clock: as of the class.
            settings: as of the class.
            transport: the HTTP transport for the calls; `None`: the network.
        """
        settings = settings or PostgrestSettings()
        # No time-outs of its own but for connecting: each call has one, by the clock. Who is cut
        # while nobody answers at that address has sent nothing, which only the client can tell.
        timeout = httpx.Timeout(None, connect=settings.call_timeout / 2)
        async with httpx.AsyncClient(timeout=timeout, transport=transport) as client:
            yield cls(url, client, key=key, clock=clock or SystemClock(), settings=settings)

    async def add_activities(
        self, records: Sequence[ActivityRecord], /, *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Store the records in one transaction, and return for each, in order, the record that then exists.
        """
        for record in records:
            check_keepable(record)
        if not records:
            return ()
        rows = [record_to_json(record) for record in records]
        answer = await self._calls.call("add_activities", {"p_records": rows, "p_atomic": atomic})
        standing = field_of(answer, "standing")
        if field_of(answer, "asked") != len(records) or not isinstance(standing, dict):
            leave_in_doubt("it has more or fewer records than were sent")
        return [_existing(record, standing.get(str(place))) for place, record in enumerate(records, start=1)]

    async def find_activities(self, registration_ids: Collection[str], /) -> Sequence[ActivityRecord]:
        """
        Return the records of these registrations.
        """
        asked = _storable(registration_ids)
        erased = {pseudonym_of(name): name for name in asked}
        if not asked:
            return ()
        found = await self._records("find_activities", p_ids=[*asked, *erased])
        named = [record.registration.registration_id for record in found]
        return [as_asked(record, erased.get(name, name)) for record, name in zip(found, named, strict=True)]

    async def find_duplicates(
        self, organization_id: str, duplicate_keys: Collection[str], /
    ) -> Mapping[str, ActivityRecord]:
        """
        Return, by duplicate key, the organization's record that conflicts; keys without one are absent.
        """
        asked = _storable(duplicate_keys)
        erased = {pseudonym_of(key): key for key in asked}
        found: dict[str, ActivityRecord] = {}
        if not asked:
            return found
        keys = [*asked, *erased]
        for record in await self._records("find_duplicates", p_org=organization_id, p_keys=keys):
            key = str(record.duplicate_key)
            key = erased.get(key, key)
            if record.registration.override_of is None or key not in found:
                found[key] = record
        return found

    async def activities_of_batch(self, batch_id: str, /) -> Sequence[ActivityRecord]:
        """
        Return the batch's records, ordered by mentor id.
        """
        return await self._records("activities_of_batch", p_batch=_findable(batch_id))

    async def void_activity(self, activity_id: str, /, *, voided_at: datetime) -> bool:
        """
        Declare a record void; return whether there is such a record.
        """
        arguments = {"p_id": _findable(activity_id), "p_at": voided_at.isoformat()}
        return field_of(await self._calls.call("void_activity", arguments), "found") is True

    async def list_activities(
        self, visibility: Visibility, /, *, limit: int, found_by: RecordFilter
    ) -> RecordPage:
        """
        Return one page of the visible records, newest first, with their correction notes.
        """
        arguments = _asked(visibility, found_by)
        answer = await self._calls.call("list_activities", {**arguments, "p_limit": limit + 1})
        listed = [registered_from_json(each) for each in list_of(answer, "records")]
        return RecordPage(
            records=tuple(listed[:limit]),
            next_cursor=cursor_behind(listed[limit - 1].record) if len(listed) > limit else None,
        )

    async def add_correction(self, visibility: Visibility, note: CorrectionNote, /) -> CorrectionNote | None:
        """
        Add a correction note to its record; return the stored note with this id.
        """
        check_texts((note.note_id, note.text, note.written_by))
        arguments = {
            "p_org": visibility.organization_id,
            "p_coordinator": visibility.coordinator_id,
            "p_note": note_to_json(attrs.evolve(note, activity_id=_findable(note.activity_id))),
        }
        standing = field_of(await self._calls.call("add_correction", arguments), "note")
        return None if standing is None else note_from_json(standing)

    async def _records(self, function: str, **arguments: object) -> Sequence[ActivityRecord]:
        answer = await self._calls.call(function, arguments)
        return [record_from_json(row) for row in list_of(answer, "records")]


def _existing(record: ActivityRecord, row: object) -> ActivityRecord:
    """
    Return the record that exists in the place of the one that was sent.
    """
    if row is None:
        return record
    existing = record_from_json(row)
    own = record.registration.registration_id
    is_own = existing.registration.registration_id in {own, pseudonym_of(own)}
    return as_asked(existing, own) if is_own else existing


def _asked(visibility: Visibility, found_by: RecordFilter) -> dict[str, object]:
    position = found_by.position()
    day, moment, activity_id = (None, None, None) if position is None else position
    people = {visibility.coordinator_id, found_by.coordinator_id} - {None}
    mentors = found_by.mentor_ids
    return {
        "p_org": visibility.organization_id,
        # Two people are nobody: a record has one.
        "p_coordinators": _storable(filter(None, people)) if len(people) == 1 else [] if people else None,
        "p_mentors": None if mentors is None else _storable(mentors),
        "p_from": _day(found_by.activity_from),
        "p_through": _day(found_by.activity_through),
        "p_after_day": _day(day),
        "p_after_moment": None if moment is None else moment.isoformat(),
        "p_after_id": None if activity_id is None else _findable(activity_id),
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _storable(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if is_storable(text)]


def _findable(text: str) -> str:
    # What no row can hold is the empty id, which no row has.
    return text if is_storable(text) else ""

"""
Scripted registration services: single calls, calls for many, look-ups and conflict checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import DuplicateActivityError, RegistrationRejected
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.testing.scripted_replies import Reply, succeed

RegistrationScript: TypeAlias = Callable[[ProxyRegistration, int], Reply]
"""A function that decides one call. It gets the registration, and the number of the call for it, from 1."""

LookupScript: TypeAlias = Callable[[str, int], Reply]
"""
A function that decides one look-up.

It gets the registration id, and the number of the look-up for it, from 1.
"""

RowAnswer: TypeAlias = RegistrationReceipt | RegistrationFailure
"""What the double says about one of many."""

ChunkScript: TypeAlias = Callable[[Sequence[ProxyRegistration], int], Reply]
"""A function that decides a call for many. It gets the registrations, and the number of the call, from 1."""

Garble: TypeAlias = Callable[[list[RowAnswer], int], Sequence[RowAnswer]]
"""
A function that changes the answers of a call for many.

It gets the true answers, and the number of the call, from 1.
"""

ConflictScript: TypeAlias = Callable[[ProxyRegistration], Conflict | None]
"""A function that decides whether a registration conflicts."""


def _always_succeed(_subject: object, _attempt: int) -> Reply:
    return succeed()


def _row_by_row(_registrations: Sequence[ProxyRegistration], _call: int) -> Reply:
    return succeed()


def _truly(answers: list[RowAnswer], _call: int) -> Sequence[RowAnswer]:
    return answers


def _no_conflict(_registration: ProxyRegistration) -> Conflict | None:
    return None


@attrs.define(eq=False)
class ScriptedRegistrationService:
    """
    A `ProxyRegistrationService` that a plain function decides.

    It writes one record per registration id. If the registration already has a record, it returns
    that record's receipt when the script says `succeed`, `reject` or `duplicate`, because it looks
    for its own record first.

    Attributes:
        script: decides each call; by default every call succeeds.
        finds_own: false simulates the most likely mistake of a service: it does not look for its
            own record first, so it answers a repeated call as a duplicate.
        clock: times `slow` replies and stamps records.
        calls: the registration of every call, in order.
        records: the written records, by registration id.
        in_flight: the number of calls in progress.
        most_in_flight: the highest number of calls that were in progress at once.
    """

    script: RegistrationScript = _always_succeed
    clock: Clock = attrs.field(factory=SystemClock)
    finds_own: bool = attrs.field(default=True, init=False)
    calls: list[ProxyRegistration] = attrs.field(init=False, factory=list)
    records: dict[str, ActivityRecord] = attrs.field(init=False, factory=dict)
    in_flight: int = attrs.field(init=False, default=0)
    most_in_flight: int = attrs.field(init=False, default=0)
    _attempts: Counter[str] = attrs.field(init=False, repr=False, factory=Counter)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Do what the script says for this call.
        """
        registration_id = registration.registration_id
        self._attempts[registration_id] += 1
        self.calls.append(registration)
        reply = self.script(registration, self._attempts[registration_id])
        with self._counted(), anyio.CancelScope(shield=reply.stubborn):
            await checkpoint()
            await reply.wait(self.clock)
            self._mistake_own(registration)
            refused = isinstance(reply.error, RegistrationRejected | DuplicateActivityError)
            if not (refused and registration_id in self.records):
                if reply.writes:
                    self._write(registration)
                await reply.finish()
        return self._receipt_of(registration_id)

    def _mistake_own(self, registration: ProxyRegistration) -> None:
        own = self.records.get(registration.registration_id)
        if not self.finds_own and own is not None and registration.override_of != own.activity_id:
            raise DuplicateActivityError(own.activity_id)

    def _write(self, registration: ProxyRegistration) -> None:
        record = ActivityRecord(
            activity_id=f"activity-{len(self.records) + 1}",
            registration=registration,
            recorded_at=self.clock.now(),
        )
        self.records.setdefault(registration.registration_id, record)

    def _receipt_of(self, registration_id: str) -> RegistrationReceipt:
        activity_id = self.records[registration_id].activity_id
        return RegistrationReceipt(registration_id=registration_id, activity_id=activity_id)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1


@attrs.define(eq=False)
class LookupRegistrationService(ScriptedRegistrationService):
    """
    A scripted service that can also be asked whether a record exists.

    Attributes:
        lookup_script: decides each look-up: `succeed` returns the true answer, `not_seen` returns
            `None`; waits and errors work as in a call.
        lookups: every registration id looked up, in order.
    """

    lookup_script: LookupScript = _always_succeed
    lookups: list[str] = attrs.field(init=False, factory=list)
    _lookups_of: Counter[str] = attrs.field(init=False, repr=False, factory=Counter)

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Do what the look-up script says.
        """
        self.lookups.append(registration_id)
        self._lookups_of[registration_id] += 1
        reply = self.lookup_script(registration_id, self._lookups_of[registration_id])
        with anyio.CancelScope(shield=reply.stubborn):
            await checkpoint()
            await reply.wait(self.clock)
            await reply.finish()
        seen = reply.seen and registration_id in self.records
        return self._receipt_of(registration_id) if seen else None


@attrs.define(eq=False, slots=False)
class BulkRegistrationService(ScriptedRegistrationService):
    """
    A scripted service that is `SupportsBulk`.

    `script` decides each row: `succeed` writes it, `reject` and `duplicate` refuse it. Any other
    error is raised by the whole call, which then writes nothing. A row that has a record gets its
    receipt. Give waits and hangs to `chunk_script`; those of a single row are ignored.

    Attributes:
        chunk_script: decides the call as a whole. `succeed` handles row by row; `lose_reply` and
            `hang` do the same before the answer is lost; other replies apply to the whole call.
        garble: a function that changes the answers of a successful call.
        bulk_calls: the registrations of every call for many, in order.
    """

    chunk_script: ChunkScript = _row_by_row
    garble: Garble = _truly
    bulk_calls: list[tuple[ProxyRegistration, ...]] = attrs.field(init=False, factory=list)

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Do what the scripts say for this call.
        """
        self.bulk_calls.append(tuple(registrations))
        call = len(self.bulk_calls)
        reply = self.chunk_script(registrations, call)
        answers: list[RowAnswer] = []
        with self._counted(), anyio.CancelScope(shield=reply.stubborn):
            await checkpoint()
            await reply.wait(self.clock)
            if reply.writes:
                answers = self._write_all(registrations, atomic=atomic)
            await reply.finish()
        return self.garble(answers, call)

    def _write_all(self, registrations: Sequence[ProxyRegistration], *, atomic: bool) -> list[RowAnswer]:
        refusals = {
            registration.registration_id: failure
            for registration in registrations
            if (failure := self._refusal(registration)) is not None
        }
        if atomic and refusals:
            return [
                refusals.get(
                    registration.registration_id,
                    _failure(registration, "rolled_back", "Another was refused."),
                )
                for registration in registrations
            ]
        answers: list[RowAnswer] = []
        for registration in registrations:
            name = registration.registration_id
            if name not in refusals:
                self._write(registration)
            answers.append(refusals[name] if name in refusals else self._receipt_of(name))
        return answers

    def _refusal(self, registration: ProxyRegistration) -> RegistrationFailure | None:
        name = registration.registration_id
        self._attempts[name] += 1
        if name in self.records:
            return self._own_as_duplicate(registration)
        match self.script(registration, self._attempts[name]).error:
            case None:
                return None
            case RegistrationRejected(code=code, message=message):
                return _failure(registration, code, message)
            case DuplicateActivityError(existing_activity_id=existing):
                failure = _failure(registration, "duplicate", "It is registered already.")
                return attrs.evolve(failure, existing_activity_id=existing)
            case error:
                raise error

    def _own_as_duplicate(self, registration: ProxyRegistration) -> RegistrationFailure | None:
        try:
            self._mistake_own(registration)
        except DuplicateActivityError as error:
            failure = _failure(registration, "duplicate", "It is registered already.")
            return attrs.evolve(failure, existing_activity_id=error.existing_activity_id)
        return None


def _failure(registration: ProxyRegistration, code: str, message: str) -> RegistrationFailure:
    return RegistrationFailure(registration_id=registration.registration_id, code=code, message=message)


@attrs.define(eq=False, slots=False)
class BulkLookupRegistrationService(BulkRegistrationService, LookupRegistrationService):
    """
    A scripted service that is `SupportsBulk` and `SupportsLookup`.
    """


@attrs.define(eq=False, slots=False)
class ManyLookupsRegistrationService(BulkLookupRegistrationService):
    """
    A scripted service that is `SupportsBulk` and `SupportsBulkLookup`.

    Attributes:
        many_lookups: the registration ids of every look-up of many, in order.
    """

    many_lookups: list[tuple[str, ...]] = attrs.field(init=False, factory=list)

    async def find_registrations(
        self, registration_ids: Sequence[str], /
    ) -> Mapping[str, RegistrationReceipt]:
        """
        Do what the look-up script says, for each id.
        """
        self.many_lookups.append(tuple(registration_ids))
        found = {each: await self.find_registration(each) for each in registration_ids}
        return {each: receipt for each, receipt in found.items() if receipt is not None}


@attrs.define(eq=False, slots=False)
class CheckingRegistrationService(ScriptedRegistrationService):
    """
    A scripted service that is `SupportsConflictCheck`.

    Attributes:
        conflict_script: decides which registrations conflict.
        conflict_reply: what happens before a check answers: waits, an error or a hang.
        conflict_checks: the registrations of every check, in order.
    """

    conflict_script: ConflictScript = _no_conflict
    conflict_reply: Reply = attrs.field(factory=Reply)
    conflict_checks: list[tuple[ProxyRegistration, ...]] = attrs.field(init=False, factory=list)

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Do what the scripts say for this check.
        """
        self.conflict_checks.append(tuple(registrations))
        with anyio.CancelScope(shield=self.conflict_reply.stubborn):
            await checkpoint()
            await self.conflict_reply.wait(self.clock)
            await self.conflict_reply.finish()
        asked = [self.conflict_script(registration) for registration in registrations]
        return [conflict for conflict in asked if conflict is not None]


@attrs.define(eq=False, slots=False)
class CheckingBulkRegistrationService(CheckingRegistrationService, BulkLookupRegistrationService):
    """
    A scripted service with every ability: single calls, calls for many, look-up and conflict check.
    """

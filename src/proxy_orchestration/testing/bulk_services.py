"""
Registration services that write many at once or find conflicts, as a test tells them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration.errors import DuplicateActivityError, RegistrationRejected
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.testing.replies import Reply, succeed
from proxy_orchestration.testing.services import LookupRegistrationService, ScriptedRegistrationService

RowAnswer: TypeAlias = RegistrationReceipt | RegistrationFailure
"""What the double says about one of many."""

ChunkScript: TypeAlias = Callable[[Sequence[ProxyRegistration], int], Reply]
"""Decides a call for many: the registrations, and which call for many this is, from 1."""

Garble: TypeAlias = Callable[[list[RowAnswer], int], Sequence[RowAnswer]]
"""Changes what a call for many answers: the true answers, and which call this is, from 1."""

ConflictScript: TypeAlias = Callable[[ProxyRegistration], Conflict | None]
"""Says whether a registration conflicts."""


def _row_by_row(_registrations: Sequence[ProxyRegistration], _call: int) -> Reply:
    return succeed()


def _truly(answers: list[RowAnswer], _call: int) -> Sequence[RowAnswer]:
    return answers


def _no_conflict(_registration: ProxyRegistration) -> Conflict | None:
    return None


@attrs.define(eq=False, slots=False)
class BulkRegistrationService(ScriptedRegistrationService):
    """
    A scripted service that is `SupportsBulk`.

    `script` decides each row: `succeed` writes it, `reject` and `duplicate`
    refuse it, any other error is raised by the whole call, which then writes
    nothing. A row with a record is answered by its receipt.
    Waits and hangs are the call's: give them to `chunk_script`; a row's own are not kept.

    Attributes:
        chunk_script: decides the call as a whole: `succeed` goes row by row,
            `lose_reply` and `hang` too before the answer is lost, others as told.
        garble: changes the answers of a call that succeeded.
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
            return None
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


def _failure(registration: ProxyRegistration, code: str, message: str) -> RegistrationFailure:
    return RegistrationFailure(registration_id=registration.registration_id, code=code, message=message)


@attrs.define(eq=False, slots=False)
class BulkLookupRegistrationService(BulkRegistrationService, LookupRegistrationService):
    """
    A scripted service that is `SupportsBulk` and `SupportsLookup`.
    """


@attrs.define(eq=False, slots=False)
class CheckingRegistrationService(ScriptedRegistrationService):
    """
    A scripted service that is `SupportsConflictCheck`.

    Attributes:
        conflict_script: says which registrations conflict.
        conflict_reply: how the check goes before it answers: waits, an error, a hang.
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
    A scripted service with every ability: one by one, many at once, look-up, conflict check.
    """

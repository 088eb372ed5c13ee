"""
Registration services that do what a test tells them, within the port's law.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
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
    RegistrationReceipt,
)
from proxy_orchestration.testing.replies import Reply, succeed

RegistrationScript: TypeAlias = Callable[[ProxyRegistration, int], Reply]
"""Decides one call: the registration, and which call for it this is, from 1."""

LookupScript: TypeAlias = Callable[[str, int], Reply]
"""Decides one look-up: the registration id, and which look-up for it this is, from 1."""


def _always_succeed(_subject: object, _attempt: int) -> Reply:
    return succeed()


@attrs.define(eq=False)
class ScriptedRegistrationService:
    """
    A `ProxyRegistrationService` that a plain function decides.

    It writes one record per registration id, and once a record stands it
    answers with that record's receipt where the script says `succeed`,
    `reject` or `duplicate`, since its own record is looked up first.

    Attributes:
        script: decides each call; by default every call succeeds.
        clock: times `slow` replies and stamps records.
        calls: every registration asked for, in the order of the calls.
        records: what was written, by registration id.
        in_flight: calls under way now.
        most_in_flight: the most calls that were ever under way at once.
    """

    script: RegistrationScript = _always_succeed
    clock: Clock = attrs.field(factory=SystemClock)
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
            refused = isinstance(reply.error, RegistrationRejected | DuplicateActivityError)
            if not (refused and registration_id in self.records):
                if reply.writes:
                    self._write(registration)
                await reply.finish()
        return self._receipt_of(registration_id)

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
        lookup_script: decides each look-up: `succeed` answers truly, `not_seen`
            with `None`; waits and errors work as in a call.
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

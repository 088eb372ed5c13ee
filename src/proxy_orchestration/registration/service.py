"""
The standard registration service: checks the rules, writes one record per registration.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

import attrs

from proxy_orchestration._validators import is_not_negative
from proxy_orchestration.access import Role
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import (
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
    RepositoryUnavailableError,
)
from proxy_orchestration.registration.activities import ActivityRecord, ProxyRegistration, RegistrationReceipt
from proxy_orchestration.registration.ports import ActivityRecords

_NAMESPACE = uuid.UUID("6f0c7a3e-9d55-5e0b-8f7b-0a8f6c1d2e4b")


@attrs.frozen(kw_only=True)
class RegistrationRules:
    """
    What the standard service accepts.

    Attributes:
        days_ahead: how many calendar days (UTC) in the future an activity may be.
        days_back: how many calendar days (UTC) in the past it may be.
    """

    days_ahead: int = attrs.field(default=0, validator=is_not_negative)
    days_back: int = attrs.field(default=90, validator=is_not_negative)


@attrs.define(eq=False, kw_only=True)
class StandardRegistrationService:
    """
    Registers activities in an `ActivityRecords` store.

    It checks, after the registration's own record: the coordinator's role,
    the attribution, the dates. All that fails is said together; the first
    failing check gives the code.

    Args:
        repository: where the activities are written.
        clock: what "today" is, in UTC.
        rules: how far ahead and back an activity may be.
    """

    repository: ActivityRecords
    clock: Clock = attrs.field(factory=SystemClock)
    rules: RegistrationRules = attrs.field(factory=RegistrationRules)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write the registration's one record, or return the receipt of the one that stands.

        Raises:
            RegistrationRejected: with code `not_a_coordinator`,
                `self_attribution`, `date_in_future` or `date_too_old`.
            RegistrationUnavailable: the store could not be read; nothing was written.
            OutcomeUnknownError: the store failed while it wrote.
        """
        try:
            standing = await self.find_registration(registration.registration_id)
        except RepositoryUnavailableError as error:
            raise RegistrationUnavailable from error
        if standing is not None:
            return standing
        if failing := self._failing_checks(registration):
            code = failing[0][0]
            raise RegistrationRejected(code, " ".join(message for _, message in failing))
        record = ActivityRecord(
            activity_id=str(uuid.uuid5(_NAMESPACE, registration.registration_id)),
            registration=registration,
            recorded_at=self.clock.now(),
        )
        try:
            return _receipt(await self.repository.add_activity(record))
        except RepositoryUnavailableError as error:
            raise OutcomeUnknownError from error

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Return the receipt of the registration's record, or `None`.
        """
        record = await self.repository.find_activity(registration_id)
        return None if record is None else _receipt(record)

    def _failing_checks(self, registration: ProxyRegistration) -> list[tuple[str, str]]:
        failing = []
        if Role.COORDINATOR not in registration.registered_by.roles:
            failing.append(("not_a_coordinator", "Only coordinators register for others."))
        if registration.registered_by.user_id == registration.mentor_id:
            failing.append(("self_attribution", "Coordinators cannot register an activity for themselves."))
        today = self.clock.now().date()
        day = registration.activity.activity_date
        if day > today + timedelta(days=self.rules.days_ahead):
            limit = (
                f"at most {self.rules.days_ahead} days ahead" if self.rules.days_ahead else "today or earlier"
            )
            failing.append(("date_in_future", f"{day} is in the future; it must be {limit}."))
        if day < today - timedelta(days=self.rules.days_back):
            failing.append(("date_too_old", f"{day} is more than {self.rules.days_back} days back."))
        return failing


def _receipt(record: ActivityRecord) -> RegistrationReceipt:
    return RegistrationReceipt(
        registration_id=record.registration.registration_id, activity_id=record.activity_id
    )

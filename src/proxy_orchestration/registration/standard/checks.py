"""
The checks of the standard service, and the records that it makes.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Final, TypeAlias

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._validators import is_not_negative
from proxy_orchestration.access import AccessPolicy, Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import (
    OutcomeUnknownError,
    RegistrationUnavailable,
    RepositoryUnavailableError,
)
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyRegistration,
    usual_duplicate_key,
)
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.registration.reasons import OUT_OF_SCOPE, SELF_ATTRIBUTION

DuplicateRule: TypeAlias = Callable[[ProxyRegistration], str | None]
"""
Returns a registration's duplicate key: two registrations of one organization
with one key register the same. `None`: it never is a duplicate.
"""

RECORD_REFUSED: Final = "record_refused"
"""The code of a registration whose record the store refuses."""

# Ids derived from it are stored, so it never changes.
_NAMESPACE: Final = uuid.UUID("6f0c7a3e-9d55-5e0b-8f7b-0a8f6c1d2e4b")


@attrs.frozen(kw_only=True)
class RegistrationRules:
    """
    The dates that the standard service accepts.

    Attributes:
        days_ahead: the most calendar days (UTC) that an activity's date may be in the future.
        days_back: the most calendar days (UTC) that it may be in the past.
    """

    days_ahead: int = attrs.field(default=0, validator=is_not_negative)
    days_back: int = attrs.field(default=90, validator=is_not_negative)


def same_mentor_type_and_day(registration: ProxyRegistration) -> str:
    """
    Return the usual duplicate key: one activity of a type for a mentor on a calendar day (UTC).

    `Visit` and `visit` are one type, and composed letters are those that are decomposed.
    """
    activity = registration.activity
    return usual_duplicate_key(registration.mentor_id, activity.activity_type, activity.activity_date)


def failing_checks(
    registration: ProxyRegistration, *, may: bool, in_scope: bool, today: date, rules: RegistrationRules
) -> Iterator[Failure]:
    """
    Yield every reason to refuse a registration: role, scope, attribution, dates, in this order.

    Args:
        registration: what is asked for.
        may: whether the role allows it.
        in_scope: whether the mentor is one to register for.
        today: the calendar day, in UTC.
        rules: how far ahead and back an activity may be.
    """
    if not may:
        yield _refusal("not_a_coordinator", "Only coordinators register for others.")
    if not in_scope:
        yield OUT_OF_SCOPE
    if id_form(registration.registered_by.user_id) == id_form(registration.mentor_id):
        yield SELF_ATTRIBUTION
    yield from _dates(registration.activity.activity_date, today, rules)


def _dates(day: date, today: date, rules: RegistrationRules) -> Iterator[Failure]:
    ahead = (day - today).days
    if ahead > rules.days_ahead:
        limit = f"at most {rules.days_ahead} days ahead" if rules.days_ahead else "today or earlier"
        yield _refusal("date_in_future", f"{day} is in the future; it must be {limit}.")
    if -ahead > rules.days_back:
        yield _refusal("date_too_old", f"{day} is more than {rules.days_back} days back.")


def _refusal(code: str, message: str) -> Failure:
    return Failure(code=code, message=message, retryable=False)


def activity_id_of(registration_id: str) -> str:
    """
    Return the id that a registration's record has, or will have.
    """
    return str(uuid.uuid5(_NAMESPACE, registration_id))


@attrs.define(eq=False, kw_only=True)
class CheckedRecords:
    """
    The store's records of registrations, behind the rules.
    """

    repository: ActivityRecords
    clock: Clock
    rules: RegistrationRules
    access_policy: AccessPolicy
    duplicate_rule: DuplicateRule

    async def reasons_against(self, registrations: Sequence[ProxyRegistration]) -> list[list[Failure]]:
        """
        Return all that speaks against each registration, without asking the store.

        Raises:
            RegistrationUnavailable: the scope could not be asked: neither denied nor allowed.
        """
        beyond = await self._beyond_scope(registrations)
        today = self.clock.now().date()
        return [
            list(
                failing_checks(
                    registration,
                    may=self._may(registration),
                    in_scope=not beyond
                    or (registration.registered_by, id_form(registration.mentor_id)) not in beyond,
                    today=today,
                    rules=self.rules,
                )
            )
            for registration in registrations
        ]

    def record_for(self, registration: ProxyRegistration) -> ActivityRecord:
        """
        Return the record that would be written now.
        """
        return ActivityRecord(
            activity_id=activity_id_of(registration.registration_id),
            registration=registration,
            recorded_at=self.clock.now(),
            duplicate_key=self.duplicate_rule(registration),
        )

    async def existing(self, registrations: Iterable[ProxyRegistration]) -> dict[str, ActivityRecord]:
        """
        Return the records that these registrations have, by registration id.

        Raises:
            RegistrationUnavailable: the store could not be asked.
        """
        try:
            records = await self.repository.find_activities(
                [registration.registration_id for registration in registrations]
            )
        except RepositoryUnavailableError as error:
            raise RegistrationUnavailable(error.retry_after) from error
        return {record.registration.registration_id: record for record in records}

    async def add(
        self, registrations: Sequence[ProxyRegistration], *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Write the records, and return for each its own or the one that it conflicts with.

        Raises:
            OutcomeUnknownError: the store failed while it wrote.
            RegistrationUnavailable: the store failed, and says that nothing was written.
            RecordRefusedError: the store refuses one of them; none was written.
        """
        records = [self.record_for(registration) for registration in registrations]
        try:
            return await self.repository.add_activities(records, atomic=atomic)
        except RepositoryUnavailableError as error:
            if error.nothing_written:
                raise RegistrationUnavailable(error.retry_after) from error
            # The commit may have come through before the connection broke.
            raise OutcomeUnknownError from error

    def _may(self, registration: ProxyRegistration) -> bool:
        actor = registration.registered_by
        overrides = registration.override_of is not None
        return self.access_policy.allows(actor, Action.SUBMIT) and (
            not overrides or self.access_policy.allows(actor, Action.OVERRIDE)
        )

    async def _beyond_scope(self, registrations: Sequence[ProxyRegistration]) -> set[tuple[Actor, str]]:
        mentors: defaultdict[Actor, list[str]] = defaultdict(list)
        for registration in registrations:
            mentors[registration.registered_by].append(registration.mentor_id)
        try:
            return {
                (actor, id_form(mentor_id))
                for actor, mentor_ids in mentors.items()
                for mentor_id in await self.access_policy.out_of_scope(actor, mentor_ids)
            }
        except Exception as error:
            # A host's query may raise anything; that it failed neither denies nor allows.
            raise RegistrationUnavailable from error

"""
What the standard service does with its store and its rules, whatever it is asked by.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from proxy_orchestration.access import AccessPolicy, Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import (
    OutcomeUnknownError,
    RegistrationUnavailable,
    RepositoryUnavailableError,
)
from proxy_orchestration.registration.activities import ActivityRecord, ProxyRegistration
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.registration.standard.checks import DuplicateRule, RegistrationRules, failing_checks

RECORD_REFUSED: Final = "record_refused"
"""The code of a registration whose record the store refuses."""

_NAMESPACE: Final = uuid.UUID("6f0c7a3e-9d55-5e0b-8f7b-0a8f6c1d2e4b")


def activity_id_of(registration_id: str) -> str:
    """
    Return the id that a registration's record has, or will have.
    """
    return str(uuid.uuid5(_NAMESPACE, registration_id))


@attrs.define(eq=False, kw_only=True)
class Registrar:
    """
    Checks registrations, and finds and adds their records.
    """

    repository: ActivityRecords
    clock: Clock
    rules: RegistrationRules
    access_policy: AccessPolicy
    duplicate_rule: DuplicateRule

    async def failing(self, registrations: Sequence[ProxyRegistration]) -> list[list[Failure]]:
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
                    in_scope=not beyond or (registration.registered_by, registration.mentor_id) not in beyond,
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

    async def standing(self, registrations: Iterable[ProxyRegistration]) -> dict[str, ActivityRecord]:
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
            raise RegistrationUnavailable from error
        return {record.registration.registration_id: record for record in records}

    async def add(
        self, registrations: Sequence[ProxyRegistration], *, atomic: bool
    ) -> Sequence[ActivityRecord]:
        """
        Write the records, and return for each the one that stands for it.

        Raises:
            OutcomeUnknownError: the store failed while it wrote.
            RecordRefusedError: the store refuses one of them; none was written.
        """
        records = [self.record_for(registration) for registration in registrations]
        try:
            return await self.repository.add_activities(records, atomic=atomic)
        except RepositoryUnavailableError as error:
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
                (actor, mentor_id)
                for actor, mentor_ids in mentors.items()
                for mentor_id in await self.access_policy.out_of_scope(actor, mentor_ids)
            }
        except Exception as error:
            raise RegistrationUnavailable from error

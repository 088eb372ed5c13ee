"""
What a registration service that finds existing records beforehand promises.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsConflictCheck
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import mentor_of, registration_of

finding_conflicts: list[Check[ProxyRegistrationService]] = []


def _again(mentor: int = 1) -> ProxyRegistration:
    """
    Return what another batch registers for the mentor: the same type and day.
    """
    return registration_of(mentor, batch=2)


async def _conflicts(
    service: ProxyRegistrationService, *registrations: ProxyRegistration
) -> Sequence[Conflict]:
    if not isinstance(service, SupportsConflictCheck):
        broken("the service has no find_conflicts: leave out this kit")
    found = await service.find_conflicts(registrations)
    # Each mentor is asked about once, so that a service may name the item, or the mentor alone.
    return [attrs.evolve(conflict, item_key=None) for conflict in found]


def _duplicate(mentor_id: str, activity_id: str) -> Conflict:
    return Conflict(mentor_id=mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id=activity_id)


@rule_of(finding_conflicts)
async def nothing_registered_is_no_conflict(service: ProxyRegistrationService) -> None:
    found = await _conflicts(service, registration_of(1), registration_of(2))

    expect("no conflict", expected=[], actual=found)


@rule_of(finding_conflicts)
async def a_record_of_another_registration_is_told_by_its_id(service: ProxyRegistrationService) -> None:
    receipt = await service.register(registration_of())

    expect(
        "the conflicting record",
        expected=[_duplicate(mentor_of(1), receipt.activity_id)],
        actual=await _conflicts(service, _again()),
    )


@rule_of(finding_conflicts)
async def its_own_record_is_no_conflict(service: ProxyRegistrationService) -> None:
    # A retry is checked again, and would otherwise wait for a decision about itself.
    await service.register(registration_of())

    found = await _conflicts(service, registration_of())
    expect("under its key", expected=[], actual=found)
    expect("under a new key", expected=[], actual=await _conflicts(service, registration_of(epoch=1)))


@rule_of(finding_conflicts)
async def another_mentor_type_or_day_is_no_conflict(service: ProxyRegistrationService) -> None:
    await service.register(registration_of())
    another = {
        "another mentor": _again(2),
        "another type": registration_of(batch=2, another_type=True),
        "another day": registration_of(batch=2, days_back=1),
    }

    for what, registration in another.items():
        expect(f"{what} is clean", expected=[], actual=await _conflicts(service, registration))


@rule_of(finding_conflicts)
async def each_mentor_asked_about_has_one_conflict_at_most(service: ProxyRegistrationService) -> None:
    records = {
        mentor_of(mentor): (await service.register(registration_of(mentor))).activity_id
        for mentor in (1, 2, 3)
    }
    found = await _conflicts(service, _again(3), _again(4), _again(1))

    expect(
        "one for each that has a record, and nobody else",
        expected=sorted((mentor_of(mentor), records[mentor_of(mentor)]) for mentor in (1, 3)),
        actual=sorted((conflict.mentor_id, conflict.existing_activity_id or "") for conflict in found),
    )


@rule_of(finding_conflicts)
async def the_record_that_is_overridden_is_no_conflict(service: ProxyRegistrationService) -> None:
    # The decision stays good at a retry; another record would need another one; decision 34.
    receipt = await service.register(registration_of())
    over = attrs.evolve(_again(), override_of=receipt.activity_id)

    expect("a person has decided", expected=[], actual=await _conflicts(service, over))


@rule_of(finding_conflicts)
async def asking_writes_nothing(service: ProxyRegistrationService) -> None:
    for _ in range(2):
        expect("clean", expected=[], actual=await _conflicts(service, registration_of()))
    expect("for another batch too", expected=[], actual=await _conflicts(service, _again()))
    receipt = await service.register(_again())

    expect("which registers it", expected=_again().registration_id, actual=receipt.registration_id)

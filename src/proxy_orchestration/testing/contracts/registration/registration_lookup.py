"""
What a registration service with look-up promises.
"""

from __future__ import annotations

from proxy_orchestration.registration.ports import (
    ProxyRegistrationService,
    SupportsBulkLookup,
    SupportsLookup,
)
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import registration_of

looking_up: list[Check[ProxyRegistrationService]] = []


def _lookup(service: ProxyRegistrationService) -> SupportsLookup:
    if not isinstance(service, SupportsLookup):
        broken("the service has no find_registration: leave out this kit")
    return service


@rule_of(looking_up)
async def a_record_is_found_once_it_is_written(service: ProxyRegistrationService) -> None:
    # This is what settles a doubt without another call.
    lookup = _lookup(service)
    expect(
        "nothing before",
        expected=None,
        actual=await lookup.find_registration(registration_of().registration_id),
    )
    receipt = await service.register(registration_of())

    expect(
        "its receipt",
        expected=receipt,
        actual=await lookup.find_registration(registration_of().registration_id),
    )
    expect(
        "not another's",
        expected=None,
        actual=await lookup.find_registration(registration_of(2).registration_id),
    )


@rule_of(looking_up)
async def looking_up_writes_nothing(service: ProxyRegistrationService) -> None:
    lookup = _lookup(service)
    for _ in range(2):
        expect(
            "still nothing",
            expected=None,
            actual=await lookup.find_registration(registration_of().registration_id),
        )


@rule_of(looking_up)
async def many_are_found_as_each_alone(service: ProxyRegistrationService) -> None:
    many = _lookup(service)
    if not isinstance(many, SupportsBulkLookup):
        return
    written = [await service.register(registration_of(mentor)) for mentor in (1, 2, 3)]
    receipts = {receipt.registration_id: receipt for receipt in written}
    asked = [registration_of(4).registration_id, *reversed(receipts)]

    expect("those that exist", expected=receipts, actual=dict(await many.find_registrations(asked)))
    expect("none of none", expected={}, actual=dict(await many.find_registrations([])))

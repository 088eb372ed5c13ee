"""
What a registration service promises that can be asked for its records.
"""

from __future__ import annotations

from proxy_orchestration.registration.ports import (
    ProxyRegistrationService,
    SupportsBulkLookup,
    SupportsLookup,
)
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import registration_of

_MENTORS = ("mentor-1", "mentor-2", "mentor-3")

looking_up: list[Check[ProxyRegistrationService]] = []


def _lookup(service: ProxyRegistrationService) -> SupportsLookup:
    if not isinstance(service, SupportsLookup):
        broken("the service has no find_registration; leave this kit out")
    return service


@rule_of(looking_up)
async def a_record_is_found_once_it_is_written(service: ProxyRegistrationService) -> None:
    # This is what settles a doubt without another call.
    lookup = _lookup(service)
    expect("nothing before", expected=None, actual=await lookup.find_registration("batch-1:mentor-1"))
    receipt = await service.register(registration_of())

    expect("its receipt", expected=receipt, actual=await lookup.find_registration("batch-1:mentor-1"))
    expect("not another's", expected=None, actual=await lookup.find_registration("batch-1:mentor-2"))


@rule_of(looking_up)
async def looking_up_writes_nothing(service: ProxyRegistrationService) -> None:
    lookup = _lookup(service)
    for _ in range(2):
        expect("still nothing", expected=None, actual=await lookup.find_registration("batch-1:mentor-1"))


@rule_of(looking_up)
async def many_are_found_as_each_alone(service: ProxyRegistrationService) -> None:
    many = _lookup(service)
    if not isinstance(many, SupportsBulkLookup):
        return
    receipts = {f"batch-1:{name}": await service.register(registration_of(name)) for name in _MENTORS}
    asked = ["batch-1:mentor-9", *reversed(receipts)]

    expect("those that exist", expected=receipts, actual=dict(await many.find_registrations(asked)))
    expect("none of none", expected={}, actual=dict(await many.find_registrations([])))

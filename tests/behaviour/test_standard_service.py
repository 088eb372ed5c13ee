from datetime import date, timedelta

import pytest

from proxy_orchestration import (
    Actor,
    ProxyActivity,
    ProxyRegistration,
    RegistrationRejected,
    RegistrationRules,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.registration.activities import idempotency_key_of, registration_id_of
from proxy_orchestration.storage.memory import MemoryActivityRepository

TODAY = date(2026, 1, 1)
COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")


def registration(day=TODAY, *, mentor="mentor-1", actor=COORDINATOR):
    """
    Return a registration for that day.
    """
    key = registration_id_of("batch-1", mentor)
    return ProxyRegistration(
        registration_id=key,
        idempotency_key=idempotency_key_of(key, 0),
        batch_id="batch-1",
        mentor_id=mentor,
        activity=ProxyActivity(activity_type="visit", activity_date=day, duration_minutes=30),
        registered_by=actor,
    )


@pytest.fixture
def service(scene):
    """
    Return the standard service over an empty store, on the scene's clock.
    """
    return StandardRegistrationService(repository=MemoryActivityRepository(scene.clock), clock=scene.clock)


async def test_two_calls_write_one_record(service):
    """
    Both get the same receipt; both ids stand in the record.
    """
    first = await service.register(registration())
    second = await service.register(registration())

    records = await service.repository.activities_of_batch("batch-1")
    assert first == second == await service.find_registration(first.registration_id)
    assert [("mentor-1", "coord-1")] == [
        (record.registration.mentor_id, record.registration.registered_by.user_id) for record in records
    ]


@pytest.mark.parametrize("days", [0, -1, -90])
async def test_days_within_the_rules_are_accepted(service, days):
    """
    Today and ninety days back are in.
    """
    receipt = await service.register(registration(TODAY + timedelta(days=days)))

    assert await service.find_registration(receipt.registration_id) is not None


@pytest.mark.parametrize(("days", "code"), [(1, "date_in_future"), (-91, "date_too_old")])
async def test_days_beyond_the_rules_are_refused(service, days, code):
    """
    Tomorrow and ninety-one days back are out, and nothing is written.
    """
    with pytest.raises(RegistrationRejected) as caught:
        await service.register(registration(TODAY + timedelta(days=days)))

    assert code == caught.value.code
    assert [] == list(await service.repository.activities_of_batch("batch-1"))


async def test_rules_are_configurable(scene):
    """
    A week ahead, and no day back.
    """
    service = StandardRegistrationService(
        repository=MemoryActivityRepository(scene.clock),
        clock=scene.clock,
        rules=RegistrationRules(days_ahead=7, days_back=0),
    )

    await service.register(registration(TODAY + timedelta(days=7)))

    with pytest.raises(RegistrationRejected, match="7 days ahead"):
        await service.register(registration(TODAY + timedelta(days=8), mentor="mentor-2"))


async def test_all_failing_checks_are_reported_together(service):
    """
    The first gives the code, the message tells them all.
    """
    mentor = Actor(user_id="mentor-1", roles={Role.PEER_MENTOR}, organization_id="oslo")

    with pytest.raises(RegistrationRejected) as caught:
        await service.register(registration(TODAY + timedelta(days=1), actor=mentor))

    assert "not_a_coordinator" == caught.value.code
    assert "themselves" in caught.value.message
    assert "future" in caught.value.message


async def test_its_own_record_comes_before_every_check(service, scene):
    """
    A redelivery a year later finds the record instead of refusing the date.
    """
    first = await service.register(registration())
    scene.clock.advance(365 * 86_400)

    assert first == await service.register(registration())

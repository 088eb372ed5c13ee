"""
A coordinator looks through what they registered, and asks for a correction; the original stays.
"""

from datetime import date, timedelta

import pytest

from proxy_orchestration import (
    ActivityNotFoundError,
    ActivityRegistered,
    Actor,
    InvalidValueError,
    NotAuthorizedError,
    ProxyActivity,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
COLLEAGUE = Actor(user_id="coord-2", roles={Role.COORDINATOR}, organization_id="oslo")
ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")
STRANGER = Actor(user_id="admin-2", roles={Role.CHAPTER_ADMIN}, organization_id="bergen")


@pytest.fixture
def clock():
    """
    Time that stands still.
    """
    return FakeClock()


@pytest.fixture
def service(clock):
    """
    The standard service over an empty store.
    """
    return StandardRegistrationService(repository=MemoryActivityRepository(clock=clock), clock=clock)


async def _registered(service, clock, mentor_id, *, days_ago=0, actor=COORDINATOR):
    day = clock.now().date() - timedelta(days_ago)
    activity = ProxyActivity(activity_type="visit", activity_date=day, duration_minutes=45, notes="A walk.")
    key = f"{mentor_id}-{days_ago}"
    result = await service.register_proxy_activity(mentor_id, activity, actor=actor, idempotency_key=key)
    assert isinstance(result, ActivityRegistered)
    return result.activity_id


async def test_a_coordinator_finds_what_they_registered(service, clock):
    """
    By mentor and by days, the newest first; nobody else's.
    """
    today = clock.now().date()
    names = {
        await _registered(service, clock, mentor, days_ago=ago): (mentor, ago)
        for mentor in ("mentor-1", "mentor-2")
        for ago in (0, 3)
    }
    await _registered(service, clock, "mentor-3", actor=COLLEAGUE)

    async def found(**wanted):
        page = await service.list_activities(actor=COORDINATOR, **wanted)
        return [names[each.record.activity_id] for each in page.records]

    assert [0, 0, 3, 3] == [ago for _, ago in await found()]
    assert [("mentor-1", 0), ("mentor-1", 3)] == await found(mentor_ids=["mentor-1"])
    assert [("mentor-1", 0)] == await found(mentor_ids={"mentor-1"}, activity_from=today)
    assert [("mentor-1", 3)] == await found(mentor_ids={"mentor-1"}, activity_through=today - timedelta(1))
    assert [] == await found(activity_from=today + timedelta(1))
    assert [] == await found(coordinator_id="coord-2")


async def test_a_list_goes_on_behind_its_cursor(service, clock):
    """
    Page by page, each record once.
    """
    for ago in range(5):
        await _registered(service, clock, "mentor-1", days_ago=ago)
    seen, cursor = [], None
    for _ in range(3):
        page = await service.list_activities(actor=COORDINATOR, limit=2, cursor=cursor)
        seen += [each.record.registration.activity.activity_date for each in page.records]
        cursor = page.next_cursor

    assert [clock.now().date() - timedelta(ago) for ago in range(5)] == seen
    assert cursor is None


async def test_a_correction_stands_beside_the_original_for_the_admin_too(service, clock):
    """
    The record is what it was; the note says who wrote it, and when.
    """
    activity_id = await _registered(service, clock, "mentor-1")
    (before,) = (await service.list_activities(actor=COORDINATOR)).records
    note = await service.request_correction(
        activity_id, "It was an hour.", actor=COORDINATOR, idempotency_key="form-1"
    )

    assert ("It was an hour.", "coord-1", clock.now()) == (note.text, note.written_by, note.written_at)
    for actor in (COORDINATOR, ADMIN):
        (after,) = (await service.list_activities(actor=actor)).records
        assert before.record == after.record
        assert (note,) == after.corrections
    assert () == (await service.list_activities(actor=STRANGER)).records


async def test_a_form_that_is_sent_twice_is_one_note(service, clock):
    """
    The same key is the same note, and no other.
    """
    activity_id = await _registered(service, clock, "mentor-1")

    async def sent(text):
        return await service.request_correction(
            activity_id, text, actor=COORDINATOR, idempotency_key="form-1"
        )

    first = await sent("It was an hour.")
    clock.advance(60)

    assert first == await sent("It was an hour.")
    with pytest.raises(InvalidValueError, match="it belongs to another note"):
        await sent("It was two.")
    (listed,) = (await service.list_activities(actor=COORDINATOR)).records
    assert (first,) == listed.corrections


@pytest.mark.parametrize(
    ("actor", "error"),
    [(COLLEAGUE, ActivityNotFoundError), (ADMIN, NotAuthorizedError), (STRANGER, NotAuthorizedError)],
)
async def test_who_did_not_register_it_asks_for_no_correction(service, clock, actor, error):
    """
    To a colleague the record does not exist; an admin reads only.
    """
    activity_id = await _registered(service, clock, "mentor-1")

    with pytest.raises(error):
        await service.request_correction(activity_id, "No.", actor=actor, idempotency_key="form-1")


async def test_an_unknown_record_has_no_correction(service):
    """
    The error names what was asked for.
    """
    with pytest.raises(ActivityNotFoundError, match="activity-9") as error:
        await service.request_correction("activity-9", "No.", actor=COORDINATOR, idempotency_key="form-1")

    assert "activity-9" == error.value.activity_id


@pytest.mark.parametrize("note", ["", "  "])
async def test_a_note_says_something(service, note):
    """
    An empty one is refused before anything is read.
    """
    with pytest.raises(InvalidValueError, match="note must not be empty"):
        await service.request_correction("activity-1", note, actor=COORDINATOR, idempotency_key="form-1")


async def test_what_is_listed_is_json(service, clock):
    """
    A host needs no serializer for its own log.
    """
    activity_id = await _registered(service, clock, "mentor-1")
    await service.request_correction(activity_id, "No.", actor=COORDINATOR, idempotency_key="form-1")
    told = (await service.list_activities(actor=COORDINATOR)).to_dict()

    (listed,) = told["records"]
    assert "mentor-1" == listed["record"]["registration"]["mentor_id"]
    assert ["No."] == [note["text"] for note in listed["corrections"]]
    assert date.fromisoformat(listed["record"]["registration"]["activity"]["activity_date"])

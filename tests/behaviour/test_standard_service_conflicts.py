import importlib.util
from datetime import date, timedelta

import attrs
import pytest

from proxy_orchestration import (
    Actor,
    Conflict,
    ConflictKind,
    CoordinatorAccess,
    ProxyActivity,
    ProxyRegistration,
    RepositoryUnavailableError,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.registration.activities import idempotency_key_of, registration_id_of
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock, FaultyActivityRepository

TODAY = date(2026, 1, 1)
COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
COLLEAGUE = attrs.evolve(COORDINATOR, user_id="coord-2")
STRANGER = attrs.evolve(COORDINATOR, organization_id="bergen")

needs_sql = pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None, reason="the extra sql is not installed"
)


def registration(mentor="mentor-1", day=TODAY, *, batch="batch-2", kind="visit", actor=COORDINATOR):
    """
    Return a registration of that batch for that mentor.
    """
    key = registration_id_of(batch, mentor)
    return ProxyRegistration(
        registration_id=key,
        idempotency_key=idempotency_key_of(key, 0),
        batch_id=batch,
        mentor_id=mentor,
        activity=ProxyActivity(activity_type=kind, activity_date=day, duration_minutes=30),
        registered_by=actor,
    )


def duplicate_of(receipt, mentor="mentor-1"):
    """
    Return the conflict of that mentor with that record.
    """
    return Conflict(mentor_id=mentor, kind=ConflictKind.DUPLICATE, existing_activity_id=receipt.activity_id)


@attrs.define(eq=False, slots=False)
class Counting(FaultyActivityRepository):
    """
    A store that notes every question for duplicates, and may be cut off.
    """

    questions: list = attrs.field(init=False, factory=list)
    cut: bool = False

    async def find_duplicates(self, organization_id, duplicate_keys, /):
        """
        Note the question and hand it on.
        """
        self.questions.append((organization_id, len(duplicate_keys)))
        if self.cut:
            reason = "Cut."
            raise RepositoryUnavailableError(reason, advice="Wait.")
        return await super().find_duplicates(organization_id, duplicate_keys)


@pytest.fixture
def clock():
    """
    Return a clock that stands still on the first day of the year.
    """
    return FakeClock()


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=needs_sql)])
async def store(request, tmp_path, clock):
    """
    Open an empty store that counts, over the memory and over a database.
    """
    if request.param == "memory":
        yield Counting(MemoryActivityRepository(clock))
        return
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'store.db'}") as repository:
        yield Counting(repository)


@pytest.fixture
def service(store, clock):
    """
    Return the standard service as it comes.
    """
    return StandardRegistrationService(repository=store, clock=clock)


async def test_a_record_of_another_registration_is_a_duplicate(service, store):
    """
    It is named, whoever wrote it; asking writes nothing.
    """
    first = await service.register(registration(batch="batch-1", actor=COLLEAGUE))
    writes = len(store.writes)

    assert [duplicate_of(first)] == await service.find_conflicts([registration(), registration("mentor-2")])
    assert writes == len(store.writes)


async def test_conflicts_come_in_the_order_asked(service):
    """
    One for each mentor that has one.
    """
    receipts = {
        mentor: await service.register(registration(mentor, batch="batch-1")) for mentor in ("a", "b", "c")
    }
    asked = [registration(mentor) for mentor in ("c", "x", "a", "y", "b")]

    assert [
        duplicate_of(receipts[mentor], mentor) for mentor in ("c", "a", "b")
    ] == await service.find_conflicts(asked)


@pytest.mark.parametrize(
    "other",
    [
        registration("mentor-2"),
        registration(day=TODAY - timedelta(days=1)),
        registration(kind="call"),
        registration(actor=STRANGER),
    ],
    ids=["mentor", "day", "type", "organization"],
)
async def test_what_differs_is_clean(service, other):
    """
    Another mentor, another day, another type, another organization.
    """
    await service.register(registration(batch="batch-1"))

    assert [] == await service.find_conflicts([other])


async def test_its_own_record_is_no_conflict(service):
    """
    What the registration itself wrote is in nobody else's way but others'.
    """
    first = await service.register(registration())

    assert [] == await service.find_conflicts([registration()])
    assert [duplicate_of(first)] == await service.find_conflicts([registration(), registration(batch="b")])


async def test_a_void_record_is_no_conflict(service, store, clock):
    """
    It is in nobody's way.
    """
    first = await service.register(registration(batch="batch-1"))
    await store.void_activity(first.activity_id, voided_at=clock.now())

    assert [] == await service.find_conflicts([registration()])


async def test_an_override_has_no_conflict_left(service, store):
    """
    A person has decided about that record; another one in its place nobody has decided about.
    """
    first = await service.register(registration(batch="batch-1"))
    over = attrs.evolve(registration(), override_of=first.activity_id)

    assert [] == await service.find_conflicts([over])
    assert [duplicate_of(first)] == await service.find_conflicts([attrs.evolve(over, override_of="other")])


async def test_an_override_in_the_store_conflicts_with_a_third(service, store, clock):
    """
    Also after the original was voided.
    """
    first = await service.register(registration(batch="batch-1"))
    over = await service.register(attrs.evolve(registration(), override_of=first.activity_id))
    third = registration(batch="batch-3")

    assert [duplicate_of(first)] == await service.find_conflicts([third])
    await store.void_activity(first.activity_id, voided_at=clock.now())
    assert [duplicate_of(over)] == await service.find_conflicts([third])


async def test_an_earlier_entry_conflicts_with_a_later_one(service):
    """
    The conflict names the record that the earlier one will have.
    """
    first, second, third = registration(), registration(batch="b"), registration(batch="c")

    conflicts = await service.find_conflicts([first, second, third])

    future = (await service.register(first)).activity_id
    assert [
        Conflict(mentor_id="mentor-1", kind=ConflictKind.IN_BATCH, existing_activity_id=future)
    ] * 2 == conflicts


async def test_a_record_comes_before_an_earlier_entry(service):
    """
    All three meet what is stored, not one another.
    """
    first = await service.register(registration(batch="batch-1"))
    asked = [registration(), registration(batch="b"), registration(batch="c")]

    assert [duplicate_of(first)] * 3 == await service.find_conflicts(asked)


async def test_entries_of_two_organizations_do_not_conflict(service):
    """
    No host's rule can make them conflict.
    """
    assert [] == await service.find_conflicts([registration(), registration(batch="b", actor=STRANGER)])


async def test_what_never_is_a_duplicate_is_not_asked_about(store, clock):
    """
    A rule that answers `None` settles it.
    """
    service = StandardRegistrationService(repository=store, clock=clock, duplicate_rule=lambda _asked: None)
    await service.register(registration(batch="batch-1"))

    assert [] == await service.find_conflicts([registration(), registration(batch="b")])
    assert [] == store.questions


@pytest.mark.parametrize("count", [1, 40])
async def test_the_store_is_asked_once_for_each_organization(service, store, count):
    """
    However many mentors there are.
    """
    mine = [registration(f"mentor-{number}") for number in range(count)]
    theirs = [registration(f"mentor-{number}", batch="b", actor=STRANGER) for number in range(count)]

    await service.find_conflicts([*mine, *theirs])

    assert [("oslo", count), ("bergen", count)] == store.questions


async def test_nothing_asked_is_no_question(service, store):
    """
    No registration, no conflict.
    """
    assert [] == await service.find_conflicts([])
    assert [] == store.questions


async def test_a_store_that_cannot_be_asked_is_no_answer(service, store):
    """
    An error is raised, never an empty list.
    """
    store.cut = True

    with pytest.raises(RepositoryUnavailableError):
        await service.find_conflicts([registration()])


async def test_conflicts_are_found_without_asking_for_the_scope(store, clock):
    """
    Whoever asks has asked the policy before.
    """

    class Struck(CoordinatorAccess):
        """
        A policy that does not answer.
        """

        async def out_of_scope(self, actor, mentor_ids, /):
            """
            Fail.
            """
            raise OSError

    service = StandardRegistrationService(repository=store, clock=clock, access_policy=Struck())

    assert [] == await service.find_conflicts([registration()])

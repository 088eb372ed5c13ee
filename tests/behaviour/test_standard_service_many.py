import importlib.util
import sqlite3
from contextlib import closing
from datetime import date, timedelta

import attrs
import pytest

from proxy_orchestration import (
    Actor,
    CoordinatorAccess,
    OutcomeUnknownError,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.ports import RecordRefusedError, RegistrationFailure
from proxy_orchestration.registration.activities import idempotency_key_of, registration_id_of
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock, FaultyActivityRepository, fail_at

TODAY = date(2026, 1, 1)
TOMORROW = TODAY + timedelta(days=1)
COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
CUT = RepositoryUnavailableError("Cut.", advice="Wait.")

needs_sql = pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None, reason="the extra sql is not installed"
)
each_mode = pytest.mark.parametrize("atomic", [False, True], ids=["independent", "atomic"])


def registration(mentor, day=TODAY, *, batch="batch-1", actor=COORDINATOR):
    """
    Return a registration of that batch for that mentor.
    """
    key = registration_id_of(batch, mentor)
    return ProxyRegistration(
        registration_id=key,
        idempotency_key=idempotency_key_of(key, 0),
        batch_id=batch,
        mentor_id=mentor,
        activity=ProxyActivity(activity_type="visit", activity_date=day, duration_minutes=30),
        registered_by=actor,
    )


def registrations(*mentors, **fields):
    """
    Return one registration for each of the mentors, in this order.
    """
    return [registration(mentor, **fields) for mentor in mentors]


class Chapter(CoordinatorAccess):
    """
    A policy that counts how often it is asked, and may be struck.
    """

    def __init__(self, error=None):
        self.error = error
        self.asked = []

    async def out_of_scope(self, actor, mentor_ids, /):
        """
        Note the question; nobody is beyond.
        """
        self.asked.append((actor.user_id, list(mentor_ids)))
        if self.error is not None:
            raise self.error
        return ()


@pytest.fixture
def clock():
    """
    Return a clock that stands still on the first day of the year.
    """
    return FakeClock()


@pytest.fixture
def file(tmp_path):
    """
    Return where the database is.
    """
    return tmp_path / "store.db"


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=needs_sql)])
async def store(request, file, clock):
    """
    Open an empty store: the memory's, and one in a database.
    """
    if request.param == "memory":
        yield MemoryActivityRepository(clock)
        return
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    async with SqlActivityRepository.open(f"sqlite:///{file}") as repository:
        yield repository


@pytest.fixture
def make(store, clock):
    """
    Return what makes the standard service over the store, changed in these fields.
    """
    return lambda **changes: StandardRegistrationService(**({"repository": store, "clock": clock} | changes))


@pytest.fixture
def service(make):
    """
    Return the standard service as it comes.
    """
    return make()


def rows_of(file):
    """
    Count the rows of a database with another connection.
    """
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT count(*) FROM activities").fetchone()[0]


@pytest.fixture
def rows(store, file):
    """
    Return what counts the rows of the database, or the memory's records.
    """
    return lambda: rows_of(file) if file.exists() else len(store._records)


def told(answers):
    """
    Return for each answer "receipt", or the code of its failure.
    """
    return ["receipt" if isinstance(answer, RegistrationReceipt) else answer.code for answer in answers]


def named(answers):
    """
    Return whom each answer is for.
    """
    return [answer.registration_id for answer in answers]


@each_mode
async def test_every_registration_is_written_and_answered_in_its_order(service, store, rows, atomic):
    """
    The order is the caller's, not the alphabet's.
    """
    asked = registrations("c", "a", "b")

    answers = await service.register_many(asked, atomic=atomic)

    assert named(asked) == named(answers)
    assert ["receipt"] * 3 == told(answers)
    assert answers == [await service.find_registration(name) for name in named(asked)]
    assert 3 == rows()


@each_mode
async def test_nothing_asked_is_nothing_answered(make, rows, atomic):
    """
    Neither the policy nor the store is asked.
    """
    policy = Chapter()

    assert [] == list(await make(access_policy=policy).register_many([], atomic=atomic))
    assert [] == policy.asked
    assert 0 == rows()


@each_mode
async def test_the_whole_repeated_gets_the_same_receipts(service, rows, atomic):
    """
    One record per registration, in either mode, under a new key as well.
    """
    asked = registrations("a", "b")
    first = await service.register_many(asked, atomic=atomic)
    again = [attrs.evolve(one, idempotency_key=f"{one.registration_id}:1") for one in asked]

    assert first == await service.register_many(asked, atomic=atomic)
    assert first == await service.register_many(again, atomic=atomic)
    assert first == [await service.register(one) for one in asked]
    assert 2 == rows()


@each_mode
async def test_own_records_come_before_every_check(service, rows, clock, atomic):
    """
    A year later all days are too old, and each still gets its receipt.
    """
    asked = registrations("a", "b")
    first = await service.register_many(asked, atomic=atomic)
    clock.advance(365 * 86_400)

    assert first == await service.register_many(asked, atomic=atomic)
    assert 2 == rows()


@each_mode
async def test_the_scope_is_asked_once_for_each_who_registers(make, atomic):
    """
    One question per actor, however many mentors.
    """
    policy = Chapter()
    colleague = attrs.evolve(COORDINATOR, user_id="coord-2")
    asked = [*registrations("a", "b"), registration("c", actor=colleague), registration("d")]

    await make(access_policy=policy).register_many(asked, atomic=atomic)

    assert [("coord-1", ["a", "b", "d"]), ("coord-2", ["c"])] == policy.asked


async def test_in_independent_mode_each_ends_by_itself(service, rows):
    """
    A refused one, a duplicate, one that has its record and two new ones, each at its place.
    """
    earlier = await service.register(registration("b", batch="batch-0"))
    own = await service.register(registration("d"))
    asked = [registration("a"), registration("b"), registration("c", TOMORROW), *registrations("d", "e")]

    answers = await service.register_many(asked, atomic=False)

    assert ["receipt", "duplicate", "date_in_future", "receipt", "receipt"] == told(answers)
    assert named(asked) == named(answers)
    assert earlier.activity_id == answers[1].existing_activity_id
    assert answers[2].existing_activity_id is None
    assert own == answers[3]
    assert 4 == rows()


async def test_a_refused_one_that_has_its_record_gets_its_receipt_beside_new_ones(service, rows, clock):
    """
    Its day became too old meanwhile; the other was never registered and is refused.
    """
    old = await service.register(registration("a"))
    clock.advance(91 * 86_400)
    today = clock.now().date()

    answers = await service.register_many(
        [registration("a"), registration("b"), registration("c", today)], atomic=False
    )

    assert old == answers[0]
    assert ["receipt", "date_too_old", "receipt"] == told(answers)
    assert 2 == rows()


async def test_all_refused_is_all_answered(service, rows):
    """
    Each with every reason in its message, and the store has nothing to write.
    """
    asked = [registration("coord-1", TOMORROW), registration("b", TOMORROW)]

    answers = await service.register_many(asked, atomic=False)

    assert ["self_attribution", "date_in_future"] == told(answers)
    assert "themselves" in answers[0].message
    assert "future" in answers[0].message
    assert 0 == rows()


async def test_of_two_alike_in_one_call_the_first_is_registered(service, rows):
    """
    The second names the record of the first.
    """
    answers = await service.register_many(
        [registration("a"), registration("a", batch="batch-2")], atomic=False
    )

    assert ["receipt", "duplicate"] == told(answers)
    assert answers[0].activity_id == answers[1].existing_activity_id
    assert 1 == rows()


async def test_all_or_nothing_with_a_refused_one_is_nothing(service, rows):
    """
    The refused one has its own reason, the others were rolled back.
    """
    asked = [registration("a"), registration("b", TOMORROW), registration("c")]

    answers = await service.register_many(asked, atomic=True)

    assert ["rolled_back", "date_in_future", "rolled_back"] == told(answers)
    assert named(asked) == named(answers)
    assert 0 == rows()


async def test_all_or_nothing_with_a_duplicate_in_the_middle_is_nothing(service, rows):
    """
    The constraint speaks after the first was written, and no row of the call is left.
    """
    earlier = await service.register(registration("c", batch="batch-0"))
    asked = registrations("a", "b", "c", "d", "e")

    answers = await service.register_many(asked, atomic=True)

    assert ["rolled_back", "rolled_back", "duplicate", "rolled_back", "rolled_back"] == told(answers)
    assert named(asked) == named(answers)
    assert earlier.activity_id == answers[2].existing_activity_id
    assert 1 == rows()


async def test_all_or_nothing_with_two_alike_is_nothing(service, rows):
    """
    The record that the second would have met was never written.
    """
    answers = await service.register_many(
        [registration("a"), registration("a", batch="batch-2")], atomic=True
    )

    assert ["rolled_back", "duplicate"] == told(answers)
    assert 0 == rows()


async def test_all_or_nothing_goes_through_once_nothing_conflicts(service, store, rows, clock):
    """
    What failed as a whole is registered as a whole after the reason is gone.
    """
    earlier = await service.register(registration("b", batch="batch-0"))
    asked = registrations("a", "b")
    assert ["rolled_back", "duplicate"] == told(await service.register_many(asked, atomic=True))

    await store.void_activity(earlier.activity_id, voided_at=clock.now())

    assert ["receipt", "receipt"] == told(await service.register_many(asked, atomic=True))
    assert 3 == rows()


@pytest.mark.parametrize("reason", ["refused", "duplicate"])
async def test_some_that_stand_beside_one_that_is_refused_is_neither_all_nor_nothing(service, rows, reason):
    """
    Only part of a whole has records: no answer can tell that, and nothing is added.
    """
    await service.register(registration("a"))
    await service.register(registration("b", batch="batch-0"))
    bad = registration("b") if reason == "duplicate" else registration("z", TOMORROW)

    with pytest.raises(OutcomeUnknownError):
        await service.register_many([registration("a"), bad, registration("c")], atomic=True)

    assert 2 == rows()


async def test_all_or_nothing_completes_what_was_written_in_part(service, rows):
    """
    With nothing that conflicts with the rest, the whole stands afterwards.
    """
    first = await service.register(registration("a"))

    answers = await service.register_many(registrations("a", "b"), atomic=True)

    assert first == answers[0]
    assert ["receipt", "receipt"] == told(answers)
    assert 2 == rows()


@each_mode
async def test_a_scope_that_cannot_be_asked_lets_all_be_tried_again(make, rows, atomic):
    """
    Neither denied nor allowed.
    """
    with pytest.raises(RegistrationUnavailable):
        await make(access_policy=Chapter(OSError("gone"))).register_many(registrations("a"), atomic=atomic)

    assert 0 == rows()


@each_mode
async def test_a_store_that_cannot_be_read_lets_all_be_tried_again(make, rows, monkeypatch, store, atomic):
    """
    Nothing was written when it looked for the records of those it would refuse.
    """

    async def fail(_registration_ids, /):
        raise CUT

    service = make()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "find_activities", staticmethod(fail))
        with pytest.raises(RegistrationUnavailable) as caught:
            await service.register_many([registration("a"), registration("b", TOMORROW)], atomic=atomic)

    assert CUT is caught.value.__cause__
    assert 0 == rows()


@each_mode
@pytest.mark.parametrize(("place", "kept"), [("before", 0), ("after", 2)])
async def test_a_store_that_fails_while_it_writes_leaves_all_in_doubt(make, rows, atomic, place, kept):
    """
    Whether it was before or after the rows were stored; repeated, each has one record.
    """
    faulty = FaultyActivityRepository(make().repository, **{place: fail_at(1, CUT)})
    service = make(repository=faulty)
    asked = registrations("a", "b")

    with pytest.raises(OutcomeUnknownError) as caught:
        await service.register_many(asked, atomic=atomic)
    assert CUT is caught.value.__cause__
    assert kept == rows()

    assert ["receipt", "receipt"] == told(await service.register_many(asked, atomic=atomic))
    assert 2 == rows()


@each_mode
async def test_a_record_that_the_store_refuses_refuses_the_call(make, store, rows, monkeypatch, atomic):
    """
    An exception means that nothing was written; not atomic, the caller can look for the row.
    """
    error = RegistrationRejected if atomic else RecordRefusedError

    async def refuse(_records, /, *, atomic):
        raise RecordRefusedError

    service = make()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "add_activities", staticmethod(refuse))
        with pytest.raises(error):
            await service.register_many(registrations("a", "b"), atomic=atomic)

    assert 0 == rows()


async def test_failures_are_the_ports_own_kind(service):
    """
    They are values in the answer, not exceptions.
    """
    (answer,) = await service.register_many([registration("coord-1")], atomic=False)

    assert (
        RegistrationFailure(
            registration_id="batch-1:coord-1",
            code="self_attribution",
            message="Coordinators cannot register an activity for themselves.",
        )
        == answer
    )


@needs_sql
@each_mode
async def test_a_row_that_a_database_cannot_keep_keeps_all_of_the_call_out(file, clock, atomic):
    """
    Alone it is a definite refusal; the others are registered without it.
    """
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    bad = registration("b")
    bad = attrs.evolve(bad, activity=attrs.evolve(bad.activity, notes="\ud800"))
    async with SqlActivityRepository.open(f"sqlite:///{file}") as repository:
        service = StandardRegistrationService(repository=repository, clock=clock)

        with pytest.raises(RegistrationRejected if atomic else RecordRefusedError):
            await service.register_many([registration("a"), bad, registration("c")], atomic=atomic)
        assert 0 == rows_of(file)

        with pytest.raises(RegistrationRejected) as caught:
            await service.register(bad)
        assert "record_refused" == caught.value.code
        assert ["receipt"] * 2 == told(await service.register_many(registrations("a", "c"), atomic=atomic))
        assert 2 == rows_of(file)

import importlib.util
from datetime import date, timedelta

import anyio
import attrs
import pytest

from proxy_orchestration import (
    Actor,
    CoordinatorAccess,
    DuplicateActivityError,
    OutcomeUnknownError,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
    RegistrationRules,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.access import Action
from proxy_orchestration.ports import RecordRefusedError
from proxy_orchestration.registration.activities import idempotency_key_of, registration_id_of
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock

TODAY = date(2026, 1, 1)
COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
COLLEAGUE = attrs.evolve(COORDINATOR, user_id="coord-2")
STRANGER = attrs.evolve(COORDINATOR, organization_id="bergen")

needs_sql = pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None, reason="the extra sql is not installed"
)


def registration(mentor="mentor-1", day=TODAY, *, batch="batch-1", kind="visit", actor=COORDINATOR):
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


@pytest.fixture
def clock():
    """
    Return a clock that stands still on the first day of the year.
    """
    return FakeClock()


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=needs_sql)])
async def store(request, tmp_path, clock):
    """
    Open an empty store: the memory's, and one in a database.
    """
    if request.param == "memory":
        yield MemoryActivityRepository(clock)
        return
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'store.db'}") as repository:
        yield repository


@pytest.fixture
def make(store, clock):
    """
    Return what makes the standard service over the store, changed in these fields.
    """
    return lambda **changes: StandardRegistrationService(repository=store, clock=clock, **changes)


@pytest.fixture
def service(make):
    """
    Return the standard service as it comes.
    """
    return make()


class Chapter(CoordinatorAccess):
    """
    A policy that knows whose mentors are whose, and may be struck.
    """

    def __init__(self, *beyond, error=None):
        self.beyond = beyond
        self.error = error

    async def out_of_scope(self, actor, mentor_ids, /):
        """
        Return those beyond, or be struck.
        """
        if self.error is not None:
            raise self.error
        return [mentor_id for mentor_id in mentor_ids if mentor_id in self.beyond]


class WithoutOverrides(CoordinatorAccess):
    """
    A policy under which nobody registers over a record.
    """

    def allows(self, actor, action, /):
        """
        Allow what coordinators may, but for one thing.
        """
        return action is not Action.OVERRIDE and super().allows(actor, action)


async def written(store, batch="batch-1"):
    """
    Return whom the batch has records for.
    """
    return [record.registration.mentor_id for record in await store.activities_of_batch(batch)]


async def refusal_of(service, asked):
    """
    Return the refusal of a registration that has to be refused.
    """
    with pytest.raises(RegistrationRejected) as caught:
        await service.register(asked)
    return caught.value


async def test_two_calls_write_one_record(service, store):
    """
    Both get the same receipt; both ids stand in the record.
    """
    first = await service.register(registration())
    second = await service.register(registration())

    records = await store.activities_of_batch("batch-1")
    assert first == second == await service.find_registration(first.registration_id)
    assert [("mentor-1", "coord-1")] == [
        (record.registration.mentor_id, record.registration.registered_by.user_id) for record in records
    ]


async def test_a_registration_without_a_record_is_not_found(service):
    """
    Looking for it answers `None`.
    """
    assert await service.find_registration("batch-1:mentor-1") is None


@pytest.mark.parametrize("days", [0, -1, -90])
async def test_days_within_the_rules_are_accepted(service, days):
    """
    Today and ninety days back are in.
    """
    receipt = await service.register(registration(day=TODAY + timedelta(days=days)))

    assert receipt == await service.find_registration(receipt.registration_id)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (registration(actor=attrs.evolve(COORDINATOR, roles={Role.PEER_MENTOR})), "not_a_coordinator"),
        (registration(actor=attrs.evolve(COORDINATOR, roles={Role.CHAPTER_ADMIN})), "not_a_coordinator"),
        (registration("mentor-9"), "out_of_scope"),
        (registration("coord-1"), "self_attribution"),
        (registration(day=TODAY + timedelta(days=1)), "date_in_future"),
        (registration(day=TODAY - timedelta(days=91)), "date_too_old"),
    ],
)
async def test_each_check_refuses_under_a_code_of_its_own(make, store, asked, code):
    """
    Nothing is written for any of them.
    """
    refusal = await refusal_of(make(access_policy=Chapter("mentor-9")), asked)

    assert code == refusal.code
    assert [] == await written(store)


async def test_rules_are_configurable(make):
    """
    A week ahead, and no day back.
    """
    service = make(rules=RegistrationRules(days_ahead=7, days_back=0))

    await service.register(registration(day=TODAY + timedelta(days=7)))

    beyond = await refusal_of(service, registration("mentor-2", TODAY + timedelta(days=8)))
    assert "at most 7 days ahead" in beyond.message
    assert "date_too_old" == (await refusal_of(service, registration(day=date(2025, 12, 31), batch="b"))).code


@pytest.mark.parametrize("day", [date.min, date.max])
async def test_rules_without_an_end_accept_every_day(make, day):
    """
    A host that wants no limit takes a number of days that no calendar has.
    """
    service = make(rules=RegistrationRules(days_ahead=10**9, days_back=10**9))

    assert "batch-1:mentor-1" == (await service.register(registration(day=day))).registration_id


async def test_all_failing_checks_are_reported_together(make, store):
    """
    The first gives the code, the message tells them all in the order of the checks.
    """
    mentor = Actor(user_id="mentor-1", roles={Role.PEER_MENTOR}, organization_id="oslo")
    asked = registration(day=TODAY + timedelta(days=1), actor=mentor)

    refusal = await refusal_of(make(access_policy=Chapter("mentor-1")), asked)

    assert "not_a_coordinator" == refusal.code
    places = [refusal.message.index(word) for word in ("Only coord", "You may not", "themselves", "future")]
    assert sorted(places) == places
    assert [] == await written(store)


@pytest.mark.parametrize("error", [OSError("gone"), RegistrationRejected("no", "No."), ValueError("x")])
async def test_a_scope_that_cannot_be_asked_is_neither_denied_nor_allowed(make, store, error):
    """
    Whatever the policy raises: the call was not executed, and it works once the policy answers.
    """
    policy = Chapter(error=error)
    service = make(access_policy=policy)

    with pytest.raises(RegistrationUnavailable):
        await service.register(registration())
    assert [] == await written(store)

    policy.error = None
    assert "batch-1:mentor-1" == (await service.register(registration())).registration_id


async def test_its_own_record_comes_before_every_check(make, store, clock):
    """
    A year later, under another role, out of scope: the redelivery gets its receipt.
    """
    first = await make().register(registration())
    clock.advance(365 * 86_400)
    demoted = attrs.evolve(COORDINATOR, roles={Role.PEER_MENTOR})

    assert first == await make(access_policy=Chapter("mentor-1")).register(registration(actor=demoted))
    assert ["mentor-1"] == await written(store)


async def test_its_own_record_comes_before_a_duplicate(service, store, clock):
    """
    An override does not turn into a duplicate of the original when it is delivered again.
    """
    original = await service.register(registration())
    again = attrs.evolve(registration(batch="batch-2"), override_of=original.activity_id)
    over = await service.register(again)

    assert over == await service.register(again)
    assert over == await service.register(attrs.evolve(again, override_of=None))


@pytest.mark.parametrize("actor", [COORDINATOR, COLLEAGUE])
async def test_the_same_mentor_type_and_day_is_a_duplicate(service, store, actor):
    """
    Whoever registered the first; the error names its record.
    """
    first = await service.register(registration())

    with pytest.raises(DuplicateActivityError) as caught:
        await service.register(registration(batch="batch-2", actor=actor))

    assert first.activity_id == caught.value.existing_activity_id
    assert [] == await written(store, "batch-2")


@pytest.mark.parametrize(
    "other",
    [
        registration("mentor-2", batch="batch-2"),
        registration(day=TODAY - timedelta(days=1), batch="batch-2"),
        registration(kind="call", batch="batch-2"),
        registration(batch="batch-2", actor=STRANGER),
    ],
    ids=["mentor", "day", "type", "organization"],
)
async def test_what_differs_is_no_duplicate(service, store, other):
    """
    Another mentor, another day, another type, another organization.
    """
    await service.register(registration())
    await service.register(other)

    assert [other.mentor_id] == await written(store, "batch-2")


async def test_ids_that_run_into_each_other_are_no_duplicates(service, store):
    """
    What a mentor and a type are called cannot make two of them look alike.
    """
    await service.register(registration("a:b", kind="c"))
    await service.register(registration("a", kind="b:c"))

    assert ["a", "a:b"] == await written(store)


async def test_a_void_record_is_in_nobodys_way(service, store, clock):
    """
    What was voided can be registered again, and the void one stays as it is.
    """
    first = await service.register(registration())
    await store.void_activity(first.activity_id, voided_at=clock.now())

    second = await service.register(registration(batch="batch-2"))

    assert first.activity_id != second.activity_id
    assert first == await service.register(registration())


async def test_what_registers_the_same_is_the_hosts_to_say(make):
    """
    Here a mentor has one activity a day, of whatever type, and calls never count.
    """

    def one_a_day(asked):
        return None if asked.activity.activity_type == "call" else asked.mentor_id

    service = make(duplicate_rule=one_a_day)
    await service.register(registration(kind="visit"))

    with pytest.raises(DuplicateActivityError):
        await service.register(registration(kind="walk", batch="batch-2"))
    for batch in ("batch-3", "batch-4"):
        assert (
            f"{batch}:mentor-1"
            == (await service.register(registration(kind="call", batch=batch))).registration_id
        )


async def test_an_override_is_written_and_says_what_it_overrides(service, store):
    """
    The existing record stays, and the new one names it.
    """
    first = await service.register(registration())
    over = attrs.evolve(registration(batch="batch-2"), override_of=first.activity_id)

    receipt = await service.register(over)

    (record,) = await store.activities_of_batch("batch-2")
    assert receipt.activity_id == record.activity_id != first.activity_id
    assert first.activity_id == record.registration.override_of


async def test_an_override_needs_a_permission_of_its_own(make, store):
    """
    Who may register may not by that register over a record.
    """
    service = make(access_policy=WithoutOverrides())
    first = await service.register(registration())

    over = attrs.evolve(registration(batch="batch-2"), override_of=first.activity_id)

    assert "not_a_coordinator" == (await refusal_of(service, over)).code
    assert [] == await written(store, "batch-2")


async def test_of_two_at_once_one_is_registered_and_one_is_a_duplicate(service, store):
    """
    The store decides, in the transaction that writes.
    """
    answers = []

    async def call(asked):
        try:
            answers.append(await service.register(asked))
        except DuplicateActivityError as error:
            answers.append(error)

    async with anyio.create_task_group() as crew:
        crew.start_soon(call, registration(batch="batch-1"))
        crew.start_soon(call, registration(batch="batch-2", actor=COLLEAGUE))

    (receipt,) = (answer for answer in answers if isinstance(answer, RegistrationReceipt))
    (refused,) = (answer for answer in answers if isinstance(answer, DuplicateActivityError))
    assert receipt.activity_id == refused.existing_activity_id
    assert ["mentor-1"] == await written(store, "batch-1") + await written(store, "batch-2")


async def test_a_record_that_the_store_refuses_is_a_definite_refusal(make, store, monkeypatch):
    """
    The reason is the store's, in words for people.
    """

    async def refuse(_records, /, *, atomic):
        raise RecordRefusedError

    service = make()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "add_activities", staticmethod(refuse))
        refusal = await refusal_of(service, registration())

    assert ("record_refused", str(RecordRefusedError())) == (refusal.code, refusal.message)
    assert [] == await written(store)


@pytest.mark.parametrize(
    ("nothing_written", "raised"), [(True, RegistrationUnavailable), (False, OutcomeUnknownError)]
)
async def test_a_store_that_fails_while_it_writes_says_whether_it_may_have(
    make, store, monkeypatch, nothing_written, raised
):
    """
    Where nothing was written the call is worth another attempt, else it is in doubt.
    """

    async def fail(_records, /, *, atomic):
        reason = "Away."
        raise RepositoryUnavailableError(
            reason, advice="Wait.", nothing_written=nothing_written, retry_after=2.0
        )

    service = make()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "add_activities", staticmethod(fail))
        with pytest.raises(raised) as error:
            await service.register(registration())

    assert (2.0 if nothing_written else None) == getattr(error.value, "retry_after", None)


def test_an_audit_logger_gets_some_time():
    """
    None at all, or less, is a mistake.
    """
    with pytest.raises(ValueError, match="audit_timeout"):
        StandardRegistrationService(repository=MemoryActivityRepository(), audit_timeout=0)

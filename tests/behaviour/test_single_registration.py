import asyncio
import importlib.util
import logging
from datetime import date, timedelta

import anyio
import attrs
import pytest
from waits import LONGEST_WAIT

from proxy_orchestration import (
    Actor,
    CoordinatorAccess,
    IdempotencyKeyReusedError,
    NotAuthorizedError,
    ProxyActivity,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.access import Action
from proxy_orchestration.audit import RegistrationAuditEvent
from proxy_orchestration.ports import RecordRefusedError
from proxy_orchestration.registration.standard.single import (
    ActivityRegistered,
    DuplicateWarning,
    RegistrationRefused,
    single_registration_id,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    FakeClock,
    FaultyActivityRepository,
    RecordingAuditLogger,
    fail,
    fail_at,
    hang,
    slow,
)

TODAY = date(2026, 1, 1)
COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
COLLEAGUE = attrs.evolve(COORDINATOR, user_id="coord-2")
VISIT = ProxyActivity(
    activity_type="visit",
    activity_date=TODAY,
    duration_minutes=45,
    notes="Canary Testperson was sad",
    details={"phone": "canary 555-0100"},
)
CUT = RepositoryUnavailableError("Cut.", advice="Wait.")

needs_sql = pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None, reason="the extra sql is not installed"
)


class Chapter(CoordinatorAccess):
    """
    A policy that counts its questions, knows whom it leaves out, and may be struck.
    """

    def __init__(self, *beyond, error=None, overrides=True):
        self.beyond = beyond
        self.error = error
        self.overrides = overrides
        self.questions = 0

    def allows(self, actor, action, /):
        """
        Allow what the roles allow, and overrides if it has any.
        """
        return (self.overrides or action is not Action.OVERRIDE) and super().allows(actor, action)

    async def out_of_scope(self, actor, mentor_ids, /):
        """
        Return those beyond, or be struck.
        """
        self.questions += 1
        if self.error is not None:
            raise self.error
        return [mentor_id for mentor_id in mentor_ids if mentor_id in self.beyond]


class Untouched:
    """
    A store that complains when anybody comes near it.
    """

    def __getattr__(self, name):
        async def asked(*_args, **_kwargs):
            pytest.fail(f"the store was asked: {name}")

        return asked


@pytest.fixture
def clock():
    """
    Return a clock that stands still on the first day of the year.
    """
    return FakeClock()


@pytest.fixture
def audit(clock):
    """
    Return the audit logger.
    """
    return RecordingAuditLogger(clock=clock)


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
def make(store, clock, audit):
    """
    Return what makes the standard service over the store, changed in these fields.
    """
    return lambda **changes: StandardRegistrationService(
        **({"repository": store, "clock": clock, "audit_logger": audit} | changes)
    )


@pytest.fixture
def service(make):
    """
    Return the standard service as it comes.
    """
    return make()


async def register(service, key="form-1", *, mentor="mentor-1", activity=VISIT, actor=COORDINATOR):
    """
    Register as the form with that key does.
    """
    return await service.register_proxy_activity(mentor, activity, actor=actor, idempotency_key=key)


async def records_of(store, *keys, actor=COORDINATOR):
    """
    Return the records that the forms with these keys wrote.
    """
    return [
        record
        for key in keys
        for record in await store.activities_of_batch(single_registration_id(actor, key))
    ]


def codes(result):
    """
    Return why it was refused.
    """
    assert isinstance(result, RegistrationRefused)
    return [reason.code for reason in result.reasons]


async def test_an_activity_is_registered_for_a_mentor(service, store, clock):
    """
    The result names the record, which is attributed to the actor.
    """
    result = await register(service)

    (record,) = await records_of(store, "form-1")
    assert result == ActivityRegistered(
        activity_id=record.activity_id, mentor_id="mentor-1", recorded_at=clock.now()
    )
    assert (COORDINATOR, "mentor-1", VISIT, None) == (
        record.registration.registered_by,
        record.registration.mentor_id,
        record.registration.activity,
        record.registration.override_of,
    )


async def test_a_form_sent_twice_is_one_record_and_one_audit_event(service, store, clock, audit):
    """
    The second answer is the first, with its moment, and says so even a year later.
    """
    first = await register(service)
    clock.advance(365 * 86_400)

    assert first == await register(service)
    assert 1 == len(await records_of(store, "form-1"))
    assert 1 == len(audit.registrations)


async def test_a_form_sent_twice_at_once_is_one_record(service, store):
    """
    Both answers are the same.
    """
    answers = []

    async def send():
        answers.append(await register(service))

    async with anyio.create_task_group() as crew:
        crew.start_soon(send)
        crew.start_soon(send)

    (record,) = await records_of(store, "form-1")
    assert [record.activity_id] * 2 == [answer.activity_id for answer in answers]


@pytest.mark.parametrize(
    "change", [{"mentor": "mentor-2"}, {"activity": attrs.evolve(VISIT, duration_minutes=46)}]
)
async def test_a_key_with_other_content_is_refused(service, store, audit, change):
    """
    The key stands for what it came with first.
    """
    await register(service)

    with pytest.raises(IdempotencyKeyReusedError):
        await register(service, **change)

    assert ["mentor-1"] == [r.registration.mentor_id for r in await records_of(store, "form-1")]
    assert 1 == len(audit.registrations)


async def test_a_key_with_other_content_is_refused_when_both_come_at_once(store, make):
    """
    Neither form found the other's record when it looked; the one that lost is told so.
    """

    class Blind(FaultyActivityRepository):
        """
        A store that sees no record before it writes.
        """

        async def find_activities(self, registration_ids, /):
            """
            See nothing.
            """
            return []

    service = make(repository=Blind(store))
    await register(service)

    with pytest.raises(IdempotencyKeyReusedError):
        await register(service, mentor="mentor-2")
    assert 1 == len(await records_of(store, "form-1"))


async def test_a_key_belongs_to_one_coordinator_of_one_organization(service, store):
    """
    Another's form with the same key is another form.
    """
    stranger = attrs.evolve(COORDINATOR, organization_id="bergen")
    answers = [
        await register(service),
        await register(service, mentor="mentor-2", actor=COLLEAGUE),
        await register(service, actor=stranger),
    ]

    assert 3 == len({answer.activity_id for answer in answers})


@pytest.mark.parametrize("actor", [COORDINATOR, COLLEAGUE])
async def test_a_duplicate_is_a_warning_that_can_be_handed_back(service, store, audit, actor):
    """
    It has all that was asked for and the existing record; nothing was written.
    """
    first = await register(service)

    warning = await register(service, "form-2", actor=actor)

    assert warning == DuplicateWarning(
        existing_activity_id=first.activity_id,
        mentor_id="mentor-1",
        activity=VISIT,
        idempotency_key="form-2",
    )
    assert [] == await records_of(store, "form-2", actor=actor)
    assert 1 == len(audit.registrations)


async def test_everything_that_speaks_against_it_is_said_at_once(make, store, audit):
    """
    Scope, attribution and date are reasons of one result.
    """
    service = make(access_policy=Chapter("coord-1"))
    tomorrow = attrs.evolve(VISIT, activity_date=TODAY + timedelta(days=1))

    result = await register(service, mentor="coord-1", activity=tomorrow)

    assert ["out_of_scope", "self_attribution", "date_in_future"] == codes(result)
    assert not any(reason.retryable for reason in result.reasons)
    assert [] == await records_of(store, "form-1")
    assert [] == audit.registrations


@pytest.mark.parametrize(("days", "code"), [(1, "date_in_future"), (-91, "date_too_old")])
async def test_a_day_beyond_the_rules_is_refused(service, days, code):
    """
    As in a batch.
    """
    result = await register(service, activity=attrs.evolve(VISIT, activity_date=TODAY + timedelta(days=days)))

    assert [code] == codes(result)


async def test_a_refused_form_can_be_fixed_under_its_key(service):
    """
    Nothing was written, so the key still is free.
    """
    await register(service, activity=attrs.evolve(VISIT, activity_date=TODAY + timedelta(days=1)))

    assert isinstance(await register(service), ActivityRegistered)


async def test_a_record_that_the_store_refuses_is_a_refusal(make, store, monkeypatch, audit):
    """
    The reason is the store's, in words for people.
    """

    async def refuse(_records, /, *, atomic):
        raise RecordRefusedError

    service = make()
    monkeypatch.setattr(type(store), "add_activities", staticmethod(refuse))

    result = await register(service)

    assert ["record_refused"] == codes(result)
    assert str(RecordRefusedError()) == result.reasons[0].message
    assert [] == audit.registrations


@pytest.mark.parametrize("role", [Role.PEER_MENTOR, Role.CHAPTER_ADMIN, Role.SERVICE])
@pytest.mark.parametrize("verb", ["register", "confirm"])
async def test_who_may_not_register_is_refused_before_anything_is_asked(clock, audit, role, verb):
    """
    Neither store nor scope nor audit logger hears of it.
    """
    policy = Chapter()
    service = StandardRegistrationService(
        repository=Untouched(), clock=clock, access_policy=policy, audit_logger=audit
    )
    actor = attrs.evolve(COORDINATOR, roles={role})
    warning = DuplicateWarning(
        existing_activity_id="activity-1", mentor_id="mentor-1", activity=VISIT, idempotency_key="form-1"
    )
    calls = {
        "register": lambda: register(service, actor=actor),
        "confirm": lambda: service.confirm_despite_duplicate(warning, actor=actor),
    }

    with pytest.raises(NotAuthorizedError, match="submit registrations"):
        await calls[verb]()

    assert (0, []) == (policy.questions, audit.registrations)


async def test_who_may_register_may_not_by_that_confirm(make, store):
    """
    Registering over a record is a permission of its own.
    """
    service = make(access_policy=Chapter(overrides=False))
    await register(service)
    warning = await register(service, "form-2")

    with pytest.raises(NotAuthorizedError, match="over an existing record"):
        await service.confirm_despite_duplicate(warning, actor=COORDINATOR)

    assert [] == await records_of(store, "form-2")


async def test_a_confirmed_warning_is_registered_and_names_what_it_overrides(service, store):
    """
    The existing record stays.
    """
    first = await register(service)
    warning = await register(service, "form-2")

    result = await service.confirm_despite_duplicate(warning, actor=COORDINATOR)

    original, over = await records_of(store, "form-1", "form-2")
    assert (first.activity_id, None) == (original.activity_id, original.registration.override_of)
    assert (result.activity_id, first.activity_id) == (over.activity_id, over.registration.override_of)


async def test_a_warning_confirmed_twice_is_one_record(service, store, audit):
    """
    The second answer is the first; so is that of the form sent once more.
    """
    await register(service)
    warning = await register(service, "form-2")
    first = await service.confirm_despite_duplicate(warning, actor=COORDINATOR)

    assert first == await service.confirm_despite_duplicate(warning, actor=COORDINATOR)
    assert first == await register(service, "form-2")
    assert 1 == len(await records_of(store, "form-2"))
    assert 2 == len(audit.registrations)


async def test_a_warning_whose_record_is_gone_registers_as_usual(service, store, clock):
    """
    There is nothing to override, and the record says so.
    """
    first = await register(service)
    warning = await register(service, "form-2")
    await store.void_activity(first.activity_id, voided_at=clock.now())

    result = await service.confirm_despite_duplicate(warning, actor=COORDINATOR)

    (record,) = await records_of(store, "form-2")
    assert result.activity_id == record.activity_id
    assert record.registration.override_of is None


async def test_a_warning_about_another_record_than_the_conflicting_one_warns_again(service, store, clock):
    """
    Nobody confirmed that one; the new warning can be confirmed.
    """
    first = await register(service)
    warning = await register(service, "form-2")
    await store.void_activity(first.activity_id, voided_at=clock.now())
    other = await register(service, "form-3", actor=COLLEAGUE)

    again = await service.confirm_despite_duplicate(warning, actor=COORDINATOR)

    assert attrs.evolve(warning, existing_activity_id=other.activity_id) == again
    assert [] == await records_of(store, "form-2")
    await service.confirm_despite_duplicate(again, actor=COORDINATOR)
    (record,) = await records_of(store, "form-2")
    assert other.activity_id == record.registration.override_of


async def test_a_confirmation_is_checked_like_any_other(make, store):
    """
    Who left the scope meanwhile is not registered by confirming.
    """
    await register(make())
    warning = await register(make(), "form-2")

    result = await make(access_policy=Chapter("mentor-1")).confirm_despite_duplicate(
        warning, actor=COORDINATOR
    )

    assert ["out_of_scope"] == codes(result)
    assert [] == await records_of(store, "form-2")


async def test_the_audit_logger_is_told_once_and_only_ids(service, audit, clock):
    """
    Neither notes nor details are in the event.
    """
    result = await register(service)

    name = single_registration_id(COORDINATOR, "form-1")
    assert [
        RegistrationAuditEvent(
            event_id=f"{name}:registered",
            activity_id=result.activity_id,
            mentor_id="mentor-1",
            actor_id="coord-1",
            organization_id="oslo",
            activity_type="visit",
            override_of=None,
            recorded_at=clock.now(),
        )
    ] == audit.registrations
    assert "canary" not in repr(audit.registrations).lower()


async def test_the_audit_logger_is_told_what_was_overridden(service, audit):
    """
    Who, when and which record.
    """
    first = await register(service)
    warning = await register(service, "form-2", actor=COLLEAGUE)
    await service.confirm_despite_duplicate(warning, actor=COLLEAGUE)

    assert [("coord-1", None), ("coord-2", first.activity_id)] == [
        (event.actor_id, event.override_of) for event in audit.registrations
    ]


async def test_the_usual_audit_logger_writes_a_line_without_personal_data(store, clock, caplog):
    """
    Ids and codes only, in the message and beside it.
    """
    caplog.set_level(logging.INFO)
    result = await register(StandardRegistrationService(repository=store, clock=clock))

    (line,) = (line for line in caplog.records if line.name == "proxy_orchestration.audit")
    assert f"activity {result.activity_id} was registered" == line.getMessage()
    assert "coord-1" == line.actor_id
    fields = {name: value for name, value in vars(line).items() if name != "pathname"}
    assert "canary" not in str(fields).lower()


@pytest.mark.parametrize("error", [OSError("disk full of canaries"), TimeoutError(), ValueError("x")])
async def test_an_audit_logger_that_raises_harms_nothing(service, store, audit, caplog, error):
    """
    The activity is registered, and the trouble is logged without what the error said.
    """
    audit.registration_script = lambda _event, _attempt: fail(error)

    result = await register(service)

    assert isinstance(result, ActivityRegistered)
    assert 1 == len(await records_of(store, "form-1"))
    assert f"did not take event {single_registration_id(COORDINATOR, 'form-1')}:registered" in caplog.text
    assert type(error).__name__ in caplog.text
    assert "canar" not in caplog.text


async def test_an_audit_logger_that_hangs_harms_nothing(make, store, clock, audit, caplog):
    """
    It has `audit_timeout` seconds, and the answer comes then.
    """
    audit.registration_script = lambda _event, _attempt: hang()
    answers = []

    async def send():
        answers.append(await register(make(audit_timeout=2.5)))

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as crew:
            crew.start_soon(send)
            await clock.wait_for_sleepers()
            assert 2.5 == clock.next_alarm
            clock.advance(2.5)

    assert isinstance(answers[0], ActivityRegistered)
    assert "no answer in time" in caplog.text
    assert 1 == len(await records_of(store, "form-1"))


async def test_an_audit_logger_that_is_slow_is_waited_for(make, clock, audit, caplog):
    """
    Within its time it takes the event.
    """
    audit.registration_script = lambda _event, _attempt: slow(1.0)
    async with anyio.create_task_group() as crew:
        crew.start_soon(register, make())
        await clock.wait_for_sleepers(2)
        clock.advance(1.0)

    assert 1 == len(audit.registrations)
    assert "" == caplog.text


async def test_a_caller_who_leaves_while_the_logger_hangs_is_let_go(make, store, clock, audit, caplog):
    """
    Cancelling is no failure of the logger; the activity is registered already.
    """
    audit.registration_script = lambda _event, _attempt: hang()
    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as crew:
            crew.start_soon(register, make())
            await clock.wait_for_sleepers()
            crew.cancel_scope.cancel()

    assert 1 == len(await records_of(store, "form-1"))
    assert "did not take" not in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio lets nobody make its cancellation
async def test_an_audit_logger_that_cancels_itself_harms_nothing(service, audit, caplog):
    """
    Whatever it raises is logged.
    """
    audit.registration_script = lambda _event, _attempt: fail(asyncio.CancelledError())

    assert isinstance(await register(service), ActivityRegistered)
    assert "CancelledError" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=["interrupt", "exit"])
async def test_whoever_ends_the_process_in_the_logger_ends_it(make, clock, error):
    """
    That is not the logger's failure to hide.
    """
    audit = RecordingAuditLogger(registration_script=lambda _event, _attempt: fail(error))

    with pytest.raises(type(error)):
        await register(make(audit_logger=audit))


@pytest.mark.parametrize(("place", "kept"), [("before", 0), ("after", 1)])
async def test_a_store_that_fails_while_it_writes_is_repeated_with_the_same_key(
    make, store, audit, place, kept
):
    """
    Whether the record was stored or not: the repeated form finds it or writes it.
    """
    service = make(repository=FaultyActivityRepository(store, **{place: fail_at(1, CUT)}))

    with pytest.raises(RepositoryUnavailableError):
        await register(service)
    assert kept == len(await records_of(store, "form-1"))

    assert isinstance(await register(service), ActivityRegistered)
    assert 1 == len(await records_of(store, "form-1"))


async def test_a_store_that_cannot_be_read_is_no_answer(make, store, monkeypatch):
    """
    Its error leaves as it is, and nothing was written.
    """

    async def broken(_registration_ids, /):
        raise CUT

    service = make()
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "find_activities", staticmethod(broken))
        with pytest.raises(RepositoryUnavailableError):
            await register(service)

    assert [] == await records_of(store, "form-1")


async def test_a_scope_that_cannot_be_asked_is_neither_denied_nor_allowed(make, store):
    """
    Nothing was written, and the same form works once the policy answers.
    """
    policy = Chapter(error=OSError("gone"))
    service = make(access_policy=policy)

    with pytest.raises(RegistrationUnavailable):
        await register(service)
    assert [] == await records_of(store, "form-1")

    policy.error = None
    assert isinstance(await register(service), ActivityRegistered)


@pytest.mark.parametrize("mentor", ["", None])
async def test_a_form_without_a_mentor_is_a_mistake(service, store, mentor):
    """
    It is refused before anything is asked.
    """
    with pytest.raises((ValueError, TypeError)):
        await register(service, mentor=mentor)


@pytest.mark.parametrize("key", ["", " ", "\0", "x" * 201], ids=["empty", "blank", "unprintable", "too long"])
async def test_a_key_that_is_none_is_refused_before_anything_is_written(service, store, key):
    """
    By the rules of a batch's key; all forms of a coordinator would share one record otherwise.
    """
    with pytest.raises(ValueError, match="idempotency_key"):
        await service.register_proxy_activity("mentor-1", VISIT, actor=COORDINATOR, idempotency_key=key)

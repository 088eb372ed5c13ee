from datetime import date

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BatchNotFoundError,
    BatchTooLargeError,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ConflictPolicy,
    CoordinatorAccess,
    DuplicateSelectionError,
    EmptySelectionError,
    IdempotencyKeyReusedError,
    ItemState,
    NotAuthorizedError,
    ProxyActivity,
    RegistrationEntry,
    RepositoryUnavailableError,
    Role,
    SubmissionMode,
)
from proxy_orchestration.ports import Action
from proxy_orchestration.registration.reasons import UNEXPECTED
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    CheckingBulkRegistrationService,
    FaultyActivityRepository,
    ScriptedRegistrationService,
    duplicate,
    fail,
    fail_at,
    lose_reply,
    reject,
    slow,
    succeed,
)


async def test_all_mentors_succeed_and_stand_in_request_order(scene):
    """
    Ten of ten is a success, one record each, in the order asked.
    """
    result = await scene.orchestrator().submit_bulk_registration(scene.request(10), actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert [f"mentor-{number}" for number in range(10)] == [o.mentor_id for o in result.outcomes]
    assert {ItemState.SUCCEEDED: 10} == dict(result.counts)
    assert 10 == len(scene.service.records)
    assert all(o.activity_id and o.failure is None for o in result.succeeded)


async def test_a_failure_leaves_every_other_mentor_alone(scene):
    """
    Three of ten fail, each with its own reason; seven records stand.
    """
    refused = {"mentor-2", "mentor-5", "mentor-9"}
    scene.service.script = lambda registration, _: (
        reject("too_old", f"{registration.mentor_id} is late.")
        if registration.mentor_id in refused
        else succeed()
    )

    result = await scene.orchestrator().submit_bulk_registration(scene.request(10), actor=scene.actor)

    assert BulkStatus.PARTIAL_SUCCESS is result.status
    assert refused == {outcome.mentor_id for outcome in result.failed}
    assert {f"{name} is late." for name in refused} == {o.failure.message for o in result.failed}
    assert {("too_old", False)} == {(o.failure.code, o.failure.retryable) for o in result.failed}
    assert 7 == len(scene.service.records)


async def test_all_failing_is_a_total_failure(scene):
    """
    Nothing succeeded: total failure, and still one audit event.
    """
    scene.service.script = lambda *_: reject()

    result = await scene.orchestrator().submit_bulk_registration(scene.request(4), actor=scene.actor)

    assert BulkStatus.TOTAL_FAILURE is result.status
    assert 1 == len(scene.audit.events)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("y"), ExceptionGroup("z", [OSError(), ValueError("x")])]
)
async def test_whatever_a_service_raises_becomes_an_outcome_without_its_text(scene, error):
    """
    A sentence for people is told. The text is not, since it may hold personal data, nor is the type.
    """
    scene.service.script = lambda *_: fail(error)

    result = await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert ("unexpected", UNEXPECTED.message, True) == (
        result.outcomes[0].failure.code,
        result.outcomes[0].failure.message,
        result.outcomes[0].failure.retryable,
    )


async def test_an_existing_record_waits_for_a_decision(scene):
    """
    A duplicate is neither a failure nor a success; the existing record is named.
    """
    scene.service.script = lambda *_: duplicate("activity-99")

    result = await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)

    assert BulkStatus.NEEDS_REVIEW is result.status
    assert ["activity-99"] == [outcome.conflicting_activity_id for outcome in result.needs_review]


async def test_an_empty_selection_stores_and_calls_nothing(scene):
    """
    No mentor, no batch.
    """
    orchestrator = scene.orchestrator()

    with pytest.raises(EmptySelectionError):
        await orchestrator.submit_bulk_registration(scene.request(0), actor=scene.actor)

    assert [] == scene.service.calls
    assert 0 == (await orchestrator.list_batches(actor=scene.actor)).total


async def test_a_mentor_twice_is_named(scene):
    """
    The error names each doubled mentor once.
    """
    with pytest.raises(DuplicateSelectionError, match="b") as caught:
        await scene.orchestrator().submit_bulk_registration(
            scene.request(["a", "b", "c", "b"]), actor=scene.actor
        )

    assert ("b",) == caught.value.mentor_ids
    assert [] == scene.service.calls


async def test_too_many_mentors_are_refused(scene):
    """
    The limit is the host's, and the error tells it.
    """
    scene.settings = BulkSettings(max_batch_size=2)

    with pytest.raises(BatchTooLargeError) as caught:
        await scene.orchestrator().submit_bulk_registration(scene.request(3), actor=scene.actor)

    assert (3, 2) == (caught.value.size, caught.value.limit)


async def test_every_mentor_may_have_an_activity_of_its_own(scene):
    """
    Entries carry their own activities to the service.
    """
    entries = [
        RegistrationEntry(
            f"mentor-{day}",
            ProxyActivity(activity_type="visit", activity_date=date(2025, 12, day), duration_minutes=day),
        )
        for day in (1, 2, 3)
    ]

    await scene.orchestrator().submit_bulk_registration(
        BulkRegistrationRequest(entries=entries), actor=scene.actor
    )

    assert {1, 2, 3} == {call.activity.duration_minutes for call in scene.service.calls}
    assert {scene.actor} == {call.registered_by for call in scene.service.calls}


async def test_acceptance_without_driving_calls_nothing(scene):
    """
    `drive=False` stores the batch and returns it pending; any process drives it.
    """
    accepted = await scene.orchestrator().submit_bulk_registration(
        scene.request(3), actor=scene.actor, drive=False
    )
    assert (BulkStatus.PENDING, {ItemState.PENDING: 3}) == (accepted.status, dict(accepted.counts))
    assert [] == scene.service.calls

    driven = await scene.orchestrator().resume_interrupted()

    assert [accepted.batch_id] == list(driven)
    assert 3 == len(scene.service.records)


async def test_the_same_request_twice_is_one_batch(scene):
    """
    A redelivered submission returns the batch as it is and calls nothing again.
    """
    first = await scene.orchestrator().submit_bulk_registration(scene.request(3, "key"), actor=scene.actor)
    second = await scene.orchestrator().submit_bulk_registration(scene.request(3, "key"), actor=scene.actor)

    assert first == second
    assert 3 == len(scene.service.calls)


async def test_two_submissions_at_once_under_one_key_join(scene):
    """
    Whoever comes second waits for the first one's driver and sees its result.
    """
    results = []

    async def submit() -> None:
        results.append(
            await scene.orchestrator().submit_bulk_registration(scene.request(8, "key"), actor=scene.actor)
        )

    async def both() -> None:
        async with anyio.create_task_group() as crew:
            crew.start_soon(submit)
            crew.start_soon(submit)

    await scene.while_time_passes(both)

    assert results[0] == results[1]
    assert 8 == len(scene.service.calls)
    assert 1 == len(scene.audit.events)


async def test_a_key_with_other_content_is_refused(scene):
    """
    The key belongs to what it came with first.
    """
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(3, "key"), actor=scene.actor)

    with pytest.raises(IdempotencyKeyReusedError) as caught:
        await orchestrator.submit_bulk_registration(scene.request(4, "key"), actor=scene.actor)

    assert (first.batch_id, False) == (caught.value.batch_id, caught.value.deleted)


async def test_a_redelivery_drives_a_batch_that_nobody_finished(scene):
    """
    At-least-once delivery is resumption: the second submission finishes the first.
    """
    event = anyio.Event()
    scene.service.script = lambda *_: slow(event)
    request = scene.request(3, "key")
    await scene.interrupt(lambda: scene.orchestrator().submit_bulk_registration(request, actor=scene.actor))
    scene.service.script = lambda *_: succeed()

    result = await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status
    assert 3 == len(scene.service.records)


async def test_calls_in_flight_never_exceed_the_cap(scene):
    """
    With slow calls the cap is reached, and never passed.
    """
    scene.settings = BulkSettings(max_concurrency=4)
    scene.service.script = lambda *_: slow(0.1)

    await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(20), actor=scene.actor)
    )

    assert 4 == scene.service.most_in_flight


async def test_calls_in_flight_never_exceed_the_cap_over_all_batches(scene):
    """
    Five batches of four calls each share three places.
    """
    scene.settings = BulkSettings(max_concurrency=4, max_calls_in_flight=3)
    scene.service.script = lambda *_: slow(0.1)
    orchestrator = scene.orchestrator()

    async def submit_five() -> None:
        async with anyio.create_task_group() as crew:
            for number in range(5):
                request = scene.request([f"{number}-{item}" for item in range(6)])
                crew.start_soon(
                    lambda r: orchestrator.submit_bulk_registration(r, actor=scene.actor), request
                )

    await scene.while_time_passes(submit_five)

    assert 3 == scene.service.most_in_flight
    assert 30 == len(scene.service.records)


async def test_claimed_and_not_durable_stays_within_the_window(scene):
    """
    With a store that takes its time, the driver claims no more than it may lose.
    """
    scene.settings = BulkSettings(max_concurrency=3, max_undurable=7)
    claimed = []
    commit = scene.repository.commit
    open_items = 0

    async def counting(lease, write):
        nonlocal open_items
        committed = await commit(lease, write)
        open_items += len(committed.claimed) - len(write.outcomes)
        claimed.append(open_items)
        return committed

    scene.repository.commit = counting
    scene.service.script = lambda r, _: lose_reply(RuntimeError()) if r.mentor_id.endswith("3") else succeed()

    await scene.orchestrator().submit_bulk_registration(scene.request(100), actor=scene.actor)

    assert 10 == max(claimed)


@pytest.mark.parametrize("write", range(1, 4))
@pytest.mark.parametrize("verb", ["submit_bulk_registration", "stream_bulk_registration"])
async def test_an_error_while_submitting_names_the_batch_and_its_key(scene, write, verb):
    """
    The caller knows what to resume, whichever write failed.
    """
    gone = RepositoryUnavailableError("The disk is full.", advice="Free space.")
    sound = scene.repository
    scene.repository = FaultyActivityRepository(sound, after=fail_at(write, gone))
    submission = getattr(scene.orchestrator(), verb)(scene.request(3, "night"), actor=scene.actor)

    async def iterate():
        async with submission as run:
            async for _ in run:
                pass

    with pytest.raises(RepositoryUnavailableError) as caught:
        await (submission if verb == "submit_bulk_registration" else iterate())

    error = caught.value
    assert "night" == error.idempotency_key
    record = await sound.get(error.batch_id)
    assert 3 == record.total


async def test_an_error_of_the_hosts_own_store_names_the_batch_too(scene):
    """
    By a note for people, and by attributes for programs.
    """

    class OwnError(Exception):
        pass

    class SlottedError(ValueError):
        __slots__ = ()

        @property
        def batch_id(self):
            return None

    for error in (OwnError(), SlottedError()):

        class Failing(MemoryActivityRepository):
            async def acquire(self, *_args, **_rest):
                raise error  # noqa: B023 - raised within this turn

        scene.repository = Failing(scene.clock)
        with pytest.raises(type(error)) as caught:
            await scene.orchestrator().submit_bulk_registration(
                scene.request(3, f"key of {error!r}"), actor=scene.actor
            )
        page = await scene.orchestrator().list_batches(actor=scene.actor)
        (batch,) = page.batches
        assert batch.batch_id in caught.value.__notes__[0]
        assert batch.batch_id == getattr(error, "batch_id", None) or isinstance(error, SlottedError)


async def test_an_error_that_is_about_another_batch_keeps_that(scene):
    """
    The key that was used before belongs to the batch that is there.
    """
    orchestrator = scene.orchestrator()
    there = await orchestrator.submit_bulk_registration(scene.request(2, "key"), actor=scene.actor)

    with pytest.raises(IdempotencyKeyReusedError) as caught:
        await orchestrator.submit_bulk_registration(scene.request(3, "key"), actor=scene.actor)

    assert (there.batch_id, "key") == (caught.value.batch_id, caught.value.idempotency_key)


class _MayNothingMore(CoordinatorAccess):
    """
    Submitting is allowed; everything that a rule may ask beside it is not, any more.
    """

    def allows(self, actor, action, /):
        return action in {Action.SUBMIT, Action.READ}

    async def out_of_scope(self, actor, mentor_ids, /):
        msg = "nobody asks for a scope"
        raise AssertionError(msg)


@pytest.mark.parametrize("mode", list(SubmissionMode))
async def test_a_request_that_is_repeated_under_its_key_is_the_batch_as_it_is(scene, mode):
    """
    Rules that changed since then are not asked: no limit, no scope, no conflict, no right to override.
    """
    scene.service = CheckingBulkRegistrationService(clock=scene.clock)
    request = attrs.evolve(scene.request(4, key="k"), on_conflict=ConflictPolicy.OVERRIDE, mode=mode)
    first = await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    scene.settings = BulkSettings(max_batch_size=1)
    scene.access = _MayNothingMore()
    scene.service = ScriptedRegistrationService(clock=scene.clock)

    again = await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    async with scene.orchestrator().stream_bulk_registration(request, actor=scene.actor) as run:
        pass

    assert first == again == run.result
    assert [] == scene.service.calls


async def test_a_key_with_other_content_is_told_before_any_rule(scene):
    """
    The key is what is wrong with the request, not what has become of the limits.
    """
    await scene.orchestrator().submit_bulk_registration(scene.request(1, key="k"), actor=scene.actor)
    scene.settings = BulkSettings(max_batch_size=1)

    with pytest.raises(IdempotencyKeyReusedError):
        await scene.orchestrator().submit_bulk_registration(scene.request(4, key="k"), actor=scene.actor)
    with pytest.raises(EmptySelectionError):
        await scene.orchestrator().submit_bulk_registration(scene.request(0, key="k"), actor=scene.actor)


async def test_a_key_tells_nothing_to_who_may_not_submit(scene):
    """
    The role is asked first, every time.
    """
    request = scene.request(1, key="k")
    await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    with pytest.raises(NotAuthorizedError):
        await scene.orchestrator().submit_bulk_registration(
            request, actor=attrs.evolve(scene.actor, roles={Role.PEER_MENTOR})
        )


async def test_a_key_whose_batch_goes_in_between_names_no_batch(scene):
    """
    Deleted between the look-up and the reading: told as a batch that is not there.
    """

    class Forgetful(MemoryActivityRepository):
        async def get(self, batch_id, /):
            return None

    scene.repository = Forgetful(scene.clock)
    request = scene.request(1, key="k")
    await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    with pytest.raises(BatchNotFoundError):
        await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

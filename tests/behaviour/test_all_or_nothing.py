"""
All or nothing: one call, one commit, one fate.
"""

import anyio
import attrs
import pytest

from proxy_orchestration import (
    AtomicModeError,
    BatchStateError,
    BulkSettings,
    BulkStatus,
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    CoordinatorAccess,
    ItemState,
    RetryPolicy,
    StandardRegistrationService,
    SubmissionMode,
)
from proxy_orchestration.ports import RegistrationFailure
from proxy_orchestration.testing import (
    BulkRegistrationService,
    CheckingBulkRegistrationService,
    ScriptedRegistrationService,
    duplicate,
    fail,
    hang,
    lose_reply,
    not_seen,
    reject,
    slow,
    succeed,
    unavailable,
)

ATOMIC = SubmissionMode.ATOMIC


@pytest.fixture
def whole(scene_with):
    """
    Return a scene whose service writes all or nothing.
    """
    return scene_with(BulkRegistrationService())


@pytest.fixture
def checking(scene_with):
    """
    Return a scene whose service also finds conflicts.
    """
    return scene_with(CheckingBulkRegistrationService())


def submit(scene, mentors=10, **rest):
    """
    Submit all or nothing while time passes.
    """
    request = attrs.evolve(scene.request(mentors, rest.pop("key", None)), mode=ATOMIC, **rest)
    return scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    )


def resolve(scene, result, decisions, **rest):
    """
    Decide while time passes.
    """
    return scene.while_time_passes(
        lambda: scene.orchestrator().resolve_conflicts(result.batch_id, decisions, actor=scene.actor, **rest)
    )


def retry(scene, result, **rest):
    """
    Retry while time passes.
    """
    return scene.while_time_passes(
        lambda: scene.orchestrator().retry_failed_items(result.batch_id, actor=scene.actor, **rest)
    )


async def test_all_of_it_is_one_call(whole):
    """
    However large, and whatever `max_per_call` says of independent pages.
    """
    whole.settings = BulkSettings(max_per_call=20, max_undurable=10)

    result = await submit(whole, 600)

    assert BulkStatus.SUCCESS is result.status
    assert [600] == [len(call) for call in whole.service.bulk_calls]


async def test_one_refused_row_leaves_no_record(whole):
    """
    The offender says why; everybody else was rolled back.
    """
    whole.service.script = lambda registration, _: (
        reject("no_agreement") if registration.mentor_id == "mentor-4" else succeed()
    )

    result = await submit(whole)

    assert BulkStatus.TOTAL_FAILURE is result.status
    assert {} == whole.service.records
    codes = {outcome.mentor_id: outcome.failure.code for outcome in result.outcomes}
    assert "no_agreement" == codes.pop("mentor-4")
    assert {"rolled_back"} == set(codes.values())


async def test_a_duplicate_in_the_middle_leaves_no_record_and_is_named(whole):
    """
    FAILED like all others, with the record in the way.
    """
    whole.service.script = lambda registration, _: (
        duplicate("activity-9") if registration.mentor_id == "mentor-4" else succeed()
    )

    result = await submit(whole)

    assert {ItemState.FAILED: 10} == dict(result.counts)
    assert ("duplicate", "activity-9") == (
        result.outcomes[4].failure.code,
        result.outcomes[4].conflicting_activity_id,
    )


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (reject("closed"), "closed"),
        (duplicate("activity-1"), "duplicate"),
        (fail(ValueError()), "unexpected"),
    ],
)
async def test_a_call_that_raises_gives_everybody_its_reason(whole, reply, code):
    """
    One fate, and every item carries its reason.
    """
    whole.service.chunk_script = lambda *_: reply

    result = await submit(whole, 3)

    assert {ItemState.FAILED: 3} == dict(result.counts)
    assert {code} == {outcome.failure.code for outcome in result.outcomes}


async def test_an_unexpected_error_under_doubt_leaves_all_unknown(whole):
    """
    The first reply was lost; the error after it says nothing about that.
    """
    whole.service.chunk_script = lambda _, call: lose_reply() if call == 1 else fail(ValueError())

    result = await submit(whole, 3)

    assert {ItemState.UNKNOWN: 3} == dict(result.counts)


async def test_a_lost_reply_is_repeated_whole_under_the_same_keys(whole):
    """
    The service answers with the records that stand.
    """
    whole.service.chunk_script = lambda _, call: lose_reply() if call == 1 else succeed()

    result = await submit(whole)

    assert BulkStatus.SUCCESS is result.status
    assert 10 == len(whole.service.records)
    assert 1 == len({tuple(row.idempotency_key for row in call) for call in whole.service.bulk_calls})


async def test_doubt_that_stays_leaves_all_unknown_and_a_retry_repeats_them_whole(whole):
    """
    In run 2 the same keys are asked about again, all of them.
    """
    whole.settings = BulkSettings(retry=RetryPolicy(max_attempts=2))
    whole.service.chunk_script = lambda _, call: lose_reply() if call <= 2 else succeed()

    result = await submit(whole)
    assert {ItemState.UNKNOWN: 10} == dict(result.counts)

    retried = await retry(whole, result)

    assert BulkStatus.SUCCESS is retried.status
    assert 10 == len(whole.service.records)
    assert 1 == len({tuple(row.idempotency_key for row in call) for call in whole.service.bulk_calls})


async def test_answers_that_are_neither_all_nor_nothing_are_no_answer(whole):
    """
    Receipts beside failures contradict the promise; it is asked again.
    """

    def garble(answers, call):
        last = answers[-1].registration_id
        no = RegistrationFailure(registration_id=last, code="no", message="No.")
        return answers if call > 1 else [*answers[:-1], no]

    whole.service.garble = garble

    result = await submit(whole, 4)

    assert BulkStatus.SUCCESS is result.status
    assert 2 == len(whole.service.bulk_calls)


async def test_a_call_that_is_not_executed_is_tried_again_and_then_fails_for_all(whole):
    """
    Nothing was written; everybody may be retried.
    """
    whole.service.chunk_script = lambda *_: unavailable()

    result = await submit(whole, 3)

    assert {"unavailable"} == {outcome.failure.code for outcome in result.failed}
    assert 3 == len(whole.service.bulk_calls)


async def test_a_part_of_it_is_not_retried(whole):
    """
    All or nothing holds for the retry as well.
    """
    whole.service.chunk_script = lambda _, call: fail(ValueError()) if call == 1 else succeed()
    result = await submit(whole, 4)

    with pytest.raises(BatchStateError, match="as a whole"):
        await retry(whole, result, mentor_ids=["mentor-1"])

    assert 1 == len(whole.service.bulk_calls)
    everybody = [outcome.mentor_id for outcome in result.outcomes]
    assert BulkStatus.SUCCESS is (await retry(whole, result, mentor_ids=everybody)).status


async def test_a_service_that_cannot_is_refused_at_submission(scene):
    """
    Nothing is stored, and the error says what to do.
    """
    request = attrs.evolve(scene.request(3), mode=ATOMIC)
    for verb in (scene.orchestrator().submit_bulk_registration, scene.orchestrator().preview):
        with pytest.raises(AtomicModeError, match="register_many"):
            await verb(request, actor=scene.actor)

    assert 0 == (await scene.orchestrator().list_batches(actor=scene.actor)).total


async def test_a_driver_whose_service_cannot_leaves_the_batch_to_another(whole):
    """
    Accepted by a process that can, met by one that cannot: nothing is called, nothing is lost.
    """
    request = attrs.evolve(whole.request(3), mode=ATOMIC)
    accepted = await whole.orchestrator().submit_bulk_registration(request, actor=whole.actor, drive=False)
    able, whole.service = whole.service, ScriptedRegistrationService()

    with pytest.raises(AtomicModeError):
        await whole.orchestrator().resume_interrupted()

    whole.service = able
    assert [accepted.batch_id] == list(
        await whole.while_time_passes(lambda: whole.orchestrator().resume_interrupted())
    )
    assert 3 == len(able.records)


async def cancel_in_flight(scene):
    """
    Cancel while the one call is in flight, and return the result.
    """
    orchestrator = scene.orchestrator()
    request = attrs.evolve(scene.request(5), mode=ATOMIC)

    async def both():
        async with anyio.create_task_group() as crew:
            crew.start_soon(lambda: orchestrator.submit_bulk_registration(request, actor=scene.actor))
            await scene.quiet()
            page = await orchestrator.list_batches(actor=scene.actor)
            batch_id = page.batches[0].batch_id
            await orchestrator.cancel_batch(batch_id, actor=scene.actor)
        return await orchestrator.get_bulk_submission_status(batch_id, actor=scene.actor)

    return await scene.while_time_passes(both)


async def test_a_cancel_lets_the_call_finish(whole):
    """
    All records exist then, and nothing is cancelled.
    """
    whole.service.chunk_script = lambda *_: slow(3.0)

    result = await cancel_in_flight(whole)

    assert {ItemState.SUCCEEDED: 5} == dict(result.counts)


async def test_a_cancel_past_the_grace_leaves_all_unknown(whole):
    """
    Cut and not known, for all of them alike.
    """
    whole.service.chunk_script = lambda *_: hang(written=True)

    result = await cancel_in_flight(whole)

    assert {ItemState.UNKNOWN: 5} == dict(result.counts)


async def test_a_cancel_before_the_call_cancels_all(whole):
    """
    Accepted and driven by nobody: all were provably never begun.
    """
    request = attrs.evolve(whole.request(5), mode=ATOMIC)
    accepted = await whole.orchestrator().submit_bulk_registration(request, actor=whole.actor, drive=False)

    await whole.while_time_passes(
        lambda: whole.orchestrator().cancel_batch(accepted.batch_id, actor=whole.actor)
    )

    result = await whole.orchestrator().get_bulk_submission_status(accepted.batch_id, actor=whole.actor)
    assert {ItemState.CANCELLED: 5} == dict(result.counts)
    assert [] == whole.service.bulk_calls


async def test_a_cancel_while_it_waits_for_a_place_among_the_calls_cancels_all(whole):
    """
    Another batch has the only place: this one's call never begins.
    """
    whole.settings = BulkSettings(max_calls_in_flight=1)
    whole.service.chunk_script = lambda registrations, _: (
        slow(100.0) if registrations[0].mentor_id == "first" else succeed()
    )
    orchestrator = whole.orchestrator()

    async def both():
        async with anyio.create_task_group() as crew:
            for names in (["first", "with"], ["second", "too"]):
                request = attrs.evolve(whole.request(names, names[0]), mode=ATOMIC)
                crew.start_soon(
                    lambda request=request: orchestrator.submit_bulk_registration(request, actor=whole.actor)
                )
                await whole.quiet()
            page = await orchestrator.list_batches(actor=whole.actor)
            batch_id = page.batches[0].batch_id
            await orchestrator.cancel_batch(batch_id, actor=whole.actor)
        return await orchestrator.get_bulk_submission_status(batch_id, actor=whole.actor)

    result = await whole.while_time_passes(both)

    assert {"second": ItemState.CANCELLED, "too": ItemState.CANCELLED} == whole.states(result.outcomes)


async def test_a_driver_that_was_killed_in_the_call_is_followed_by_one_that_repeats_it_whole(whole):
    """
    One fate also over a kill: the next driver asks for all of them again.
    """
    whole.service.chunk_script = lambda _, call: hang(written=True) if call == 1 else succeed()
    request = attrs.evolve(whole.request(5, "key"), mode=ATOMIC)
    await whole.interrupt(lambda: whole.orchestrator().submit_bulk_registration(request, actor=whole.actor))

    result = await whole.while_time_passes(
        lambda: whole.orchestrator().submit_bulk_registration(request, actor=whole.actor)
    )

    assert BulkStatus.SUCCESS is result.status
    assert 5 == len(whole.service.records)
    assert [5, 5] == [len(call) for call in whole.service.bulk_calls]


async def test_a_driver_that_takes_over_a_cancelled_batch_in_doubt_leaves_all_unknown(whole):
    """
    Killed in the call, cancelled since: what is in doubt is never called cancelled.
    """
    whole.service.chunk_script = lambda *_: hang(written=True)
    request = attrs.evolve(whole.request(5, "key"), mode=ATOMIC)
    await whole.interrupt(lambda: whole.orchestrator().submit_bulk_registration(request, actor=whole.actor))
    (batch,) = (await whole.orchestrator().list_batches(actor=whole.actor)).batches

    await whole.while_time_passes(
        lambda: whole.orchestrator().cancel_batch(batch.batch_id, actor=whole.actor)
    )

    result = await whole.orchestrator().get_bulk_submission_status(batch.batch_id, actor=whole.actor)
    assert {ItemState.UNKNOWN: 5} == dict(result.counts)
    assert 1 == len(whole.service.bulk_calls)


def conflicting(*names, kind=ConflictKind.DUPLICATE):
    """
    Return a script by which these mentors conflict.
    """
    known = None if kind is ConflictKind.CHECK_FAILED else "activity-of-{}"
    return lambda registration: (
        Conflict(
            mentor_id=registration.mentor_id,
            kind=kind,
            existing_activity_id=known and known.format(registration.mentor_id),
        )
        if registration.mentor_id in names
        else None
    )


async def test_nothing_is_written_while_a_decision_is_open(checking):
    """
    The clean ones wait with the others, and say for what.
    """
    checking.service.conflict_script = conflicting("mentor-1", "mentor-2")

    result = await submit(checking, 5)

    assert BulkStatus.NEEDS_REVIEW is result.status
    assert [] == checking.service.bulk_calls
    codes = [outcome.failure.code for outcome in result.outcomes]
    assert ["awaiting_decisions", "duplicate", "duplicate"] + ["awaiting_decisions"] * 2 == codes


async def test_decisions_of_a_part_are_refused_and_change_nothing(checking):
    """
    All decisions come at once; the error names who is left.
    """
    checking.service.conflict_script = conflicting("mentor-1", "mentor-2")
    waiting = await submit(checking, 5)

    with pytest.raises(BatchStateError, match="mentor-2"):
        await resolve(checking, waiting, {"mentor-1": ConflictDecision.SKIP})

    unchanged = await checking.orchestrator().get_bulk_submission_status(
        waiting.batch_id, actor=checking.actor
    )
    assert waiting == unchanged


async def test_with_all_decisions_the_rest_goes_in_one_call(checking):
    """
    The skipped one stays out, the overridden one names the record, the clean ones go along.
    """
    checking.service.conflict_script = conflicting("mentor-1", "mentor-2")
    waiting = await submit(checking, 5)

    result = await resolve(
        checking,
        waiting,
        {"mentor-1": ConflictDecision.SKIP, "mentor-2": ConflictDecision.OVERRIDE},
    )

    assert BulkStatus.SUCCESS is result.status
    assert {ItemState.SUCCEEDED: 4, ItemState.SKIPPED: 1} == dict(result.counts)
    ((*sent,),) = checking.service.bulk_calls
    assert {"mentor-2": "activity-of-mentor-2"} == {
        row.mentor_id: row.override_of for row in sent if row.override_of
    }


async def test_all_skipped_is_a_success_without_a_call(checking):
    """
    An approved set that became empty writes nothing, and says so.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 2)

    result = await resolve(checking, waiting, dict.fromkeys(["mentor-0", "mentor-1"], ConflictDecision.SKIP))

    assert BulkStatus.SUCCESS is result.status
    assert [] == checking.service.bulk_calls


async def test_a_conflict_that_came_up_since_makes_all_wait_again(checking):
    """
    Clean at submission, a duplicate at the decision: nobody is sent, and both need a decision.
    """
    checking.service.conflict_script = conflicting("mentor-1")
    waiting = await submit(checking, 3)
    checking.service.conflict_script = conflicting("mentor-1", "mentor-2")

    again = await resolve(checking, waiting, {"mentor-1": ConflictDecision.OVERRIDE})

    assert BulkStatus.NEEDS_REVIEW is again.status
    assert [] == checking.service.bulk_calls
    assert [None, "activity-of-mentor-1", "activity-of-mentor-2"] == [
        outcome.conflicting_activity_id for outcome in again.outcomes
    ]
    result = await resolve(
        checking, again, dict.fromkeys(["mentor-1", "mentor-2"], ConflictDecision.OVERRIDE)
    )
    assert BulkStatus.SUCCESS is result.status


async def test_a_check_that_failed_makes_all_wait_and_a_decision_to_go_ahead_is_kept(checking):
    """
    Overriding a failed check goes ahead; when another one has to wait, it waits as it was.
    """
    checking.service.conflict_script = conflicting("mentor-1", kind=ConflictKind.CHECK_FAILED)
    waiting = await submit(checking, 3)

    def later(registration):
        return conflicting("mentor-2")(registration)

    checking.service.conflict_script = later
    again = await resolve(checking, waiting, {"mentor-1": ConflictDecision.OVERRIDE})

    assert ["awaiting_decisions", "check_failed", "duplicate"] == [
        outcome.failure.code for outcome in again.outcomes
    ]


@pytest.mark.parametrize("policy", [ConflictPolicy.SKIP, ConflictPolicy.OVERRIDE])
async def test_a_policy_that_decides_leaves_nothing_to_wait_for(checking, policy):
    """
    Skipped ones stay out; overridden ones go along in the same call.
    """
    checking.service.conflict_script = conflicting("mentor-1")

    result = await submit(checking, 3, on_conflict=policy)

    assert BulkStatus.SUCCESS is result.status
    assert [2 if policy is ConflictPolicy.SKIP else 3] == [len(call) for call in checking.service.bulk_calls]


async def test_one_out_of_scope_takes_all_others_along(checking):
    """
    E6: one attribution failure, and nothing is written.
    """

    class WithoutOne(CoordinatorAccess):
        async def out_of_scope(self, actor, mentor_ids, /):
            return {"mentor-1"} & set(mentor_ids)

    checking.access = WithoutOne()
    checking.service.conflict_script = conflicting("mentor-2")

    result = await submit(checking, 4)

    assert BulkStatus.TOTAL_FAILURE is result.status
    assert ["rolled_back", "out_of_scope", "rolled_back", "rolled_back"] == [
        outcome.failure.code for outcome in result.outcomes
    ]
    checking.access = CoordinatorAccess()
    checking.service.conflict_script = conflicting()
    assert BulkStatus.SUCCESS is (await retry(checking, result)).status


async def test_somebody_faster_rolls_all_back_and_the_retry_asks(whole):
    """
    Clean when it was accepted, a duplicate when it was sent: no row is left, and the retry asks.
    """
    whole.activity = attrs.evolve(whole.activity, activity_date=whole.clock.now().date())
    whole.service = StandardRegistrationService(repository=whole.repository, clock=whole.clock)
    orchestrator = whole.orchestrator()
    request = attrs.evolve(whole.request(4), mode=ATOMIC)
    accepted = await orchestrator.submit_bulk_registration(request, actor=whole.actor, drive=False)
    await whole.while_time_passes(
        lambda: orchestrator.submit_bulk_registration(whole.request(["mentor-2"]), actor=whole.actor)
    )

    await whole.while_time_passes(orchestrator.resume_interrupted)
    result = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=whole.actor)

    assert ["rolled_back", "rolled_back", "duplicate", "rolled_back"] == [
        outcome.failure.code for outcome in result.outcomes
    ]
    assert [] == list(await whole.repository.activities_of_batch(result.batch_id))
    assert BulkStatus.NEEDS_REVIEW is (await retry(whole, result)).status


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (succeed(), ItemState.SUCCEEDED),
        (not_seen(), ItemState.UNKNOWN),
        (fail(OSError()), ItemState.UNKNOWN),
        (hang(), ItemState.UNKNOWN),
    ],
)
async def test_what_is_in_doubt_at_a_cancel_is_looked_up_and_shares_its_fate(checking, seen, state):
    """
    All records seen: all succeeded; one that is not seen leaves all unknown. Nothing is repeated.
    """
    checking.settings = BulkSettings(cancel_grace=1.0)
    checking.service.chunk_script = lambda *_: hang(written=True)
    checking.service.lookup_script = lambda name, _: seen if name.endswith("mentor-1") else succeed()

    result = await cancel_in_flight(checking)

    assert {state: 5} == dict(result.counts)
    assert 1 == len(checking.service.bulk_calls)


@pytest.mark.parametrize(
    ("seen", "state"), [(succeed(), ItemState.SUCCEEDED), (not_seen(), ItemState.UNKNOWN)]
)
async def test_a_lost_reply_to_the_last_call_is_looked_up_for_all(checking, seen, state):
    """
    No call is left, but a question about each is: all are there, or nobody knows.
    """
    checking.settings = BulkSettings(retry=RetryPolicy(max_attempts=2))
    checking.service.chunk_script = lambda *_: lose_reply()
    checking.service.lookup_script = lambda name, _: seen if name.endswith("mentor-1") else succeed()

    result = await submit(checking, 3)

    assert {state: 3} == dict(result.counts)
    assert 2 == len(checking.service.bulk_calls)


async def test_a_further_run_that_could_not_be_driven_is_not_opened(whole):
    """
    A process whose service cannot do all or nothing leaves the batch as it is.
    """
    whole.service.chunk_script = lambda *_: fail(ValueError())
    result = await submit(whole, 3)
    whole.service = ScriptedRegistrationService()

    with pytest.raises(AtomicModeError):
        await retry(whole, result)

    assert result == await whole.orchestrator().get_bulk_submission_status(result.batch_id, actor=whole.actor)

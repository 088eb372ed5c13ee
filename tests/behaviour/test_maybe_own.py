"""
A service that commits, loses the reply and answers the repetition with its own record as a duplicate.
"""

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
    ItemState,
    RetryPolicy,
)
from proxy_orchestration.ports import RegistrationFailure
from proxy_orchestration.testing import (
    BulkLookupRegistrationService,
    BulkRegistrationService,
    CheckingRegistrationService,
    LookupRegistrationService,
    ManyLookupsRegistrationService,
    ScriptedRegistrationService,
    fail,
    hang,
    lose_reply,
    not_seen,
    slow,
    succeed,
)

OVERRIDE, SKIP = ConflictDecision.OVERRIDE, ConflictDecision.SKIP
OVERRIDE_MAYBE_OWN = ConflictDecision.OVERRIDE_MAYBE_OWN


def forgetful(service):
    """
    Make a service lose its first reply, and take its own record for another's after that.
    """
    service.finds_own = False
    service.script = lambda _, attempt: lose_reply() if attempt == 1 else succeed()
    return service


def submit(scene, mentors=1, **rest):
    """
    Submit while time passes.
    """
    request = attrs.evolve(scene.request(mentors), **rest)
    return scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    )


def decide(scene, result, decision):
    """
    Decide about every mentor who waits.
    """
    decisions = {outcome.mentor_id: decision for outcome in result.needs_review}
    return scene.while_time_passes(
        lambda: scene.orchestrator().resolve_conflicts(result.batch_id, decisions, actor=scene.actor)
    )


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_a_duplicate_under_a_key_in_doubt_waits_under_each_policy(scene_with, policy):
    """
    It may be the mentor's own record, so nobody is skipped or overridden for it.
    """
    scene = scene_with(forgetful(ScriptedRegistrationService()))

    (outcome,) = (await submit(scene, on_conflict=policy)).outcomes

    assert (ItemState.NEEDS_REVIEW, "maybe_own") == (outcome.state, outcome.failure.code)
    assert "activity-1" == outcome.conflicting_activity_id
    assert not outcome.failure.retryable


async def test_its_own_record_that_a_look_up_sees_is_success(scene_with):
    """
    Looked up before the repetition, it is not even repeated.
    """
    scene = scene_with(forgetful(LookupRegistrationService()))

    result = await submit(scene)

    assert BulkStatus.SUCCESS is result.status
    assert 1 == len(scene.service.calls)


async def test_its_own_record_that_is_seen_late_is_success(scene_with):
    """
    Not seen before the repetition and seen after it: no person is asked.
    """
    scene = scene_with(forgetful(LookupRegistrationService()))
    scene.service.lookup_script = lambda _, n: not_seen() if n == 1 else succeed()

    result = await submit(scene)

    assert BulkStatus.SUCCESS is result.status
    assert (2, 2) == (len(scene.service.calls), len(scene.service.lookups))


@pytest.mark.parametrize("reply", [not_seen(), fail(PermissionError())], ids=["not seen", "failing"])
async def test_where_no_look_up_says_that_it_is_its_own_it_waits(scene_with, reply):
    """
    Not seen is no proof.
    """
    scene = scene_with(forgetful(LookupRegistrationService()))
    scene.service.lookup_script = lambda *_: reply

    (outcome,) = (await submit(scene)).outcomes

    assert (ItemState.NEEDS_REVIEW, "maybe_own") == (outcome.state, outcome.failure.code)


async def test_a_look_up_that_hangs_after_the_duplicate_ends_within_the_attempts(scene_with):
    """
    The call that was answered so counts, and the batch settles.
    """
    scene = scene_with(forgetful(LookupRegistrationService()))
    scene.settings = BulkSettings(call_timeout=5.0)
    scene.service.lookup_script = lambda _, n: not_seen() if n == 1 else hang()

    result = await submit(scene)

    assert ItemState.UNKNOWN is result.outcomes[0].state
    assert len(scene.service.calls) <= 3


async def test_overriding_it_has_to_be_said_twice(scene_with):
    """
    A plain override is refused with what to do; nothing is called and nothing changes.
    """
    scene = scene_with(forgetful(ScriptedRegistrationService()))
    result = await submit(scene)

    with pytest.raises(BatchStateError, match="override_maybe_own"):
        await decide(scene, result, OVERRIDE)

    assert (1, 2) == (
        (await scene.repository.get(result.batch_id)).run,
        len(scene.service.calls),
    )


async def test_said_twice_it_is_registered_over_the_record_under_the_same_key(scene_with):
    """
    A delivered-again decision changes nothing.
    """
    scene = scene_with(forgetful(ScriptedRegistrationService()))
    result = await submit(scene)

    decided = await decide(scene, result, OVERRIDE_MAYBE_OWN)
    again = await scene.orchestrator().resolve_conflicts(
        result.batch_id, {"mentor-0": OVERRIDE_MAYBE_OWN}, actor=scene.actor
    )

    assert BulkStatus.SUCCESS is decided.status
    assert 2 == again.run
    assert "activity-1" == scene.service.calls[-1].override_of
    assert 1 == len({call.idempotency_key for call in scene.service.calls})


async def test_an_override_looks_its_own_record_up_first(scene_with):
    """
    Seen by then, no second record is asked for.
    """
    scene = scene_with(forgetful(LookupRegistrationService()))
    scene.service.lookup_script = lambda *_: not_seen()
    result = await submit(scene)
    scene.service.lookup_script = lambda *_: succeed()
    calls = len(scene.service.calls)

    decided = await decide(scene, result, OVERRIDE_MAYBE_OWN)

    assert BulkStatus.SUCCESS is decided.status
    assert calls == len(scene.service.calls)


async def test_skipped_it_stays_out(scene_with):
    """
    Somebody looked at the record: it is the mentor's own.
    """
    scene = scene_with(forgetful(ScriptedRegistrationService()))

    decided = await decide(scene, await submit(scene), SKIP)

    assert ItemState.SKIPPED is decided.outcomes[0].state


async def test_rows_of_a_call_for_many_wait_likewise(scene_with):
    """
    The chunk is repeated under its keys, and each row's own record is taken for another's.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.finds_own = False
    scene.service.chunk_script = lambda _, call: lose_reply() if call == 1 else succeed()

    result = await submit(scene, 4, on_conflict=ConflictPolicy.SKIP)

    assert {ItemState.NEEDS_REVIEW: 4} == dict(result.counts)
    assert {"maybe_own"} == {outcome.failure.code for outcome in result.outcomes}


async def test_all_or_nothing_waits_as_a_whole(scene_with):
    """
    Nobody fails for a record that may be the batch's own.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.finds_own = False
    scene.service.chunk_script = lambda _, call: lose_reply() if call == 1 else succeed()

    result = await submit(scene, 3, mode="atomic")
    decided = await decide(scene, result, OVERRIDE_MAYBE_OWN)

    assert {"maybe_own"} == {outcome.failure.code for outcome in result.outcomes}
    assert BulkStatus.SUCCESS is decided.status


async def test_all_or_nothing_that_a_look_up_sees_has_succeeded(scene_with):
    """
    Every record is there; the duplicates were the batch's own.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.service.finds_own = False
    scene.service.chunk_script = lambda _, call: lose_reply() if call == 1 else succeed()

    result = await submit(scene, 3, mode="atomic")

    assert BulkStatus.SUCCESS is result.status


async def test_all_or_nothing_with_one_such_record_waits_for_its_decision(scene_with):
    """
    The others wait for it, under keys that stay in doubt.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.chunk_script = lambda _, call: lose_reply() if call == 1 else succeed()
    scene.service.garble = lambda rows, _: [
        RegistrationFailure(
            registration_id=row.registration_id,
            code="duplicate" if number == 0 else "rolled_back",
            message="No.",
            existing_activity_id="activity-1" if number == 0 else None,
        )
        for number, row in enumerate(rows)
    ]

    result = await submit(scene, 2, mode="atomic")

    assert ["maybe_own", "awaiting_decisions"] == [outcome.failure.code for outcome in result.outcomes]
    items = await scene.repository.read_items(result.batch_id)
    assert {True} == {item.in_doubt for item in items}


async def test_a_check_that_suspects_its_own_record_leaves_the_decision_to_a_person(scene_with):
    """
    A host's conflict check may know that kind too; no policy covers it.
    """
    for policy in (ConflictPolicy.SKIP, ConflictPolicy.OVERRIDE):
        scene = scene_with(CheckingRegistrationService())
        scene.service.conflict_script = lambda one: Conflict(
            mentor_id=one.mentor_id, kind=ConflictKind.MAYBE_OWN, existing_activity_id="activity-9"
        )

        (outcome,) = (await submit(scene, on_conflict=policy)).outcomes

        assert (ItemState.NEEDS_REVIEW, "maybe_own") == (outcome.state, outcome.failure.code)


async def test_look_ups_of_a_whole_have_a_time_each(scene_with):
    """
    A hundred and fifty records of two seconds each are found within calls of five.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.settings = BulkSettings(call_timeout=5.0, retry=RetryPolicy(max_attempts=1))
    scene.service.chunk_script = lambda *_: lose_reply()
    scene.service.lookup_script = lambda *_: slow(2.0)

    result = await submit(scene, 150, mode="atomic")

    assert BulkStatus.SUCCESS is result.status
    assert 150 == len(scene.service.lookups)


async def test_a_whole_is_looked_up_in_as_few_questions_as_the_service_takes(scene_with):
    """
    Many at once where the service can, and no more than fit into one call.
    """
    scene = scene_with(ManyLookupsRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1), max_per_call=60)
    scene.service.chunk_script = lambda *_: lose_reply()

    result = await submit(scene, 150, mode="atomic")

    assert BulkStatus.SUCCESS is result.status
    assert [60, 60, 30] == [len(asked) for asked in scene.service.many_lookups]


@pytest.mark.parametrize("answer", [None, [], {}])
async def test_an_answer_about_many_that_does_not_fit_leaves_the_doubt(scene_with, answer):
    """
    What is no mapping, or lacks one, says nothing.
    """
    scene = scene_with(ManyLookupsRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    scene.service.chunk_script = lambda *_: lose_reply()

    async def find_registrations(_ids, /):
        return answer

    scene.service.find_registrations = find_registrations

    result = await submit(scene, 3, mode="atomic")

    assert {ItemState.UNKNOWN: 3} == dict(result.counts)


async def test_a_look_up_of_many_that_raises_leaves_the_doubt(scene_with):
    """
    As one that is asked about one.
    """
    scene = scene_with(ManyLookupsRegistrationService())
    scene.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    scene.service.chunk_script = lambda *_: lose_reply()
    scene.service.lookup_script = lambda *_: fail(PermissionError())

    result = await submit(scene, 3, mode="atomic")

    assert {ItemState.UNKNOWN: 3} == dict(result.counts)


@attrs.define(eq=False, slots=False)
class Limited(BulkRegistrationService):
    """
    A service that takes at most twenty in one call.
    """

    max_registrations_per_call: int = 20


async def test_all_or_nothing_beyond_the_service_s_limit_is_refused_when_it_is_submitted(scene_with):
    """
    Nothing is stored, nothing is called, and the error says the limit.
    """
    scene = scene_with(Limited())

    with pytest.raises(AtomicModeError, match="at most 20") as caught:
        await submit(scene, 21, mode="atomic")

    assert (20, []) == (caught.value.limit, scene.service.bulk_calls)
    assert BulkStatus.SUCCESS is (await submit(scene, 20, mode="atomic")).status


async def test_chunks_hold_no_more_than_the_service_takes(scene_with):
    """
    The host's own setting may be higher.
    """
    scene = scene_with(Limited())

    result = await submit(scene, 50)

    assert BulkStatus.SUCCESS is result.status
    assert 20 == max(len(call) for call in scene.service.bulk_calls)

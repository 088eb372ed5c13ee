"""
Conflicts are found before anything is sent, wait for people, and are decided mentor by mentor.
"""

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration import (
    Actor,
    BatchNotFoundError,
    BatchStateError,
    BulkSettings,
    BulkStatus,
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    ConflictReport,
    CoordinatorAccess,
    DuplicateSelectionError,
    EmptySelectionError,
    ItemState,
    NotAuthorizedError,
    RetryPolicy,
    Role,
    StaleRunError,
    StandardRegistrationService,
    UnknownMentorError,
)
from proxy_orchestration.registration.requests import fingerprint_of
from proxy_orchestration.testing import (
    CheckingBulkRegistrationService,
    CheckingRegistrationService,
    duplicate,
    fail,
    hang,
    lose_reply,
    reject,
    succeed,
)

OVERRIDE, SKIP = ConflictDecision.OVERRIDE, ConflictDecision.SKIP
FOUR = tuple(f"mentor-{number}" for number in range(4))


@pytest.fixture
def checking(scene_with):
    """
    Return a scene whose service finds conflicts and registers one by one.
    """
    return scene_with(CheckingRegistrationService())


@pytest.fixture
def standard(scene_with):
    """
    Return a scene with the standard service over its own store.
    """
    scene = scene_with(CheckingRegistrationService())
    scene.activity = attrs.evolve(scene.activity, activity_date=scene.clock.now().date())
    scene.service = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    return scene


def conflicting(*names, kind=ConflictKind.DUPLICATE, known=True):
    """
    Return a script by which these mentors conflict.
    """
    return lambda registration: (
        Conflict(
            mentor_id=registration.mentor_id,
            kind=kind,
            existing_activity_id=f"activity-of-{registration.mentor_id}" if known else None,
        )
        if registration.mentor_id in names
        else None
    )


def submit(scene, mentors=15, **rest):
    """
    Submit while time passes.
    """
    request = attrs.evolve(scene.request(mentors, rest.pop("key", None)), **rest)
    return scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    )


def resolve(scene, result, decisions, **rest):
    """
    Decide while time passes.
    """
    return scene.while_time_passes(
        lambda: scene.orchestrator().resolve_conflicts(
            result.batch_id, decisions, **{"actor": scene.actor, **rest}
        )
    )


def retry(scene, result, **rest):
    """
    Retry while time passes.
    """
    return scene.while_time_passes(
        lambda: scene.orchestrator().retry_failed_items(result.batch_id, **{"actor": scene.actor, **rest})
    )


async def test_fifteen_with_four_registered_before(standard):
    """
    The story: eleven go ahead, two are overridden, two skipped, nobody is counted twice or lost.
    """
    await submit(standard, FOUR)
    report = await standard.orchestrator().preview(standard.request(15), actor=standard.actor)
    assert (4, 11, 15) == (len(report.conflicts), len(report.clean), report.total)

    waiting = await submit(standard)
    assert list(FOUR) == [outcome.mentor_id for outcome in waiting.needs_review]
    assert BulkStatus.PARTIAL_SUCCESS is waiting.status

    decisions = {FOUR[0]: OVERRIDE, FOUR[1]: OVERRIDE, FOUR[2]: SKIP, FOUR[3]: SKIP}
    result = await resolve(standard, waiting, decisions)

    assert BulkStatus.SUCCESS is result.status
    assert {ItemState.SUCCEEDED: 13, ItemState.SKIPPED: 2} == dict(result.counts)
    records = await standard.repository.activities_of_batch(result.batch_id)
    assert 13 == len({record.registration.mentor_id for record in records}) == len(records)
    seen = {outcome.mentor_id: outcome.conflicting_activity_id for outcome in waiting.needs_review}
    assert {FOUR[0]: seen[FOUR[0]], FOUR[1]: seen[FOUR[1]]} == {
        record.registration.mentor_id: record.registration.override_of
        for record in records
        if record.registration.override_of
    }


async def test_a_preview_asks_once_and_writes_nothing(checking):
    """
    One question for the whole request, whatever is found.
    """
    checking.service.conflict_script = conflicting("mentor-1")

    report = await checking.orchestrator().preview(checking.request(3), actor=checking.actor)

    assert (
        ConflictReport(
            conflicts=(
                Conflict(
                    mentor_id="mentor-1",
                    kind=ConflictKind.DUPLICATE,
                    existing_activity_id="activity-of-mentor-1",
                ),
            ),
            clean=("mentor-0", "mentor-2"),
        )
        == report
    )
    assert [3] == [len(check) for check in checking.service.conflict_checks]
    assert [] == checking.service.calls
    assert 0 == (await checking.orchestrator().list_batches(actor=checking.actor)).total


async def test_a_preview_tells_who_would_be_refused_and_asks_nothing_about_them(checking):
    """
    Somebody out of scope is nobody to tell about; conflicts, clean and refused are the total.
    """
    checking.access = Without("mentor-1")
    checking.service.conflict_script = conflicting("mentor-1", "mentor-2")
    request = checking.request(["coord-1", "mentor-1", "mentor-2", "mentor-3"])

    report = await checking.orchestrator().preview(request, actor=checking.actor)

    assert ("coord-1", "mentor-1") == report.refused
    assert (("mentor-3",), 1, 4) == (report.clean, len(report.conflicts), report.total)
    ((*asked,),) = checking.service.conflict_checks
    assert ["mentor-2", "mentor-3"] == [registration.mentor_id for registration in asked]


class Without(CoordinatorAccess):
    """
    A policy by which one mentor is out of scope, or the question fails.
    """

    def __init__(self, *names, error=None):
        self.names = set(names)
        self.error = error

    async def out_of_scope(self, actor, mentor_ids, /):
        """
        Return the names, or fail.
        """
        if self.error:
            raise self.error
        return self.names & set(mentor_ids)


async def test_a_preview_refuses_what_a_submission_would(checking):
    """
    Empty, doubled or forbidden: the same errors, and no question.
    """
    orchestrator = checking.orchestrator()
    with pytest.raises(EmptySelectionError):
        await orchestrator.preview(checking.request([]), actor=checking.actor)
    with pytest.raises(DuplicateSelectionError):
        await orchestrator.preview(checking.request(["mentor-1", "mentor-1"]), actor=checking.actor)
    assert [] == checking.service.conflict_checks


async def test_a_service_that_cannot_check_finds_no_conflict(scene):
    """
    Duplicates then come out when the call is made.
    """
    scene.service.script = lambda *_: duplicate("activity-9")

    report = await scene.orchestrator().preview(scene.request(2), actor=scene.actor)
    result = await submit(scene, 2)

    assert 2 == len(report.clean)
    assert {ItemState.NEEDS_REVIEW: 2} == dict(result.counts)


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        (ConflictPolicy.REVIEW, {ItemState.SUCCEEDED: 3, ItemState.NEEDS_REVIEW: 1}),
        (ConflictPolicy.SKIP, {ItemState.SUCCEEDED: 3, ItemState.SKIPPED: 1}),
        (ConflictPolicy.OVERRIDE, {ItemState.SUCCEEDED: 4}),
    ],
)
async def test_the_policy_says_what_becomes_of_a_conflict(checking, policy, counts):
    """
    Asked once per request; the others go ahead under each.
    """
    checking.service.conflict_script = conflicting("mentor-2")

    result = await submit(checking, 4, on_conflict=policy)

    assert counts == dict(result.counts)
    assert 1 == len(checking.service.conflict_checks)
    sent = {call.mentor_id: call.override_of for call in checking.service.calls}
    assert ("activity-of-mentor-2" if policy is ConflictPolicy.OVERRIDE else None) == sent.get("mentor-2")
    assert {None} == {sent[name] for name in sent if name != "mentor-2"}


@pytest.mark.parametrize("policy", list(ConflictPolicy))
@pytest.mark.parametrize(
    "trouble",
    [fail(RuntimeError("secret")), fail(ConnectionError()), hang(), fail(ExceptionGroup("", [OSError()]))],
)
async def test_a_check_that_fails_lets_everybody_wait_under_every_policy(checking, policy, trouble, caplog):
    """
    Whether somebody is registered is not known: nobody is skipped, overridden or sent.
    """
    checking.service.conflict_reply = trouble

    result = await submit(checking, 3, on_conflict=policy)

    assert BulkStatus.NEEDS_REVIEW is result.status
    assert {"check_failed"} == {outcome.failure.code for outcome in result.outcomes}
    assert [] == checking.service.calls
    assert "secret" not in caplog.text


GARBAGE = {
    "nothing": None,
    "no conflicts": ["mentor-1"],
    "a stranger": [Conflict(mentor_id="stranger", kind=ConflictKind.DUPLICATE)],
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_an_answer_that_makes_no_sense_is_a_failed_check(checking, answer):
    """
    It is not read in part.
    """

    async def find_conflicts(_registrations, /):
        return answer

    checking.service.find_conflicts = find_conflicts

    result = await submit(checking, 2)

    assert {"check_failed"} == {outcome.failure.code for outcome in result.outcomes}


async def test_who_leaves_during_the_check_leaves_nothing_behind(checking):
    """
    A cancellation of the host's own is no failed check.
    """

    async def find_conflicts(_registrations, /):
        leaving.cancel()
        await checkpoint()

    checking.service.find_conflicts = find_conflicts
    orchestrator = checking.orchestrator()

    with anyio.CancelScope() as leaving:
        await orchestrator.submit_bulk_registration(checking.request(2), actor=checking.actor)

    assert leaving.cancelled_caught
    assert 0 == (await orchestrator.list_batches(actor=checking.actor)).total


async def test_one_mentor_whose_check_failed_waits_and_the_others_go_ahead(checking):
    """
    A service may say it for a part.
    """
    checking.service.conflict_script = conflicting("mentor-1", kind=ConflictKind.CHECK_FAILED, known=False)

    result = await submit(checking, 3, on_conflict=ConflictPolicy.SKIP)

    assert {ItemState.SUCCEEDED: 2, ItemState.NEEDS_REVIEW: 1} == dict(result.counts)


async def test_going_ahead_after_a_failed_check_asks_again_and_sends(checking):
    """
    The decision is to go ahead: no record is named, and the service has the last word.
    """
    checking.service.conflict_script = conflicting("mentor-1", kind=ConflictKind.CHECK_FAILED, known=False)
    waiting = await submit(checking, 2)

    result = await resolve(checking, waiting, {"mentor-1": OVERRIDE})

    assert BulkStatus.SUCCESS is result.status
    assert {None} == {call.override_of for call in checking.service.calls}
    assert result == await resolve(checking, waiting, {"mentor-1": OVERRIDE})


async def test_who_went_ahead_blindly_sees_what_was_found_since(checking):
    """
    The check works again and names a record: that one nobody has decided about.
    """
    checking.service.conflict_script = conflicting("mentor-1", kind=ConflictKind.CHECK_FAILED, known=False)
    waiting = await submit(checking, 2, on_conflict=ConflictPolicy.SKIP)
    checking.service.conflict_script = conflicting("mentor-1")

    result = await resolve(checking, waiting, {"mentor-1": OVERRIDE})

    assert {ItemState.SUCCEEDED: 1, ItemState.NEEDS_REVIEW: 1} == dict(result.counts)
    assert "activity-of-mentor-1" == result.needs_review[0].conflicting_activity_id
    done = await resolve(checking, result, {"mentor-1": OVERRIDE})
    assert BulkStatus.SUCCESS is done.status
    assert "activity-of-mentor-1" == checking.service.calls[-1].override_of


async def test_two_entries_of_one_batch_conflict_with_each_other(standard):
    """
    A rule that looks beyond the mentor: the second entry waits, and can be overridden.
    """
    standard.service = StandardRegistrationService(
        repository=standard.repository,
        clock=standard.clock,
        duplicate_rule=lambda registration: registration.activity.activity_type,
    )

    waiting = await submit(standard, 2)
    assert {"mentor-0": ItemState.SUCCEEDED, "mentor-1": ItemState.NEEDS_REVIEW} == standard.states(
        waiting.outcomes
    )
    assert "in_batch" == waiting.outcomes[1].failure.code
    assert waiting.outcomes[0].activity_id == waiting.outcomes[1].conflicting_activity_id

    result = await resolve(standard, waiting, {"mentor-1": OVERRIDE})
    assert BulkStatus.SUCCESS is result.status


async def test_somebody_faster_makes_a_conflict_and_no_error(standard):
    """
    Clean at the check, registered by another before the call: the constraint decides.
    """
    orchestrator = standard.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(
        standard.request(2), actor=standard.actor, drive=False
    )
    await submit(standard, ["mentor-1"])

    await standard.while_time_passes(orchestrator.resume_interrupted)
    result = await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=standard.actor)

    assert {ItemState.SUCCEEDED: 1, ItemState.NEEDS_REVIEW: 1} == dict(result.counts)
    assert result.needs_review[0].conflicting_activity_id


async def test_under_override_a_late_duplicate_still_waits(checking):
    """
    Nobody saw that record when the decision was made.
    """
    checking.service.script = lambda *_: duplicate("activity-9")

    result = await submit(checking, 1, on_conflict=ConflictPolicy.OVERRIDE)

    assert {ItemState.NEEDS_REVIEW: 1} == dict(result.counts)


async def test_its_own_record_is_no_conflict(standard):
    """
    A batch that is retried, resumed or submitted again never conflicts with itself.
    """
    first = await submit(standard, 2, key="key")

    again = await submit(standard, 2, key="key")

    assert first == again
    assert BulkStatus.SUCCESS is again.status


async def test_a_decision_delivered_twice_is_carried_out_once(checking):
    """
    With and without the run that the caller saw.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 2)
    decisions = {"mentor-0": OVERRIDE, "mentor-1": SKIP}

    result = await resolve(checking, waiting, decisions, expected_run=1)

    assert result == await resolve(checking, waiting, decisions, expected_run=1)
    assert result == await resolve(checking, waiting, decisions)
    assert 1 == len(checking.service.calls)
    assert 2 == result.run


async def test_a_decision_delivered_again_while_it_is_carried_out_joins(checking):
    """
    Accepted with drive=False, delivered again: the second one drives the same run.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    waiting = await submit(checking, 1)
    orchestrator = checking.orchestrator()
    await orchestrator.resolve_conflicts(
        waiting.batch_id, {"mentor-0": OVERRIDE}, actor=checking.actor, drive=False
    )

    result = await resolve(checking, waiting, {"mentor-0": OVERRIDE})

    assert (BulkStatus.SUCCESS, 2) == (result.status, result.run)


async def test_a_part_in_force_and_a_part_new_carries_out_the_new(checking):
    """
    What stands is left alone.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 2)
    await resolve(checking, waiting, {"mentor-0": SKIP})

    result = await resolve(checking, waiting, {"mentor-0": SKIP, "mentor-1": OVERRIDE})

    assert {ItemState.SKIPPED: 1, ItemState.SUCCEEDED: 1} == dict(result.counts)
    assert 3 == result.run


async def test_who_has_no_decision_goes_on_waiting(checking):
    """
    Decisions may come one by one.
    """
    checking.service.conflict_script = conflicting(*FOUR)
    waiting = await submit(checking, 4)

    result = await resolve(checking, waiting, {"mentor-2": OVERRIDE})

    assert {ItemState.NEEDS_REVIEW: 3, ItemState.SUCCEEDED: 1} == dict(result.counts)


@pytest.mark.parametrize(
    ("decisions", "error", "match"),
    [
        ({"mentor-0": SKIP, "stranger": SKIP}, UnknownMentorError, "stranger"),
        ({"mentor-1": SKIP}, BatchStateError, "mentor-1 is succeeded"),
        ({"mentor-1": OVERRIDE}, BatchStateError, "mentor-1 is succeeded"),
        ({}, EmptySelectionError, "No mentor"),
    ],
)
async def test_a_decision_about_nobody_who_waits_changes_nothing(checking, decisions, error, match):
    """
    A typed error that says what to do, and the batch as it was.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    waiting = await submit(checking, 2)

    with pytest.raises(error, match=match):
        await resolve(checking, waiting, decisions)

    assert waiting == await checking.orchestrator().get_bulk_submission_status(
        waiting.batch_id, actor=checking.actor
    )


async def test_a_decision_that_contradicts_one_in_force_is_refused(checking):
    """
    Registered by decision is registered; skipped by decision stays out.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 2)
    await resolve(checking, waiting, {"mentor-0": OVERRIDE, "mentor-1": SKIP})

    for decisions in ({"mentor-0": SKIP}, {"mentor-1": OVERRIDE}):
        with pytest.raises(BatchStateError):
            await resolve(checking, waiting, decisions)


async def test_a_decision_on_an_older_run_is_stale(checking):
    """
    Another decision came between: read again, and decide on that.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 2)
    await resolve(checking, waiting, {"mentor-0": SKIP})

    with pytest.raises(StaleRunError):
        await resolve(checking, waiting, {"mentor-1": SKIP}, expected_run=1)


async def test_a_decision_on_a_batch_that_is_not_settled_is_refused(checking):
    """
    Its run has to end first.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    accepted = await checking.orchestrator().submit_bulk_registration(
        checking.request(2), actor=checking.actor, drive=False
    )

    with pytest.raises(BatchStateError, match="not settled"):
        await resolve(checking, accepted, {"mentor-0": SKIP})


async def test_an_override_is_audited_with_who_when_and_what(checking):
    """
    In the event of the run that carries it out; a decision to skip is no override.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 3)
    checking.clock.advance(3600.0)
    decided_at = checking.clock.now()

    await resolve(checking, waiting, {"mentor-0": SKIP, "mentor-1": OVERRIDE})

    first, second = checking.audit.events
    assert () == first.overrides
    (override,) = second.overrides
    assert ("mentor-1", "activity-of-mentor-1", "coord-1", decided_at) == (
        override.mentor_id,
        override.activity_id,
        override.decided_by,
        override.decided_at,
    )


async def test_a_policy_to_override_is_audited_the_same_way(checking):
    """
    Who submitted it decided it.
    """
    checking.service.conflict_script = conflicting("mentor-1")

    await submit(checking, 2, on_conflict=ConflictPolicy.OVERRIDE)

    (event,) = checking.audit.events
    assert [("mentor-1", "coord-1")] == [
        (override.mentor_id, override.decided_by) for override in event.overrides
    ]


async def test_an_override_is_carried_on_by_a_retry(checking):
    """
    The call failed for another reason; the decision stands, with its author, and is asked about no more.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    waiting = await submit(checking, 1)
    checking.service.script = lambda *_: reject()
    failed = await resolve(checking, waiting, {"mentor-0": OVERRIDE})
    checking.service.script = lambda *_: succeed()
    colleague = Actor(user_id="coord-9", roles={Role.COORDINATOR, Role.CHAPTER_ADMIN}, organization_id="oslo")

    result = await retry(checking, failed, actor=colleague)

    assert BulkStatus.SUCCESS is result.status
    assert ["activity-of-mentor-0"] * 2 == [call.override_of for call in checking.service.calls]
    assert "coord-1" == checking.audit.events[-1].overrides[0].decided_by


@pytest.mark.parametrize("policy", list(ConflictPolicy))
async def test_a_retry_asks_about_conflicts_again(checking, policy):
    """
    Failed for another reason, registered by somebody since: the policy says what becomes of it.
    """
    checking.service.script = lambda *_: reject()
    failed = await submit(checking, 1, on_conflict=policy)
    checking.service.script = lambda *_: succeed()
    checking.service.conflict_script = conflicting("mentor-0")

    result = await retry(checking, failed)

    expected = {
        ConflictPolicy.REVIEW: ItemState.NEEDS_REVIEW,
        ConflictPolicy.SKIP: ItemState.SKIPPED,
        ConflictPolicy.OVERRIDE: ItemState.SUCCEEDED,
    }
    assert {"mentor-0": expected[policy]} == checking.states(result.outcomes)


async def test_a_retry_by_somebody_who_may_not_override_reviews(checking):
    """
    The policy of the batch gives nobody a right.
    """

    class NoOverrides(CoordinatorAccess):
        def allows(self, actor, action, /):
            return action.name != "OVERRIDE" and super().allows(actor, action)

    checking.service.script = lambda *_: reject()
    failed = await submit(checking, 1, on_conflict=ConflictPolicy.OVERRIDE)
    checking.service.conflict_script = conflicting("mentor-0")
    checking.access = NoOverrides()

    result = await retry(checking, failed)

    assert BulkStatus.NEEDS_REVIEW is result.status
    with pytest.raises(NotAuthorizedError, match="existing record"):
        await resolve(checking, result, {"mentor-0": OVERRIDE})
    with pytest.raises(NotAuthorizedError, match="existing record"):
        await submit(checking, 1, on_conflict=ConflictPolicy.OVERRIDE)


async def test_an_item_in_doubt_is_sent_whatever_the_check_would_say(checking):
    """
    The record found may be its own: only the service's answer to that key ends the doubt.
    """
    checking.settings = BulkSettings(retry=RetryPolicy(max_attempts=1))
    checking.service.script = lambda *_: lose_reply()
    unknown = await submit(checking, 1)
    checking.service.script = lambda *_: succeed()
    checking.service.conflict_script = conflicting("mentor-0")
    checks = len(checking.service.conflict_checks)

    result = await retry(checking, unknown)

    assert BulkStatus.SUCCESS is result.status
    assert checks == len(checking.service.conflict_checks)
    assert 1 == len(checking.service.records)


async def test_a_reviewed_item_gets_a_new_key(checking):
    """
    A service that replays stored answers would replay the duplicate.
    """
    checking.service.script = lambda registration, _: (
        succeed() if registration.override_of else duplicate("activity-9")
    )
    waiting = await submit(checking, 1)

    await resolve(checking, waiting, {"mentor-0": OVERRIDE})

    first, second = checking.service.calls
    assert first.registration_id == second.registration_id
    assert first.idempotency_key != second.idempotency_key
    assert "activity-9" == second.override_of


async def test_scope_is_decided_again_at_the_review(checking):
    """
    Overridden, but out of scope by now: refused, and never sent.
    """
    checking.service.conflict_script = conflicting("mentor-0", "mentor-1")
    waiting = await submit(checking, 2)
    checking.access = Without("mentor-0", "mentor-1")

    result = await resolve(checking, waiting, {"mentor-0": OVERRIDE, "mentor-1": SKIP})

    assert ["out_of_scope", "skipped"] == [outcome.failure.code for outcome in result.outcomes]
    assert [] == checking.service.calls


async def test_a_scope_query_that_fails_is_an_error_and_stores_nothing(checking):
    """
    Neither denied nor allowed, at every verb that asks.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    waiting = await submit(checking, 1)
    checking.access = Without(error=RuntimeError("the scope cannot be read"))

    for verb in (
        lambda: submit(checking, 1),
        lambda: checking.orchestrator().preview(checking.request(1), actor=checking.actor),
        lambda: resolve(checking, waiting, {"mentor-0": OVERRIDE}),
    ):
        with pytest.raises(RuntimeError, match="cannot be read"):
            await verb()

    assert 1 == (await checking.orchestrator().list_batches(actor=checking.actor)).total


async def test_a_role_that_was_taken_away_counts_at_the_next_verb(checking):
    """
    Nothing is cached between submission and review.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    waiting = await submit(checking, 1)
    demoted = attrs.evolve(checking.actor, roles={Role.PEER_MENTOR})

    with pytest.raises(NotAuthorizedError):
        await resolve(checking, waiting, {"mentor-0": OVERRIDE}, actor=demoted)


async def test_a_batch_of_somebody_else_is_not_there_to_decide_about(checking):
    """
    Existence is not told.
    """
    checking.service.conflict_script = conflicting("mentor-0")
    waiting = await submit(checking, 1)
    stranger = attrs.evolve(checking.actor, user_id="coord-2")

    with pytest.raises(BatchNotFoundError):
        await resolve(checking, waiting, {"mentor-0": SKIP}, actor=stranger)


async def test_reviewed_items_go_in_pages_where_the_service_can(scene_with):
    """
    Two hundred decisions are one round trip.
    """
    scene = scene_with(CheckingBulkRegistrationService())
    names = [f"mentor-{number}" for number in range(200)]
    scene.service.conflict_script = conflicting(*names)
    waiting = await submit(scene, names)

    result = await resolve(scene, waiting, dict.fromkeys(names, OVERRIDE))

    assert BulkStatus.SUCCESS is result.status
    assert [200] == [len(call) for call in scene.service.bulk_calls]


def test_mode_and_policy_are_part_of_what_is_asked_for(scene):
    """
    The usual ones leave the fingerprint as it was before there were others.
    """
    usual = scene.request(2)
    others = {
        fingerprint_of(attrs.evolve(usual, on_conflict=policy))
        for policy in (ConflictPolicy.SKIP, ConflictPolicy.OVERRIDE)
    } | {fingerprint_of(attrs.evolve(usual, mode="atomic"))}

    assert 3 == len(others - {fingerprint_of(usual)})


async def test_a_decision_about_a_record_that_is_gone_is_not_one_about_another(standard):
    """
    The record that was seen is void, and somebody registered anew since: a person decides anew.
    """
    await submit(standard, ["mentor-0"])
    waiting = await submit(standard, 1)
    await standard.repository.void_activity(
        waiting.outcomes[0].conflicting_activity_id, voided_at=standard.clock.now()
    )
    await submit(standard, ["mentor-0"])

    again = await resolve(standard, waiting, {"mentor-0": OVERRIDE})

    assert BulkStatus.NEEDS_REVIEW is again.status
    assert waiting.outcomes[0].conflicting_activity_id != again.outcomes[0].conflicting_activity_id
    assert BulkStatus.SUCCESS is (await resolve(standard, again, {"mentor-0": OVERRIDE})).status


@pytest.mark.parametrize(
    "wrong", [{"kind": "of no kind"}, {"mentor_id": ["mentor-1"]}, {"mentor_id": None}], ids=str
)
async def test_a_conflict_that_cannot_be_made_is_a_failed_check(checking, wrong):
    """
    A host's slip is no error of the submission's.
    """
    right = {"mentor_id": "mentor-1", "kind": ConflictKind.DUPLICATE}
    checking.service.conflict_script = lambda _: Conflict(**{**right, **wrong})

    result = await submit(checking, 2)

    assert {"check_failed"} == {outcome.failure.code for outcome in result.outcomes}


def test_a_conflict_is_told_in_words_that_every_store_keeps():
    """
    Whatever a host's ids are made of.
    """
    conflict = Conflict(mentor_id="m", kind="duplicate", existing_activity_id="a\ud800\0")

    assert (ConflictKind.DUPLICATE, "a?") == (conflict.kind, conflict.existing_activity_id)

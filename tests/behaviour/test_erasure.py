"""
One mentor is exported and erased: the orchestrator's verbs, and what they leave to be done.
"""

from datetime import date

import pytest

from proxy_orchestration import (
    BatchStateError,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    ConflictDecision,
    IdempotencyKeyReusedError,
    InvalidValueError,
    ItemState,
    MentorOutcome,
    ProxyActivity,
    StandardRegistrationService,
    UnknownMentorError,
)
from proxy_orchestration.ports import pseudonym_of
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.erasure import ERASED_TEXT
from proxy_orchestration.testing import CheckingRegistrationService, reject, succeed

ERASED = pseudonym_of("mentor-1")
VISIT = ProxyActivity(
    activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45, notes="Met at home."
)


def _request(mode="independent", **rest):
    return BulkRegistrationRequest.for_mentors(["mentor-0", "mentor-1"], VISIT, mode=mode, **rest)


def _refusing(scene, *numbers):
    def script(one, _call):
        return reject("refused", f"{one.mentor_id} is away.") if one.mentor_id[-1] in numbers else succeed()

    scene.service.script = script


async def test_a_mentor_is_exported_and_erased(scene):
    """
    And the same request under its key is the batch that it was.
    """
    _refusing(scene, "1")
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(_request(idempotency_key="a"), actor=scene.actor)

    export = await orchestrator.export_mentor("mentor-1", organization_id="oslo")
    assert "Met at home." == export.to_dict()["items"][0]["item"]["activity"]["notes"]

    erased = await orchestrator.erase_mentor("mentor-1", organization_id="oslo")
    assert (ERASED, 1) == (erased.pseudonym, erased.items)

    again = await orchestrator.submit_bulk_registration(_request(idempotency_key="a"), actor=scene.actor)
    assert done.batch_id == again.batch_id
    assert done.counts == again.counts
    assert ["mentor-0", ERASED] == [outcome.mentor_id for outcome in again.outcomes]
    assert "mentor-1" not in str(again.to_dict())


async def test_a_mentor_of_an_open_run_is_not_erased(scene):
    """
    The error says which batch, and what to do.
    """
    orchestrator = scene.orchestrator()
    left = await orchestrator.submit_bulk_registration(_request(), actor=scene.actor, drive=False)

    with pytest.raises(BatchStateError, match="Wait until the batch is settled, or cancel it") as error:
        await orchestrator.erase_mentor("mentor-1", organization_id="oslo")

    assert left.batch_id == error.value.batch_id
    assert BulkStatus.PENDING is left.status


async def test_a_pseudonym_is_not_erased(scene):
    """
    What it stands for would not be found any more.
    """
    with pytest.raises(InvalidValueError, match="pseudonym"):
        await scene.orchestrator().erase_mentor(ERASED, organization_id="oslo")


async def test_a_retry_takes_up_nobody_who_was_erased(scene):
    """
    Not by itself, not by name; the others it does.
    """
    _refusing(scene, "0", "1")
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(_request(), actor=scene.actor)
    await orchestrator.erase_mentor("mentor-1", organization_id="oslo")
    _refusing(scene)

    retried = await orchestrator.retry_failed_items(done.batch_id, actor=scene.actor)
    assert [ItemState.SUCCEEDED, ItemState.FAILED] == [one.state for one in retried.outcomes]
    with pytest.raises(BatchStateError, match="it has no failed item to retry"):
        await orchestrator.retry_failed_items(done.batch_id, actor=scene.actor)
    with pytest.raises(BatchStateError, match="is erased"):
        await orchestrator.retry_failed_items(done.batch_id, actor=scene.actor, mentor_ids=[ERASED])
    with pytest.raises(UnknownMentorError):
        await orchestrator.retry_failed_items(done.batch_id, actor=scene.actor, mentor_ids=["mentor-1"])


async def test_an_open_review_of_an_erased_mentor_is_skipped_and_nothing_else(scene_with):
    """
    So that the batch need not wait for ever.
    """
    scene = scene_with(CheckingRegistrationService())
    scene.service.conflict_script = lambda one: Conflict(
        mentor_id=one.mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id="activity-9"
    )
    orchestrator = scene.orchestrator()
    done = await orchestrator.submit_bulk_registration(_request(), actor=scene.actor)
    await orchestrator.erase_mentor("mentor-1", organization_id="oslo")

    with pytest.raises(BatchStateError, match="it can only be skipped"):
        await orchestrator.resolve_conflicts(
            done.batch_id, {ERASED: ConflictDecision.OVERRIDE}, actor=scene.actor
        )
    skipped = await orchestrator.resolve_conflicts(
        done.batch_id, {ERASED: ConflictDecision.SKIP}, actor=scene.actor
    )
    assert [ItemState.NEEDS_REVIEW, ItemState.SKIPPED] == [one.state for one in skipped.outcomes]


def _standard(scene):
    service = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    return service, BulkRegistrationOrchestrator(
        registration_service=service, repository=scene.repository, clock=scene.clock
    )


async def test_an_all_or_nothing_batch_is_retried_without_who_was_erased(scene):
    """
    As it is without who was skipped.
    """
    _, orchestrator = _standard(scene)
    late = ProxyActivity(activity_type="visit", activity_date=date(2020, 1, 1), duration_minutes=45)
    request = BulkRegistrationRequest.for_mentors(["mentor-0", "mentor-1"], late, mode="atomic")
    done = await orchestrator.submit_bulk_registration(request, actor=scene.actor)
    assert {ItemState.FAILED: 2} == done.counts
    await orchestrator.erase_mentor("mentor-1", organization_id="oslo")

    retried = await orchestrator.retry_failed_items(
        done.batch_id, actor=scene.actor, activities={"mentor-0": VISIT}
    )

    assert [ItemState.SUCCEEDED, ItemState.FAILED] == [one.state for one in retried.outcomes]


async def test_an_all_or_nothing_review_leaves_out_who_was_erased_and_waits_for_others(scene):
    """
    Nothing is sent for a pseudonym.
    """
    _, orchestrator = _standard(scene)
    first = BulkRegistrationRequest.for_mentors(["mentor-0"], VISIT)
    await orchestrator.submit_bulk_registration(first, actor=scene.actor)
    done = await orchestrator.submit_bulk_registration(_request("atomic"), actor=scene.actor)
    assert {ItemState.NEEDS_REVIEW: 2} == done.counts
    await orchestrator.erase_mentor("mentor-1", organization_id="oslo")

    decided = await orchestrator.resolve_conflicts(
        done.batch_id, {"mentor-0": ConflictDecision.SKIP}, actor=scene.actor
    )

    assert [ItemState.SKIPPED, ItemState.NEEDS_REVIEW] == [one.state for one in decided.outcomes]
    left = await orchestrator.export_mentor(ERASED, organization_id="oslo")
    assert () == left.records


async def test_what_an_erased_mentor_has_is_not_registered_again(scene):
    """
    By another batch it is a conflict with the record that is there.
    """
    _, orchestrator = _standard(scene)
    done = await orchestrator.submit_bulk_registration(_request(), actor=scene.actor)
    await orchestrator.erase_mentor("mentor-1", organization_id="oslo")

    second = await orchestrator.submit_bulk_registration(_request(), actor=scene.actor)

    def records(outcomes, of):
        return [getattr(one, of) for one in outcomes]

    assert {ItemState.NEEDS_REVIEW: 2} == second.counts
    assert records(done.outcomes, "activity_id") == records(second.outcomes, "conflicting_activity_id")
    assert isinstance(second.outcomes[0], MentorOutcome)


async def test_a_form_that_comes_again_is_the_record_that_it_was(scene):
    """
    Under the key of an erased mentor's form another mentor is refused as before.
    """
    service, orchestrator = _standard(scene)
    asked = {"actor": scene.actor, "idempotency_key": "form-1"}
    first = await service.register_proxy_activity("mentor-1", VISIT, **asked)
    erased = await orchestrator.erase_mentor("mentor-1", organization_id="oslo")
    again = await service.register_proxy_activity("mentor-1", VISIT, **asked)

    assert (1, first.activity_id) == (erased.records, again.activity_id)
    assert ERASED == again.mentor_id
    with pytest.raises(IdempotencyKeyReusedError):
        await service.register_proxy_activity("mentor-2", VISIT, **asked)


async def test_a_note_that_is_sent_again_after_an_erasure_stays_erased(scene):
    """
    The form is the one that it was, and its text does not come back.
    """
    service, orchestrator = _standard(scene)
    await orchestrator.submit_bulk_registration(_request(), actor=scene.actor)
    (record,) = (await orchestrator.export_mentor("mentor-1", organization_id="oslo")).records
    form = {"actor": scene.actor, "idempotency_key": "form-1"}
    await service.request_correction(record.activity_id, "It was an hour.", **form)
    erased = await orchestrator.erase_mentor("mentor-1", organization_id="oslo")

    again = await service.request_correction(record.activity_id, "It was an hour.", **form)

    assert 1 == erased.corrections
    assert (ERASED_TEXT, scene.actor.user_id) == (again.text, again.written_by)

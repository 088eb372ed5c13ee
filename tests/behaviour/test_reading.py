"""
What a host reads of its batches: summaries, items, and who did what.
"""

import attrs
import pytest

from proxy_orchestration import (
    Actor,
    BatchNotFoundError,
    BatchStateError,
    BulkStatus,
    ConflictDecision,
    ItemState,
    Role,
)
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.testing import duplicate, reject, succeed

ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")
COLLEAGUE = Actor(user_id="coord-1", roles={Role.COORDINATOR, Role.CHAPTER_ADMIN}, organization_id="oslo")


def people(told):
    """
    Return who had a part in a batch or in a run.
    """
    return told.retried_by, told.decided_by, told.cancelled_by, told.cancel_reason


async def test_a_summary_is_the_status_without_outcomes(scene):
    """
    Who polls reads no outcomes.
    """
    orchestrator = scene.orchestrator()
    result = await orchestrator.submit_bulk_registration(scene.request(4), actor=scene.actor)

    summary = await orchestrator.get_batch_summary(result.batch_id, actor=ADMIN)

    assert BatchSummary is type(summary)
    assert attrs.asdict(summary) == {
        name: value for name, value in attrs.asdict(result).items() if name != "outcomes"
    }
    assert ("oslo", "coord-1") == (summary.organization_id, summary.opened_by)


async def test_items_are_read_by_state_with_their_activities(scene):
    """
    What failed can be shown with what was asked for, and why.
    """
    scene.service.script = lambda one, _: reject() if one.mentor_id < "mentor-2" else succeed()
    orchestrator = scene.orchestrator()
    result = await orchestrator.submit_bulk_registration(scene.request(4), actor=scene.actor)
    scene.service.script = lambda one, _: reject("again") if one.mentor_id == "mentor-0" else succeed()
    await orchestrator.retry_failed_items(result.batch_id, actor=scene.actor)

    first = await orchestrator.read_items(result.batch_id, actor=scene.actor, limit=3)
    rest = await orchestrator.read_items(result.batch_id, actor=scene.actor, after=first.next_after)
    failed = await orchestrator.read_items(result.batch_id, actor=ADMIN, states=[ItemState.FAILED])

    assert [1, 2, 3, 4] == [item.place for item in (*first.items, *rest.items)]
    assert rest.next_after is None
    ((item,), _) = attrs.astuple(failed, recurse=False)
    assert (1, scene.activity, "mentor-0") == (item.place, item.activity, item.outcome.mentor_id)
    assert [(1, "rejected"), (2, "again")] == [
        (attempt.run, attempt.outcome.failure.code) for attempt in item.history
    ]
    assert item.outcome == item.history[-1].outcome


async def test_a_batch_tells_who_retried_who_decided_and_who_cancelled(scene):
    """
    It stands in the result and in the audit event of the run.
    """
    scene.service.script = lambda one, _: duplicate("old") if one.mentor_id == "mentor-0" else reject()
    orchestrator = scene.orchestrator()
    batch_id = (await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)).batch_id
    decided = await orchestrator.resolve_conflicts(
        batch_id, {"mentor-0": ConflictDecision.SKIP}, actor=COLLEAGUE
    )
    await orchestrator.retry_failed_items(batch_id, actor=scene.actor, drive=False)
    await orchestrator.cancel_batch(batch_id, actor=ADMIN, reason="Wrong week.")
    cancelled = await orchestrator.get_batch_summary(batch_id, actor=scene.actor)

    assert (None, "coord-1", None, None) == people(decided)
    assert BulkStatus.CANCELLED is cancelled.status
    assert ("coord-1", "coord-1", "admin-1", "Wrong week.") == people(cancelled)
    assert [
        (None, None, None, None),
        (None, "coord-1", None, None),
        ("coord-1", None, "admin-1", "Wrong week."),
    ] == [people(event) for event in scene.audit.events]


async def test_a_batch_that_goes_while_it_is_read_does_not_exist(scene):
    """
    Deleted between the question who may and the reading.
    """
    orchestrator = scene.orchestrator()
    result = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor)

    async def nothing(_batch_id, /):
        return None

    scene.repository.read_summary = nothing

    with pytest.raises(BatchNotFoundError):
        await orchestrator.get_batch_summary(result.batch_id, actor=scene.actor)


async def test_a_batch_with_open_reviews_is_found_told_and_kept(scene):
    """
    It is listed whatever its status, its cancel says what to do, and deleting it needs a word.
    """
    scene.service.script = lambda one, _: duplicate("old") if one.mentor_id == "mentor-0" else succeed()
    orchestrator = scene.orchestrator()
    waiting = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)
    await orchestrator.submit_bulk_registration(scene.request(["mentor-5"]), actor=scene.actor)

    page = await orchestrator.list_batches(actor=scene.actor, needs_review=True)
    with pytest.raises(BatchStateError, match=r"1 of its mentors wait for a decision.*skip"):
        await orchestrator.cancel_batch(waiting.batch_id, actor=scene.actor)
    with pytest.raises(BatchStateError, match="with_open_reviews=True"):
        await orchestrator.delete_batch(waiting.batch_id, actor=scene.actor)
    await orchestrator.delete_batch(waiting.batch_id, actor=scene.actor, with_open_reviews=True)

    assert [(waiting.batch_id, BulkStatus.PARTIAL_SUCCESS)] == [(b.batch_id, b.status) for b in page.batches]
    assert 1 == (await orchestrator.list_batches(actor=scene.actor)).total

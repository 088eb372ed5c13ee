"""
What a host need not keep any longer: the orchestrator's verbs hand it to the store.
"""

from datetime import timedelta

import attrs
import pytest

from proxy_orchestration import BatchNotFoundError, PurgedBatches
from proxy_orchestration.testing import duplicate, succeed


async def test_a_purged_batch_leaves_its_key_until_that_is_purged_too(scene):
    """
    Then the same request is a new batch.
    """
    orchestrator = scene.orchestrator()
    request = scene.request(2, "autumn")
    first = await orchestrator.submit_bulk_registration(request, actor=scene.actor)
    scene.clock.advance(60)
    now = scene.clock.now()

    assert 0 == await orchestrator.purge_tombstones(accepted_before=now)
    assert PurgedBatches(deleted=1) == await orchestrator.purge(settled_before=now)
    assert 0 == await orchestrator.purge_tombstones(accepted_before=now - timedelta(days=1))
    assert 1 == await orchestrator.purge_tombstones(accepted_before=now)
    assert 0 == await orchestrator.purge_audit_events(settled_before=now)

    second = await orchestrator.submit_bulk_registration(request, actor=scene.actor)
    assert first.batch_id != second.batch_id


async def test_a_purge_leaves_what_somebody_still_waits_for(scene):
    """
    A decision, or the host that was not told of an end; it says how many, and goes on when told to.
    """
    told = []

    async def on_run_settled(summary):
        told.append(summary.batch_id)

    scene.service.script = lambda *_: duplicate("activity-0")
    reviewed = await scene.orchestrator().submit_bulk_registration(scene.request(1, "a"), actor=scene.actor)
    scene.service.script = lambda *_: succeed()
    deaf = attrs.evolve(scene.orchestrator(), on_run_settled=refuse)
    untold = await deaf.submit_bulk_registration(scene.request(1, "b"), actor=scene.actor)
    orchestrator = attrs.evolve(scene.orchestrator(), on_run_settled=on_run_settled)
    scene.clock.advance(60)
    now = scene.clock.now()

    assert PurgedBatches(left_for_review=1, left_untold=1) == await orchestrator.purge(settled_before=now)
    await orchestrator.resume_interrupted()
    assert [untold.batch_id] == told
    assert PurgedBatches(deleted=1, left_for_review=1) == await orchestrator.purge(settled_before=now)
    assert PurgedBatches(deleted=1) == await orchestrator.purge(settled_before=now, with_open_reviews=True)
    with pytest.raises(BatchNotFoundError):
        await orchestrator.get_batch_summary(reviewed.batch_id, actor=scene.actor)


async def test_what_no_host_will_ever_be_told_of_goes_when_that_is_said(scene):
    """
    Where no process has the hook any more.
    """
    deaf = attrs.evolve(scene.orchestrator(), on_run_settled=refuse)
    await deaf.submit_bulk_registration(scene.request(1), actor=scene.actor)
    scene.clock.advance(60)

    purged = await deaf.purge(settled_before=scene.clock.now(), with_untold=True)

    assert PurgedBatches(deleted=1) == purged
    assert {"deleted": 1, "left_for_review": 0, "left_untold": 0} == purged.to_dict()


async def refuse(_summary):
    """
    Take no end.
    """
    message = "not now"
    raise RuntimeError(message)

"""
What a host need not keep any longer: the orchestrator's verbs hand it to the store.
"""

from datetime import timedelta


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
    assert 1 == await orchestrator.purge(settled_before=now)
    assert 0 == await orchestrator.purge_tombstones(accepted_before=now - timedelta(days=1))
    assert 1 == await orchestrator.purge_tombstones(accepted_before=now)
    assert 0 == await orchestrator.purge_audit_events(settled_before=now)

    second = await orchestrator.submit_bulk_registration(request, actor=scene.actor)
    assert first.batch_id != second.batch_id

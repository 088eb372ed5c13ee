"""
What a host removes by age, and what it tells and erases of one mentor.
"""

from datetime import timedelta

import pytest

from proxy_orchestration import Actor, InvalidValueError, Role
from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.notification.notices import PushState

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")


async def test_what_is_old_and_done_goes_and_nobody_is_told_again(scene):
    """
    Notices, messages and runs; the same register on the next night leads to nothing new.
    """
    orchestrator = scene.orchestrator()
    await scene.run(scene.certificate(1, 7))
    await scene.dispatcher().drain()
    (told,) = await scene.repository.notifications_for("coord-1")
    await orchestrator.acknowledge(told.notification_id, actor=COORDINATOR)
    scene.clock.advance(86400)
    now = scene.clock.now()
    gone = (
        await orchestrator.purge_notices(created_before=now),
        await orchestrator.purge_pushes(due_before=now),
        await orchestrator.purge_runs(started_before=now),
    )
    again = await scene.run(scene.certificate(1, 7), day=1)
    await scene.dispatcher().drain()

    # The recipient's last digest stays, by which no second one is sent on that day.
    assert (2, 1, 1) == gone
    assert (0, {"mentor-1", "coord-1"}) == (
        again.created,
        {message.recipient_id for message in scene.sender.sent},
    )
    assert 2 == len(scene.sender.sent)


async def test_a_mentor_s_data_is_exported_and_erased(scene):
    """
    The coordinator's copy loses the name, what was queued is not sent, and the feed tells nobody again.
    """
    orchestrator = scene.orchestrator()
    await scene.run(scene.certificate(1, 7), scene.certificate(2, 7))
    told = await orchestrator.export_mentor("mentor-1")
    erased = await orchestrator.erase_mentor("mentor-1")
    scene.clock.advance(2 * 86400)
    again = await scene.run(scene.certificate(1, 7), scene.certificate(2, 7), day=2)
    await scene.dispatcher().drain()

    assert "Kari Canary" in str(told.to_dict())
    assert (pseudonym_of("mentor-1"), 2, 1) == (erased.pseudonym, erased.notices, erased.pushes)
    left = [notice.to_dict() for notice in await scene.repository.notifications_for("coord-1")]
    of_the_erased = [notice for notice in left if notice["mentor_id"] == erased.pseudonym]
    assert 1 == len(of_the_erased)
    assert "Kari" not in str(of_the_erased)
    assert 0 == again.created
    assert {"mentor-2", "coord-1"} == {message.recipient_id for message in scene.sender.sent}
    assert 1 == (await scene.repository.count_pushes())[PushState.CANCELLED]


async def test_an_erased_mentor_is_told_of_what_is_new(scene):
    """
    Nobody is left untold for ever: a certificate that ends later is told, under the id that the host gave.
    """
    await scene.run(scene.certificate(1, 7))
    await scene.orchestrator().erase_mentor("mentor-1")
    result = await scene.run(scene.certificate(1, 400), day=393)

    assert 1 == result.created
    assert 1 == len(await scene.repository.notifications_for("mentor-1"))


async def test_a_pseudonym_is_erased_already(scene):
    """
    It says so.
    """
    with pytest.raises(InvalidValueError, match="nothing left to erase"):
        await scene.orchestrator().erase_mentor(pseudonym_of("mentor-1"))


async def test_a_moment_needs_a_zone(scene):
    """
    A day's difference would be other people's notices.
    """
    with pytest.raises(InvalidValueError, match="aware"):
        await scene.orchestrator().purge_notices(
            created_before=(scene.clock.now() - timedelta(days=1)).replace(tzinfo=None)
        )

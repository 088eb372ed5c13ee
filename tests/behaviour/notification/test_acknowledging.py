"""
Who takes note of a notice, and what a renewal does at once.
"""

import pytest

from proxy_orchestration import Actor, Role
from proxy_orchestration.errors import (
    NotAuthorizedError,
    NotificationNotFoundError,
    RepositoryUnavailableError,
)
from proxy_orchestration.notification.notice_building import UnreadableRecordError
from proxy_orchestration.notification.notices import NoticeStatus, PushState
from proxy_orchestration.notification.records import Acknowledged, MentorRecipients
from proxy_orchestration.storage.memory import MemoryVisibilityRegistry
from proxy_orchestration.testing import fail, hang

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")


async def notices(scene, **rest):
    """
    Return the mentor's notice and the coordinator's.
    """
    await scene.run(scene.certificate(1, 7, **rest))
    (own,) = await scene.repository.notifications_for("mentor-1")
    (told,) = await scene.repository.notifications_for("coord-1")
    return own, told


async def test_an_acknowledgement_is_one_row_whoever_repeats_it(scene):
    """
    The second time it says that it was done before, and nothing changes.
    """
    _, told = await notices(scene)
    orchestrator = scene.orchestrator()

    first = await orchestrator.acknowledge(told.notification_id, actor=COORDINATOR, note="called")
    again = await orchestrator.acknowledge(told.notification_id, actor=COORDINATOR, note="again")

    assert (Acknowledged.NOW, Acknowledged.BEFORE) == (first, again)
    (row,) = await scene.repository.acknowledgements(None, limit=10)
    assert ("coord-1", "called") == (row.acknowledged_by, row.note)
    assert [] == list(await scene.repository.notifications_for("coord-1", unacknowledged_only=True))


async def test_a_coordinator_acknowledges_the_mentors_own_notice(scene):
    """
    Whom the directory names; the mentor's banner ends with it.
    """
    own, _ = await notices(scene)

    assert Acknowledged.NOW is await scene.orchestrator().acknowledge(own.notification_id, actor=COORDINATOR)


@pytest.mark.parametrize("roles", [{Role.PEER_MENTOR}, {Role.SERVICE}, set()])
async def test_a_mentor_never_acknowledges(scene, roles):
    """
    Refused before anything is read.
    """

    async def read(_notification_id, /):
        raise AssertionError

    own, _ = await notices(scene)
    mentor = Actor(user_id="mentor-1", roles=roles, organization_id="oslo")
    scene.repository.notification = read

    with pytest.raises(NotAuthorizedError, match="acknowledge"):
        await scene.orchestrator().acknowledge(own.notification_id, actor=mentor)


async def test_what_is_not_yours_is_not_there(scene):
    """
    Another coordinator's notice, another organization's, one that does not exist, one without a directory.
    """
    own, told = await notices(scene, organization_id="oslo")
    stranger = Actor(user_id="coord-2", roles={Role.COORDINATOR}, organization_id="oslo")
    elsewhere = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="bergen")
    herself = Actor(user_id="mentor-1", roles={Role.COORDINATOR}, organization_id="oslo")
    asked = [
        (told, stranger),
        (own, stranger),
        (told, elsewhere),
        (own, herself),
    ]

    for notice, actor in asked:
        with pytest.raises(NotificationNotFoundError):
            await scene.orchestrator().acknowledge(notice.notification_id, actor=actor)
    with pytest.raises(NotificationNotFoundError, match="inbox"):
        await scene.orchestrator().acknowledge("no-such-notice", actor=COORDINATOR)
    scene.directory.recipients = {}
    with pytest.raises(NotificationNotFoundError):
        await scene.orchestrator().acknowledge(own.notification_id, actor=COORDINATOR)
    scene.directory = None
    with pytest.raises(NotificationNotFoundError):
        await scene.orchestrator().acknowledge(own.notification_id, actor=COORDINATOR)


@pytest.mark.parametrize(
    "changed",
    [
        {"reply": fail(LookupError("who is Invented Name?"))},
        {"reply": hang()},
        {"recipients": {"mentor-1": "coord-1"}},
        {"recipients": {"mentor-1": MentorRecipients(coordinator_id=7)}},
    ],
    ids=["raises", "hangs", "no recipients", "a number"],
)
async def test_a_directory_that_does_not_answer_acknowledges_nothing(scene, changed):
    """
    Told so, in time; the notice waits on.
    """
    own, _ = await notices(scene)
    for name, value in changed.items():
        setattr(scene.directory, name, value)
    orchestrator = scene.orchestrator()

    with pytest.raises(RepositoryUnavailableError, match="directory") as caught:
        await scene.while_time_passes(
            lambda: orchestrator.acknowledge(own.notification_id, actor=COORDINATOR)
        )

    assert caught.value.__cause__ is None
    assert [own] == list(await scene.repository.notifications_for("mentor-1", unacknowledged_only=True))


async def test_a_note_has_an_end(scene):
    """
    Five hundred characters.
    """
    _, told = await notices(scene)

    with pytest.raises(ValueError, match="500"):
        await scene.orchestrator().acknowledge(told.notification_id, actor=COORDINATOR, note="x" * 501)


async def test_a_renewal_cancels_clears_and_shows_again(scene):
    """
    At once, without waiting for the next run.
    """
    await scene.run(scene.certificate(1, -1))

    cancelled = await scene.orchestrator().record_renewals([scene.certificate(1, 700)])

    assert 1 == cancelled
    assert 1 == (await scene.repository.count_pushes())[PushState.CANCELLED]
    (own,) = await scene.repository.notifications_for("mentor-1")
    assert NoticeStatus.CLEARED is own.status
    assert set() == set(await scene.visibility.hidden(["mentor-1"], at=scene.clock.now()))
    assert 0 == await scene.orchestrator().record_renewals([])


async def test_a_renewal_that_cannot_be_read_changes_nothing(scene):
    """
    Typed, and before anything is written.
    """
    await scene.run(scene.certificate(1, -1))

    with pytest.raises(UnreadableRecordError, match="empty_id"):
        await scene.orchestrator().record_renewals(
            [scene.certificate(1, 700), scene.certificate(2, 700, mentor_id="")]
        )

    assert 2 == (await scene.repository.count_pushes())[PushState.QUEUED]


async def test_a_registry_that_fails_at_a_renewal_is_told(scene):
    """
    The renewal is stored; the next run shows the mentor.
    """

    class Broken(MemoryVisibilityRegistry):
        async def track(self, _ends, /, **_rest):
            raise ConnectionError

    await scene.run(scene.certificate(1, -1))
    scene.visibility = Broken()

    with pytest.raises(RepositoryUnavailableError, match="renewals are stored"):
        await scene.orchestrator().record_renewals([scene.certificate(1, 700)])

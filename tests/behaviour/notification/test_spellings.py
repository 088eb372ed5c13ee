"""
One person is told once, however their id is spelled: by runs, plans, renewals and acknowledgements.
"""

import pytest

from proxy_orchestration import Actor, Role
from proxy_orchestration.errors import NotificationNotFoundError
from proxy_orchestration.notification.notices import NoticeStatus
from proxy_orchestration.notification.records import Acknowledged, MentorRecipients
from proxy_orchestration.notification.results import SkipReason
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.spellings import by_form

COMPOSED = "p\u00e5l"
DECOMPOSED = "pa\u030al"
BOTH = [COMPOSED, DECOMPOSED]


def entitled(user_id):
    """
    Return a coordinator of that id.
    """
    return Actor(user_id=user_id, roles={Role.COORDINATOR}, organization_id="oslo")


def directory_of(scene, **recipients):
    """
    Answer both spellings of the mentor, each with the same recipients.
    """
    scene.directory.recipients = dict.fromkeys(BOTH, MentorRecipients(**recipients))


@pytest.mark.parametrize("chunk_size", [1, 10])
async def test_two_lines_of_one_mentor_tell_once(scene, chunk_size):
    """
    In one chunk the later end counts, over several the first notice; a plan says the same.
    """
    scene.settings = NotificationSettings(chunk_size=chunk_size)
    lines = [scene.certificate(n, 30, mentor_id=each) for n, each in enumerate(BOTH)]

    plan = await scene.orchestrator().plan(lines)
    result = await scene.run(*lines)

    assert 1 == result.created
    assert plan.result == result
    assert {SkipReason.SUPERSEDED if chunk_size == 10 else SkipReason.DUPLICATE} == {
        *result.skipped_by_reason
    }
    assert 1 == len(await scene.repository.notifications_for(COMPOSED))


async def test_a_later_end_under_another_spelling_is_the_one_that_counts(scene):
    """
    A revoked line of the other spelling ends nothing, and the spelling that came first is kept.
    """
    result = await scene.run(
        scene.certificate(1, 7, mentor_id=COMPOSED),
        scene.certificate(2, 30, mentor_id=DECOMPOSED),
        scene.certificate(3, 30, mentor_id=COMPOSED, revoked=True),
    )
    (notice,) = await scene.repository.notifications_for(COMPOSED)

    assert (1, COMPOSED) == (result.created, notice.mentor_id)
    assert 1 == sum((await scene.repository.count_pushes()).values())


async def test_a_night_that_spells_otherwise_tells_nobody_again(scene):
    """
    Nor does it tell the coordinator; a renewal ends what was told under either spelling.
    """
    directory_of(scene, coordinator_id="coord-1")
    await scene.run(scene.certificate(1, 30, mentor_id=COMPOSED))
    again = await scene.run(scene.certificate(1, 30, mentor_id=DECOMPOSED), day=1)
    (told,) = await scene.repository.notifications_for("coord-1")
    await scene.orchestrator().record_renewals([scene.certificate(1, 400, mentor_id=DECOMPOSED)])
    (own,) = await scene.repository.notifications_for(DECOMPOSED)

    assert {SkipReason.DUPLICATE: 1} == dict(again.skipped_by_reason)
    assert COMPOSED == told.mentor_id
    assert (NoticeStatus.CLEARED, COMPOSED) == (own.status, own.mentor_id)


@pytest.mark.parametrize("spelled", BOTH)
async def test_whoever_was_told_acknowledges_by_any_spelling(scene, spelled):
    """
    Their own notice, and with it the one of the mentor they answer for.
    """
    scene.directory.recipients = {"mentor-1": MentorRecipients(coordinator_id=COMPOSED)}
    await scene.run(scene.certificate(1, 7))
    (own,) = await scene.repository.notifications_for("mentor-1")
    (told,) = await scene.repository.notifications_for(spelled)
    verbs = scene.orchestrator()

    assert Acknowledged.NOW is await verbs.acknowledge(told.notification_id, actor=entitled(spelled))
    assert Acknowledged.BEFORE is await verbs.acknowledge(own.notification_id, actor=entitled(spelled))


async def test_a_mentor_acknowledges_nothing_under_another_spelling(scene):
    """
    Whoever the directory names: it is their own notice.
    """
    directory_of(scene, coordinator_id=DECOMPOSED)
    await scene.run(scene.certificate(1, 7, mentor_id=COMPOSED))
    (own,) = await scene.repository.notifications_for(COMPOSED)

    with pytest.raises(NotificationNotFoundError):
        await scene.orchestrator().acknowledge(own.notification_id, actor=entitled(DECOMPOSED))


async def test_a_coordinator_of_two_spellings_has_one_inbox(scene):
    """
    And the mentors' own notices and pushes are what they were.
    """
    names = zip(["mentor-1", "mentor-2"], BOTH, strict=True)
    scene.directory.recipients = {each: MentorRecipients(coordinator_id=name) for each, name in names}
    result = await scene.run(scene.certificate(1, 7), scene.certificate(2, 7))
    inbox = await scene.repository.notifications_for(DECOMPOSED)

    assert (2, 2) == (result.created, result.queued)
    assert [COMPOSED] * 2 == [notice.recipient_id for notice in inbox]
    assert 3 == sum((await scene.repository.count_pushes()).values())


@pytest.mark.parametrize("known", [BOTH, BOTH[::-1]])
def test_who_was_told_under_both_before_is_told_under_the_composed_one(known):
    """
    In whatever order a store finds them.
    """
    assert {COMPOSED: COMPOSED} == by_form(known)

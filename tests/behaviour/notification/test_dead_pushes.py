"""
What was given up is listed with its reason, told in the log, and replayed by who may.
"""

import pytest

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.errors import InvalidValueError, NotAuthorizedError
from proxy_orchestration.notification.notices import PushOutcome
from proxy_orchestration.notification.results import DispatchResult

OSLO = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
BERGEN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="bergen")
PEER = Actor(user_id="mentor-1", roles={Role.PEER_MENTOR}, organization_id="oslo")


@pytest.fixture
async def dead(scene):
    """
    Three dead messages: one of Oslo's, one of Bergen's, one of nobody's.
    """
    scene.directory = None
    scene.sender.script = lambda message, _: PushOutcome.dead(message, "payload_invalid")
    organizations = ("oslo", "bergen", None)
    await scene.run(
        *(scene.certificate(number, 30, organization_id=each) for number, each in enumerate(organizations))
    )
    assert DispatchResult(dead=3) == await scene.dispatcher().drain()
    return scene


async def listed(scene, actor):
    """
    Return whose messages are listed.
    """
    page = await scene.dispatcher().dead_pushes(actor=actor)
    return sorted(push.mentor_id for push in page.pushes)


async def all_of(scene):
    """
    Return the ids of all that is dead, by mentor.
    """
    found = await scene.repository.dead_pushes(organization_id=None, after=None, limit=9)
    return {push.mentor_id: push.message_id for push in found}


async def test_who_answers_for_an_organization_sees_its_dead_messages(dead):
    """
    And those of mentors whose organization nobody knows.
    """
    assert ["mentor-0", "mentor-2"] == await listed(dead, OSLO)
    assert ["mentor-1", "mentor-2"] == await listed(dead, BERGEN)


async def test_a_dead_message_has_its_reason_mentor_and_type(dead):
    """
    And goes through JSON.
    """
    (first, *_) = (await dead.dispatcher().dead_pushes(actor=OSLO)).to_dict()["pushes"]

    told = {key: first[key] for key in ("certificate_type", "code", "tier", "attempts")}
    assert {
        "certificate_type": "first_aid",
        "code": "payload_invalid",
        "tier": "warning_30",
        "attempts": 1,
    } == told


async def test_the_log_says_who_is_not_told_and_why(dead, caplog):
    """
    With ids and codes only.
    """
    told = {
        (record.code, record.mentor_id, record.certificate_type)
        for record in caplog.get_records("setup")
        if record.getMessage().startswith("a push is dead")
    }

    assert {("payload_invalid", f"mentor-{number}", "first_aid") for number in range(3)} == told
    assert "Kari" not in "".join(str(vars(record)) for record in caplog.get_records("setup"))


async def test_pages_follow_one_another(dead):
    """
    Until there is no cursor.
    """
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await dead.dispatcher().dead_pushes(actor=OSLO, cursor=cursor, limit=1)
        seen += [push.mentor_id for push in page.pushes]
        cursor, pages = page.next_cursor, pages + 1

    assert (["mentor-0", "mentor-2"], 2) == (sorted(seen), pages)


@pytest.mark.parametrize(
    "cursor", ["", "~push~x", "2026-01-01~push~x", "2026-01-01T00:00:00+00:00~push~", "soon~push~x"]
)
async def test_a_cursor_that_is_none_is_refused(dead, cursor):
    """
    The message says what to give.
    """
    with pytest.raises(InvalidValueError, match="next_cursor of a page"):
        await dead.dispatcher().dead_pushes(actor=OSLO, cursor=cursor)


@pytest.mark.parametrize("verb", ["dead_pushes", "replay_pushes"])
async def test_a_peer_mentor_is_refused(dead, verb):
    """
    Nothing is read or queued.
    """
    with pytest.raises(NotAuthorizedError, match="ask a coordinator or a chapter admin"):
        await getattr(dead.dispatcher(), verb)(actor=PEER)

    assert DispatchResult() == await dead.dispatcher().drain()


async def test_who_replays_replays_what_they_may_see(dead, monkeypatch):
    """
    All of it, page by page, or what is named of it; another organization's message is none.
    """
    monkeypatch.setattr("proxy_orchestration.notification.dispatcher._MOST_LISTED", 1)
    names = await all_of(dead)

    assert 0 == await dead.dispatcher().replay_pushes([names["mentor-1"], "no-such"], actor=OSLO)
    assert 1 == await dead.dispatcher().replay_pushes([names["mentor-0"]], actor=OSLO)
    assert 1 == await dead.dispatcher().replay_pushes(actor=OSLO)
    assert 0 == await dead.dispatcher().replay_pushes(actor=OSLO)
    assert {"mentor-1"} == set(await all_of(dead))
    assert 1 == await dead.dispatcher().replay_dead()

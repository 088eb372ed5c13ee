"""
What somebody finds in their inbox on the day of reading, and what they do with it.
"""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from proxy_orchestration import Actor, InvalidValueError, Role
from proxy_orchestration.errors import NotAuthorizedError, NotificationNotFoundError
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.notices import NoticeStatus, PushState
from proxy_orchestration.notification.tiers import ExpiryPolicy, NotificationThresholdTier
from proxy_orchestration.testing.notification import ScriptedRecipientDirectory

SECRET = 32 * "x"
NIGHT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
DAY = timedelta(days=1).total_seconds()


def mentor(number=1, organization="oslo"):
    """
    Return a mentor as who reads.
    """
    return Actor(user_id=f"mentor-{number}", roles={Role.PEER_MENTOR}, organization_id=organization)


def somebody(role, name="coord-1", organization="oslo"):
    """
    Return somebody else.
    """
    return Actor(user_id=name, roles={role}, organization_id=organization)


COORDINATOR = somebody(Role.COORDINATOR)


def links(clock, **rest):
    """
    Return links to one course.
    """
    return EnrollmentLinks(
        secret=SECRET,
        base_url="https://courses.example.org",
        courses={"first_aid": "renew"},
        clock=clock,
        **rest,
    )


async def own(scene, number=1):
    """
    Return the notices of a mentor's inbox, the newest first.
    """
    return (await scene.orchestrator().inbox(f"mentor-{number}", actor=mentor(number))).notices


async def test_an_inbox_tells_the_end_and_the_days_left_on_the_day_of_reading(scene):
    """
    Not on the day of the run: a banner is drawn from it.
    """
    await scene.run(scene.certificate(1, 7))
    told = []
    for passed in (0, 7, 1, 4):
        scene.clock.advance(passed * DAY)
        (notice,) = await own(scene)
        told.append((notice.days_left, notice.has_ended, notice.in_banner))

    assert [(7, False, True), (0, False, True), (-1, True, True), (-5, True, True)] == told
    assert date(2026, 1, 8) == notice.last_day
    assert datetime(2026, 1, 9, tzinfo=UTC) == notice.ends_at


async def test_days_are_those_of_the_policy_s_zone(scene):
    """
    At 23:30 in London it is the next day in a zone that is two hours ahead.
    """
    scene.policy = ExpiryPolicy(timezone=timezone(timedelta(hours=2)))
    await scene.run(scene.certificate(1, 7))
    scene.clock.advance(23.4 * 3600)
    (notice,) = await own(scene)

    assert (6, date(2026, 1, 8)) == (notice.days_left, notice.last_day)
    assert datetime(2026, 1, 8, 22, tzinfo=UTC) == notice.ends_at


async def test_a_banner_begins_with_the_warning_and_shows_the_latest_notice(scene):
    """
    Sixty days ahead there is none, and an earlier tier's is not drawn beside a later one's.
    """
    await scene.run(scene.certificate(1, 60))
    (advance,) = await own(scene)
    scene.clock.advance(30 * DAY)
    await scene.run(scene.certificate(1, 60), day=30)
    warning, still = await own(scene)

    assert [False, True, False] == [advance.in_banner, warning.in_banner, still.in_banner]
    assert [30, 30] == [warning.days_left, still.days_left]


@pytest.mark.parametrize("how", ["acknowledged", "renewed"])
async def test_a_banner_ends_with_an_acknowledgement_or_a_renewal(scene, how):
    """
    The coordinator takes note of their own copy, and the mentor's banner ends with it.
    """
    await scene.run(scene.certificate(1, 7))
    (theirs,) = (await scene.orchestrator().inbox("coord-1", actor=COORDINATOR)).notices
    if how == "acknowledged":
        await scene.orchestrator().acknowledge(
            theirs.notification.notification_id, actor=COORDINATOR, note="Ringt"
        )
    else:
        await scene.orchestrator().record_renewals([scene.certificate(1, 400)])
    page = await scene.orchestrator().inbox("mentor-1", actor=mentor())

    (notice,) = page.notices
    status = NoticeStatus.ACKNOWLEDGED if how == "acknowledged" else NoticeStatus.CLEARED
    assert (status, False, 0) == (notice.notification.status, notice.in_banner, page.unread)


async def test_pages_follow_each_other(scene):
    """
    The newest first; what is told meanwhile shifts nothing.
    """
    await scene.run(*(scene.certificate(number, 7) for number in range(5)))
    orchestrator = scene.orchestrator()
    first = await orchestrator.inbox("coord-1", actor=COORDINATOR, limit=2)
    await scene.run(scene.certificate(9, 7), day=1)
    second = await orchestrator.inbox("coord-1", actor=COORDINATOR, after=first.next_after, limit=2)
    last = await orchestrator.inbox("coord-1", actor=COORDINATOR, after=second.next_after, limit=2)

    seen = [each.notification.mentor_id for page in (first, second, last) for each in page.notices]
    assert {f"mentor-{number}" for number in range(5)} == set(seen)
    assert 5 == len(seen)
    assert ([2, 2, 1], None) == ([len(page.notices) for page in (first, second, last)], last.next_after)
    assert (5, 6) == (first.unread, last.unread)


async def test_a_page_is_json(scene):
    """
    With everything a screen needs.
    """
    await scene.run(scene.certificate(1, 7))
    told = (await scene.orchestrator().inbox("mentor-1", actor=mentor())).to_dict()

    assert {"notices", "unread", "next_after"} == set(told)
    assert ("2026-01-08", 7, True) == tuple(
        told["notices"][0][name] for name in ("last_day", "days_left", "in_banner")
    )
    assert "mentor-1" == told["notices"][0]["notification"]["mentor_id"]


async def test_what_was_read_is_unread_no_more(scene):
    """
    One by one or all; a second time changes nothing.
    """
    await scene.run(*(scene.certificate(number, 7) for number in range(3)))
    orchestrator = scene.orchestrator()
    first, *_ = (await orchestrator.inbox("coord-1", actor=COORDINATOR)).notices
    name = first.notification.notification_id
    marked = [await orchestrator.mark_read(name, actor=COORDINATOR) for _ in range(2)]
    left = (await orchestrator.inbox("coord-1", actor=COORDINATOR)).unread
    all_of_them = await orchestrator.mark_all_read(actor=COORDINATOR)
    page = await orchestrator.inbox("coord-1", actor=COORDINATOR)

    assert ([True, False], 2, 2, 0) == (marked, left, all_of_them, page.unread)
    assert {scene.clock.now()} == {each.read_at for each in page.notices}


async def test_a_notice_that_is_put_off_comes_back_after_a_day(scene):
    """
    It leaves the banner and no list, and its push is not touched.
    """
    await scene.run(scene.certificate(1, 7))
    orchestrator = scene.orchestrator()
    (notice,) = await own(scene)
    until = await orchestrator.remind_later(notice.notification.notification_id, actor=mentor())
    told = []
    for passed in (0, DAY - 1, 1):
        scene.clock.advance(passed)
        (notice,) = await own(scene)
        told.append(notice.in_banner)

    assert [False, False, True] == told
    assert NIGHT + timedelta(days=1) == until == notice.remind_at
    # The mentor's own, and the coordinator's digest.
    assert {PushState.QUEUED: 2} == await scene.repository.count_pushes()
    (theirs,) = (await orchestrator.inbox("coord-1", actor=COORDINATOR)).notices
    assert theirs.remind_at is None


async def test_nothing_is_put_off_that_does_not_wait(scene):
    """
    Whoever is renewed needs no reminder.
    """
    await scene.run(scene.certificate(1, 7))
    (notice,) = await own(scene)
    await scene.orchestrator().record_renewals([scene.certificate(1, 400)])

    name = notice.notification.notification_id
    assert await scene.orchestrator().remind_later(name, actor=mentor()) is None


@pytest.mark.parametrize(
    "actor",
    [mentor(2), COORDINATOR, somebody(Role.SERVICE, "nightly")],
    ids=["another mentor", "the coordinator", "a service"],
)
async def test_nobody_reads_another_s_inbox(scene, actor):
    """
    Refused before anything is read.
    """

    async def read(_scope, /, **_rest):
        raise AssertionError

    scene.repository.read_inbox = read

    with pytest.raises(NotAuthorizedError, match=r"read the notices of others.* ask a chapter admin"):
        await scene.orchestrator().inbox("mentor-1", actor=actor)


async def test_a_chapter_admin_reads_the_organization_s_without_the_links(scene):
    """
    Of no other organization, and of none that is not known; the link is the mentor's own.
    """
    scene.rest["enrollment"] = links(scene.clock)
    await scene.run(
        scene.certificate(1, 7, organization_id="oslo"),
        scene.certificate(2, 7, organization_id="bergen"),
        scene.certificate(3, 7),
    )
    admin = somebody(Role.CHAPTER_ADMIN, "admin-1")
    orchestrator = scene.orchestrator()
    pages = [await orchestrator.inbox(f"mentor-{number}", actor=admin) for number in (1, 2, 3)]

    assert [1, 0, 0] == [len(page.notices) for page in pages]
    assert [1, 0, 0] == [page.unread for page in pages]
    assert pages[0].notices[0].notification.deep_link is None
    assert (await own(scene))[0].notification.deep_link is not None
    with pytest.raises(NotificationNotFoundError):
        await orchestrator.mark_read(pages[0].notices[0].notification.notification_id, actor=admin)


async def test_what_is_not_one_s_own_is_neither_read_nor_put_off(scene):
    """
    It does not exist for them: another's, another organization's, none at all.
    """
    await scene.run(scene.certificate(1, 7, organization_id="oslo"))
    (notice,) = await own(scene)
    name = notice.notification.notification_id
    orchestrator = scene.orchestrator()
    asked = [(name, mentor(2)), (name, mentor(1, "bergen")), ("no-such-notice", mentor())]

    for wanted, actor in asked:
        with pytest.raises(NotificationNotFoundError):
            await orchestrator.mark_read(wanted, actor=actor)
        with pytest.raises(NotificationNotFoundError):
            await orchestrator.remind_later(wanted, actor=actor)
    assert [] == list((await orchestrator.inbox("mentor-1", actor=mentor(1, "bergen"))).notices)
    assert 0 == await orchestrator.mark_all_read(actor=mentor(1, "bergen"))
    (notice,) = await own(scene)
    assert (None, None) == (notice.read_at, notice.remind_at)


async def test_a_cursor_of_no_page_is_refused(scene):
    """
    It says what to give.
    """
    with pytest.raises(InvalidValueError, match="next_after of a page"):
        await scene.orchestrator().inbox("mentor-1", actor=mentor(), after="page 2")


async def test_an_expired_link_is_made_anew_when_the_notice_is_read(scene):
    """
    The notice lives for weeks, its link for two days; without links it is told as it is stored.
    """
    enrollment = scene.rest["enrollment"] = links(scene.clock)
    await scene.run(scene.certificate(1, 7))
    scene.clock.advance(3 * DAY)
    (stored,) = await scene.repository.notifications_for("mentor-1")
    (read,) = await own(scene)
    del scene.rest["enrollment"]
    (without,) = await own(scene)
    (theirs,) = (await scene.orchestrator().inbox("coord-1", actor=COORDINATOR)).notices

    assert (False, True) == (
        enrollment.verify(stored.deep_link),
        enrollment.verify(read.notification.deep_link),
    )
    assert stored.deep_link == without.notification.deep_link
    assert theirs.notification.deep_link is None


async def test_a_link_that_cannot_be_made_anew_is_left_out(scene, monkeypatch, caplog):
    """
    The notice is read all the same, without the one that is over.
    """
    scene.rest["enrollment"] = links(scene.clock)
    await scene.run(scene.certificate(1, 7))

    def broken(*_args, **_kwargs):
        message = "Kari Canary"
        raise LookupError(message)

    monkeypatch.setattr(EnrollmentLinks, "link_for", broken)
    (read,) = await own(scene)

    assert read.notification.deep_link is None
    assert "no new enrollment link could be made: LookupError" in caplog.messages


async def test_a_cleared_notice_keeps_its_link_as_it_was(scene):
    """
    There is no course to go to any more.
    """
    scene.rest["enrollment"] = links(scene.clock)
    await scene.run(scene.certificate(1, 7))
    (stored,) = await scene.repository.notifications_for("mentor-1")
    await scene.orchestrator().record_renewals([scene.certificate(1, 400)])
    scene.clock.advance(3 * DAY)
    (read,) = await own(scene)

    assert stored.deep_link == read.notification.deep_link


async def test_a_push_s_link_is_made_anew_when_it_is_sent(scene):
    """
    It waited for three days, and the device gets a link that is good.
    """
    enrollment = scene.rest["enrollment"] = links(scene.clock)
    await scene.run(scene.certificate(1, 7))
    scene.clock.advance(3 * DAY)
    await scene.dispatcher().drain()

    (sent,) = [message for message in scene.sender.sent if message.recipient_id == "mentor-1"]
    assert enrollment.verify(sent.data["enrollmentUrl"])
    assert NotificationThresholdTier.URGENT_7.value == sent.data["threshold_tier"]


async def test_a_push_goes_out_without_a_link_that_cannot_be_made_anew(scene, monkeypatch):
    """
    What it tells is more than its link.
    """
    scene.rest["enrollment"] = links(scene.clock)
    await scene.run(scene.certificate(1, 7))
    monkeypatch.setattr(EnrollmentLinks, "link_for", lambda *_args, **_kwargs: None)
    await scene.dispatcher().drain()

    (sent,) = [message for message in scene.sender.sent if message.recipient_id == "mentor-1"]
    assert "enrollmentUrl" not in sent.data


async def test_without_links_a_push_is_sent_as_it_was_written(scene):
    """
    As before.
    """
    enrollment = scene.rest["enrollment"] = links(scene.clock)
    await scene.run(scene.certificate(1, 7))
    del scene.rest["enrollment"]
    await scene.dispatcher().drain()

    (sent,) = [message for message in scene.sender.sent if message.recipient_id == "mentor-1"]
    assert enrollment.verify(sent.data["enrollmentUrl"])


class _Reading(ScriptedRecipientDirectory):
    async def locales_of(self, recipient_ids, /):
        """
        Say that everybody reads English.
        """
        return dict.fromkeys(recipient_ids, "en")


async def test_a_notice_is_read_in_the_words_of_the_day_and_the_reader_s_language(scene):
    """
    It was written with thirty days left, in the default language.
    """
    await scene.run(scene.certificate(1, 30))
    scene.clock.advance(10 * DAY)
    (written,) = await scene.repository.notifications_for("mentor-1")
    (usual,) = await own(scene)
    scene.directory = _Reading(scene.directory.recipients, clock=scene.clock)
    (english,) = await own(scene)

    assert ("30" in written.body, "20" in usual.notification.body) == (True, True)
    assert "20 days" in english.notification.body
    assert usual.notification.title != english.notification.title

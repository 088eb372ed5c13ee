from __future__ import annotations

from datetime import date, timedelta

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from console_site import ADMIN, ANNA, BERIT, START, Site, mentors

from proxy_orchestration.console.plots import missed_in, nights_of
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.notices import PushOutcome
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.notification.run_log import RunRecord
from proxy_orchestration.registration.reasons import DRIVER_LOST
from proxy_orchestration.registration.runs import Commit, ItemOutcome
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import (
    ScriptedPushSender,
    ScriptedRecipientDirectory,
    ScriptedRegistrationService,
    lose_reply,
)

TODAY = START.date()


class Certificates:
    """
    One in each tier, one far away, one replaced by a later one, one revoked, one that cannot be read.
    """

    def __init__(self, clock) -> None:
        self.days = (-3, 5, 20, 45, 200)

    def certificates(self, *, actor):
        """
        Return them all.
        """
        found = [_certificate(place, days) for place, days in enumerate(self.days, 1)]
        return [
            *found,
            _certificate(5, -10, number="old"),
            _certificate(6, 3, revoked=True),
            PeerMentorCertificate(
                certificate_id="odd", mentor_id="mentor-007", certificate_type="first_aid", expires="soon"
            ),
        ]


def _certificate(place: int, days: int, *, number: str = "", revoked: bool = False) -> PeerMentorCertificate:
    return PeerMentorCertificate(
        certificate_id=f"c-{place}{number}",
        mentor_id=f"mentor-{place:03}",
        certificate_type="first_aid",
        expires=TODAY + timedelta(days=days),
        revoked=revoked,
        holder_name=f"Person {place:03}",
        organization_id="oslo",
    )


@pytest.fixture
def parts(clock):
    """
    Verbs about notices over a store in memory, with a sender that gives up what it is given.
    """
    store = MemoryNotificationRepository()
    recipients = ScriptedRecipientDirectory(
        {f"mentor-{place:03}": MentorRecipients(coordinator_id="anna") for place in (1, 2, 3)}
    )
    return {
        "notifications": NotificationOrchestrator(repository=store, recipients=recipients, clock=clock),
        "dispatcher": PushDispatcher(repository=store, sender=ScriptedPushSender(), clock=clock),
        "certificates": Certificates(clock),
    }


async def _night(parts) -> None:
    await parts["notifications"].run(parts["certificates"].certificates(actor=ANNA))


async def test_nothing_amiss_is_said_so(site: Site) -> None:
    """
    A fresh console has nothing to worry about.
    """
    assert "Nothing needs your attention." in (await site.get("/status")).text


async def test_a_batch_that_nobody_drives_is_stuck_once_a_driver_had_its_time(site: Site) -> None:
    """
    Not the moment it is accepted, and not for another organization.
    """
    await site.submitted(mentors(2), label="Left alone", drive=False)
    at_once = await site.get("/status")
    site.clock.advance(31)
    later = await site.get("/status")
    site.sign_in(BERIT)
    other = await site.get("/status")

    assert "0 stuck" in at_once.text
    assert "1 stuck" in later.text
    assert "Left alone" in later.text
    assert "0 stuck" in other.text


async def test_a_paused_batch_stands_on_the_status_page(site: Site) -> None:
    """
    It waits for a person, and is not stuck.
    """
    result = await site.submitted(mentors(2), label="Paused one", drive=False)
    await site.orchestrator.pause_batch(result.batch_id, actor=ANNA)
    site.clock.advance(31)
    page = await site.get("/status")

    assert "0 stuck" in page.text
    assert "1 paused" in page.text
    assert "Paused one" in page.text


@pytest.mark.parametrize("service", [ScriptedRegistrationService(script=lambda *_: lose_reply())])
async def test_answers_in_doubt_stand_on_the_status_page(site: Site) -> None:
    """
    With the batch in which they are.
    """
    await site.submitted(mentors(1), label="Doubtful")
    page = await site.get("/status")

    assert "1 with answers in doubt" in page.text
    assert "Doubtful" in page.text


async def test_a_registration_that_crashes_is_named_and_not_preselected(site: Site) -> None:
    """
    It is retried only by name: the button for all leaves it alone.
    """
    result = await site.submitted(mentors(1), label="Crashing", drive=False)
    await _crash(site, result.batch_id)
    path = f"/batches/{result.batch_id}"
    page, status = await site.get(path), await site.get("/status")
    everybody = await site.post(f"{path}/retry", page, run=1, everybody=1)
    named = await site.post(f"{path}/retry", page, run=1, mentor="mentor-001")

    assert [] == page.ticked("mentor")
    assert "1 crashed registrations" in status.text
    assert "Person 001 Crashing" in status.text
    assert "No mentor was chosen" in everybody.text
    assert "The retry is accepted." in named.text


async def _crash(site: Site, batch_id: str) -> None:
    """
    Settle the batch as a driver does that was lost at its only item too often.
    """
    ledger, now = site.orchestrator.repository, site.clock.now()
    lease = await ledger.acquire(batch_id, 1, ttl=60.0)
    assert lease is not None
    (work,) = (await ledger.commit(lease, Commit(claim=1, ttl=60.0))).claimed
    lost = ItemOutcome(work, ItemState.UNKNOWN, now, attempts=1, failure=DRIVER_LOST, in_doubt=True)
    await ledger.commit(lease, Commit(outcomes=(lost,), ttl=60.0))
    await ledger.settle(lease, settled_at=now, audit_hold=0.0)


async def test_the_inbox_tells_tiers_and_is_acknowledged_once(site: Site, parts) -> None:
    """
    Due and lapsed per tier, of several certificates of a kind the last; a second press changes nothing.
    """
    await _night(parts)
    page = await site.get("/certificates")
    notice = page.html.partition("/certificates/notices/")[2].partition('"')[0]
    done = await site.post(f"/certificates/notices/{notice}", page, note="Called her")
    again = await site.post(f"/certificates/notices/{notice}", page, note="Called her")
    read = await site.post("/certificates/read", done)

    assert "1 Lapsed 1 7 days or less 1 30 days or less 1 60 days or less" in page.text
    assert "3 unread" in page.text
    assert "The notice is acknowledged." in done.text
    assert "Acknowledged by anna" in done.text
    assert "Called her" in done.text
    assert "already acknowledged" in again.text
    assert "0 unread" in read.text


async def test_the_notice_of_another_organization_cannot_be_acknowledged(site: Site, parts) -> None:
    """
    It does not exist for a stranger.
    """
    await _night(parts)
    page = await site.get("/certificates")
    notice = page.html.partition("/certificates/notices/")[2].partition('"')[0]
    site.sign_in(BERIT)
    own = await site.get("/certificates")
    form = await site.get("/new")

    assert "There is no notice for you." in own.text
    assert 404 == (await site.post(f"/certificates/notices/{notice}", form)).status


async def test_what_is_to_be_mended_is_told_by_mentor(site: Site, parts) -> None:
    """
    The one without a coordinator, and the one that cannot be read; nothing is written by looking.
    """
    page = await site.get("/certificates/quality")

    assert "Person 004 mentor-004 No coordinator is assigned" in page.text
    assert "Person 007" in page.text
    assert "There is no notice for you." in (await site.get("/certificates")).text


async def test_messages_that_were_given_up_are_queued_again(site: Site, parts) -> None:
    """
    The chosen ones, and nobody chosen is told.
    """
    await _night(parts)
    parts["dispatcher"].sender.script = _dead
    await parts["dispatcher"].drain()
    page = await site.get("/certificates/messages")
    messages = [part.partition('"')[0] for part in page.html.split('name="message" value="')[1:]]
    nobody = await site.post("/certificates/messages", page)
    replayed = await site.post("/certificates/messages", page, message=messages[:1])

    assert "unregistered" in page.text
    assert "No mentor was chosen" in nobody.text
    assert "The messages are queued again." in replayed.text
    assert messages[0] not in replayed.html


def _dead(message, _attempt):
    return PushOutcome.dead(message, "unregistered")


async def test_nights_are_a_plot_and_a_table_for_who_oversees(site: Site, parts) -> None:
    """
    A coordinator may not read the log; a chapter admin sees the runs.
    """
    await _night(parts)
    refused = await site.get("/certificates/nights")
    site.sign_in(ADMIN)
    page = await site.get("/certificates/nights")

    assert 403 == refused.status
    assert "<svg" in page.html
    assert "21 Nov 2026 09:00 Completed" in page.text


@pytest.mark.parametrize("parts", [{}])
async def test_a_host_without_notices_has_no_such_pages(site: Site) -> None:
    """
    No link, and no page.
    """
    assert "Certificates" not in (await site.get("/")).text
    for path in ("", "/quality", "/messages", "/nights"):
        assert 404 == (await site.get(f"/certificates{path}")).status


def _run(days_ago: int, *, created: int = 0, failed: int = 0) -> RunRecord:
    started = START - timedelta(days=days_ago)
    return RunRecord(
        run_id=str(days_ago), as_of=started, started_at=started, duration=1.0, created=created, failed=failed
    )


def test_nights_are_drawn_to_one_scale_and_missed_ones_counted() -> None:
    """
    The highest night fills the plot, failures stand on top, a day without a run between runs is missed.
    """
    runs = [_run(5, created=10), _run(3, created=5, failed=5), _run(3), _run(0)]
    nights = nights_of(runs, timezone=START.tzinfo, until=TODAY, days=7)

    assert [0, 1, 0, 2, 0, 0, 1] == [night.runs for night in nights]
    assert [124.0, 62.0] == [nights[1].created_height, nights[3].created_height]
    assert nights[3].created_top == nights[3].failed_top + nights[3].failed_height
    assert 3 == missed_in(nights)
    assert date(2026, 11, 15) == nights[0].day


def test_no_night_at_all_is_an_empty_plot() -> None:
    """
    Nothing is divided by nothing.
    """
    nights = nights_of([], timezone=START.tzinfo, until=TODAY, days=3)

    assert [0.0] * 3 == [night.created_height for night in nights]
    assert 0 == missed_in(nights)

"""
`inbox` and `acknowledge`.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration import NotificationOrchestrator, PeerMentorCertificate
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.messages import NoticeContext, NoticeText
from proxy_orchestration.storage.sql import SqlNotificationRepository

FILE = """\
certificate_id,mentor_id,certificate_type,expires,holder_name,organization_id,coordinator_id,chapter_admin_ids
c1,m1,first_aid,today+5,Kari\u202e Eksempel,oslo,anna,
c2,m2,first_aid,today+20,Ola Eksempel,oslo,,admin-1
"""


@pytest.fixture
def told(run: Any, tmp_path: Path) -> str:
    """
    Tells two mentors, a coordinator and a chapter admin; returns the coordinator's notice.
    """
    _notify(run, tmp_path, FILE)
    notice: str = run("inbox", "anna", "--json").document["notifications"][0]["notification_id"]
    return notice


def _notify(run: Any, folder: Path, content: str) -> None:
    path = folder / "certificates.csv"
    path.write_text(content, encoding="utf-8")
    assert ExitCode.SUCCESS == run("notify", path).code


async def _renew(store: Path) -> None:
    """
    Do what a host does on the day of a renewal.
    """
    renewal = PeerMentorCertificate(
        certificate_id="c9", mentor_id="m1", certificate_type="first_aid", expires=date(2999, 1, 1)
    )
    async with SqlNotificationRepository.open(f"sqlite:///{store}") as repository:
        await NotificationOrchestrator(repository=repository).record_renewals([renewal])


@pytest.mark.usefixtures("told")
def test_an_inbox_shows_what_waits(run: Any) -> None:
    """
    A line per notice, with nothing in it that could steer a terminal.
    """
    ended = run("inbox", "anna")

    assert ExitCode.SUCCESS == ended.code
    assert "anna: 1 notice, 1 pending.\n" in ended.out
    assert "urgent 7" in ended.out
    assert "\u202e" not in ended.out


@pytest.mark.usefixtures("told")
def test_an_inbox_without_notices_says_so(run: Any) -> None:
    """
    A name nobody knows has an empty inbox.
    """
    assert "nobody\\u202e: 0 notices, 0 pending.\n" == run("inbox", "nobody\u202e").out


def test_an_inbox_as_json_holds_whole_notices(run: Any, told: str) -> None:
    """
    Field names are the library's, days and moments are ISO 8601.
    """
    document = run("inbox", "anna", "--json").document

    (notice,) = document["notifications"]
    assert "anna" == document["recipient_id"]
    assert (told, "m1", "coordinator", "pending") == (
        notice["notification_id"],
        notice["mentor_id"],
        notice["audience"],
        notice["status"],
    )
    assert 10 == len(notice["window_start"])
    assert notice["created_at"].endswith("Z")


def test_a_notice_is_acknowledged_once(run: Any, told: str) -> None:
    """
    The repetition says who did it and ends well too; the notice leaves the inbox, not the whole of it.
    """
    first = run("acknowledge", told, "--note", "Called.", "--json")
    second = run("acknowledge", told)

    assert (ExitCode.SUCCESS, "now") == (first.code, first.document["acknowledged"])
    assert "Acknowledged." in first.err
    assert ExitCode.SUCCESS == second.code
    assert "The notice was already acknowledged by anna; nothing was changed.\n" == second.out
    assert [] == run("inbox", "anna", "--json").document["notifications"]
    (notice,) = run("inbox", "anna", "--all", "--json").document["notifications"]
    assert ("acknowledged", "Called.") == (notice["status"], notice["note"])


def test_a_chapter_admin_acknowledges_in_that_role(run: Any, told: str) -> None:
    """
    The notice went to the admin, since the mentor has no coordinator.
    """
    (notice,) = run("inbox", "admin-1", "--json").document["notifications"]
    admin = ("--actor", "admin-1@oslo", "--role", "chapter_admin")

    assert ExitCode.SUCCESS == run("acknowledge", notice["notification_id"], *admin).code
    assert ExitCode.NOT_FOUND == run("acknowledge", told, *admin).code


@pytest.mark.parametrize("actor", ["berit@oslo", "anna@bergen"])
def test_anothers_notice_does_not_exist(run: Any, told: str, actor: str) -> None:
    """
    Nor does one that nobody wrote.
    """
    assert ExitCode.NOT_FOUND == run("acknowledge", told, "--actor", actor).code
    assert ExitCode.NOT_FOUND == run("acknowledge", "no-such-notice", "--actor", actor).code


def test_a_note_that_is_too_long_is_refused(run: Any, told: str) -> None:
    """
    The notice waits on.
    """
    ended = run("acknowledge", told, "--note", "x" * 501, "--json")

    assert ExitCode.BAD_INPUT == ended.code
    assert "500 characters" in ended.document["error"]["message"]
    assert 1 == len(run("inbox", "anna", "--json").document["notifications"])


def test_a_notice_that_a_renewal_cleared_needs_nobody(run: Any, told: str, store: Path) -> None:
    """
    To acknowledge it says so and ends well.
    """
    anyio.run(_renew, store)

    ended = run("acknowledge", told)

    assert ExitCode.SUCCESS == ended.code
    assert "A renewal cleared this notice; there is nothing to acknowledge.\n" == ended.out


@pytest.mark.parametrize(
    "command",
    [
        ("inbox", "anna"),
        ("acknowledge", "x"),
        ("dead",),
        ("replay", "--all"),
        ("dispatch", "--targets", "targets.csv"),
    ],
)
def test_without_a_store_there_is_nothing_to_look_at(
    run: Any, store: Path, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The commands say so, and make no file.
    """
    if command[0] == "dispatch":
        pytest.importorskip("httpx")
    monkeypatch.chdir(tmp_path)
    Path("targets.csv").write_text("recipient_id,kind,value\nanna,token,abc\n", encoding="utf-8")

    ended = run(*command)

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert "Give --db the file that register or notify wrote, or the address of a server." in ended.err
    assert not store.exists()


def test_an_inbox_tells_the_days_that_are_left_on_the_day_of_reading(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The text was written when there were twenty; a notice that somebody took note of says what it said.
    """
    _notify(run, tmp_path, FILE.replace("Ola Eksempel,oslo,,", "Ola Eksempel,oslo,anna,"))
    first = run("inbox", "anna", "--json").document["notifications"]
    (taken,) = [each["notification_id"] for each in first if each["mentor_id"] == "m1"]
    run("acknowledge", taken)
    now = SystemClock().now() + timedelta(days=12)
    monkeypatch.setattr(SystemClock, "now", lambda _clock: now)

    shown = run("inbox", "anna", "--all")

    assert "(om 8 dager)" in shown.out
    assert "(om 5 dager)" in shown.out
    assert "(om 20 dager)" not in shown.out


class _OwnWords:
    """
    A host's catalogue.
    """

    def render(self, notice: NoticeContext, /) -> NoticeText:
        """
        Say it as the host does.
        """
        return NoticeText(title="Kursbevis", body=f"Ditt bevis har {notice.days_left} dager igjen.")


async def _told_in_own_words(store: Path) -> None:
    ends = SystemClock().now().date() + timedelta(days=20)
    certificate = PeerMentorCertificate(
        certificate_id="c1", mentor_id="m1", certificate_type="first_aid", expires=ends
    )
    async with SqlNotificationRepository.open(f"sqlite:///{store}") as repository:
        await NotificationOrchestrator(repository=repository, messages=_OwnWords()).run([certificate])


@pytest.mark.usefixtures("ahead")
def test_an_inbox_shows_the_words_of_a_host_as_they_were_written(
    run: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The command line does not know them, and puts none of its own in their place.
    """
    anyio.run(_told_in_own_words, store)
    now = SystemClock().now() + timedelta(days=12)
    monkeypatch.setattr(SystemClock, "now", lambda _clock: now)

    assert "Ditt bevis har 20 dager igjen." in run("inbox", "m1").out

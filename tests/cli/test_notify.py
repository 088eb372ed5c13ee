"""
`notify` and the report on data quality, over files and stores.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.storage.sql import SqlNotificationRepository

EXAMPLE = Path(__file__).parents[2] / "examples" / "certificates.csv"
HEADER = "certificate_id,mentor_id,certificate_type,expires,coordinator_id,organization_id"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """
    Writes a file of these lines below the header.
    """

    def file(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "certificates.csv"
        path.write_text("\n".join((header, *lines, "")), encoding="utf-8")
        return path

    return file


def test_the_example_is_told_once(run: Any) -> None:
    """
    The first run tells every tier; the second tells nobody and says why.
    """
    first, second = run("notify", EXAMPLE, "--json"), run("notify", EXAMPLE, "--json")

    assert (ExitCode.SUCCESS, ExitCode.SUCCESS) == (first.code, second.code)
    assert {"advance_60": 4, "warning_30": 6, "urgent_7": 5, "lapsed": 3} == first.document["by_tier"]
    assert {"not_due": 4, "revoked": 2, "superseded": 1} == first.document["skipped_by_reason"]
    assert [25, 0] == [second.document["processed"], second.document["created"]]
    assert {"duplicate": 18, "not_due": 4, "revoked": 2, "superseded": 1} == second.document[
        "skipped_by_reason"
    ]


def test_a_person_reads_tables_and_what_to_do_next(run: Any) -> None:
    """
    Counts by tier and reason, missed tiers, who lacks a coordinator, and the command that sends.
    """
    ended = run("notify", EXAMPLE)

    assert "created  urgent 7    5" in ended.out
    assert "skipped  superseded  1" in ended.out
    assert "Tiers that passed without a notice: 14 advance 60" in ended.out
    assert (
        "mentor-2120  no coordinator is assigned; chapter admins are notified instead  cert-1021" in ended.out
    )
    assert "25 certificates: 18 created, 7 skipped, 0 failed; 17 pushes of mentors queued." in ended.out
    assert "Send:  proxy-orchestration dispatch --targets targets.csv --db " in ended.out
    assert "Notifying: 25 of 25 done\n" in ended.err


def test_a_plan_lists_the_keys_and_makes_no_file(run: Any, store: Path) -> None:
    """
    The plan says what the run then does.
    """
    planned = run("notify", EXAMPLE, "--plan", "--json")

    assert not store.exists()
    assert ExitCode.SUCCESS == planned.code
    assert 18 == len(planned.document["notices"])
    assert {
        "mentor_id",
        "certificate_type",
        "tier",
        "window_start",
        "audience",
        "recipient_id",
    } == set(planned.document["notices"][0])
    told = run("notify", EXAMPLE, "--json").document
    assert {**told, "notices": planned.document["notices"]} == planned.document


def test_a_plan_for_people_lists_the_keys_too(run: Any) -> None:
    """
    It begins with a line per notice and says that it is a plan.
    """
    ended = run("notify", EXAMPLE, "--plan")

    assert "mentor-2024  conversation_course  advance 60  " in ended.out
    assert "This is a plan; nothing was written. 25 certificates: 18 created" in ended.out
    assert "Send:" not in ended.out


def test_a_plan_over_a_store_writes_nothing_into_it(run: Any, write: Write) -> None:
    """
    What a plan counted as created is created by the run after it.
    """
    run("notify", write("c1,m1,first_aid,today+5,,"))
    file = write("c1,m1,first_aid,today+5,,", "c2,m2,first_aid,today+5,,")

    planned, told = run("notify", file, "--plan", "--json"), run("notify", file, "--json")

    assert [1, 1] == [planned.document["created"], told.document["created"]]
    assert ["m2"] == [key["mentor_id"] for key in planned.document["notices"]]


def test_a_later_day_is_played_through_with_as_of(run: Any, write: Write) -> None:
    """
    `today` in the file stays the present day while the run's moment moves on.
    """
    file = write("c1,m1,first_aid,today+20,,")

    tiers = [
        run("notify", file, "--as-of", moment, "--allow-future", "--json").document["by_tier"]
        for moment in ("today", "today+14", "today + 22")
    ]

    assert [{"warning_30": 1}, {"urgent_7": 1}, {"lapsed": 1}] == tiers


@pytest.mark.parametrize(
    ("moment", "tier"),
    [
        ("2026-11-20T23:30Z", "urgent_7"),
        ("2026-11-21T00:30:00+01:00", "urgent_7"),
        ("2026-11-21T00:30:00Z", "lapsed"),
    ],
)
def test_a_moment_is_read_with_its_offset(run: Any, write: Write, moment: str, tier: str) -> None:
    """
    The day is over at midnight in UTC unless a zone is named.
    """
    ended = run(
        "notify", write("c1,m1,first_aid,2026-11-20,,"), "--as-of", moment, "--allow-future", "--json"
    )

    assert {tier: 1} == ended.document["by_tier"]


def test_the_days_of_a_zone_count(run: Any, write: Write) -> None:
    """
    At half past eleven in UTC the day is over in Oslo.
    """
    file = write("c1,m1,first_aid,2026-11-20,,")

    ended = run(
        "notify", file, "--as-of", "2026-11-20T23:30Z", "--allow-future", "--zone", "Europe/Oslo", "--json"
    )

    assert {"lapsed": 1} == ended.document["by_tier"]


def test_a_moment_in_the_future_is_refused_unless_it_is_meant(run: Any, write: Write) -> None:
    """
    A plan takes any moment; a run would keep whoever it tells from being told until then.
    """
    file = write("c1,m1,first_aid,today+20,,")

    refused = run("notify", file, "--as-of", "today+1")
    planned = run("notify", file, "--as-of", "today+1", "--plan", "--json")

    assert ExitCode.SUCCESS != refused.code
    assert "allow-future" in refused.err
    assert [1, 1] == [
        planned.document["created"],
        run("notify", file, "--as-of", "today+1", "--allow-future", "--json").document["created"],
    ]


def test_daily_windows_remind_each_day(run: Any, write: Write) -> None:
    """
    Without the option the second day tells nothing.
    """
    file = write("c1,m1,first_aid,today+20,,")

    created = [
        run("notify", file, "--as-of", moment, "--allow-future", *daily, "--json").document["created"]
        for moment, daily in (("today", ()), ("today+1", ()), ("today+2", ("--daily",)))
    ]

    assert [1, 0, 1] == created


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--as-of", "2026-11-21T00:05", "is not a date and time"),
        ("--as-of", "tomorrow", "is not a date and time"),
        ("--as-of", "0001-01-01T00:00+14:00", "is not a date and time"),
        ("--zone", "Europe/Olso", "not a time zone"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    run: Any, store: Path, option: str, value: str, told: str
) -> None:
    """
    Nothing is read and nothing is made.
    """
    ended = run("notify", EXAMPLE, option, value)

    assert ExitCode.BAD_INPUT == ended.code
    assert told in ended.err
    assert not store.exists()


def test_a_row_without_a_mentor_fails_alone(run: Any, write: Write) -> None:
    """
    The others are told; the row is named by its certificate, and the code says that some failed.
    """
    ended = run("notify", write("c1,m1,first_aid,today+5,,", "c2,,first_aid,today+5,,"))

    assert ExitCode.PARTIAL_SUCCESS == ended.code
    assert "(no mentor id)  the certificate id, the mentor id or the type is empty  c2" in ended.out
    assert "Fix the cause of the failures and run the command again. A later run retries them." in ended.out
    assert 1 == ended.err.count("a certificate failed")


def test_a_file_in_which_all_fails_is_a_total_failure(run: Any, write: Write) -> None:
    """
    Each failure is the run's, and is said once on the way.
    """
    ended = run("notify", write("c1,,first_aid,today+5,,", ",m2,first_aid,today+5,,"), "--json")

    assert ExitCode.TOTAL_FAILURE == ended.code
    assert ["empty_id", "empty_id"] == [each["code"] for each in ended.document["failures"]]
    assert 1 == ended.err.count("a certificate failed")


def test_a_store_that_fails_in_the_middle_is_told(
    run: Any, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The code is the store's, and the run again tells what is missing.
    """
    file = write("c1,m1,first_aid,today+5,,")

    async def gone(*_args: object) -> None:
        await anyio.lowlevel.checkpoint()
        reason = "It is gone."
        raise RepositoryUnavailableError(reason, advice="Look.")

    with monkeypatch.context() as patch:
        patch.setattr(SqlNotificationRepository, "record", gone)
        ended = run("notify", file)

    assert ExitCode.STORE_UNAVAILABLE == ended.code
    assert "the store failed; run the command again" in ended.out
    assert "Traceback" not in ended.err
    assert ExitCode.SUCCESS == run("notify", file).code


def test_a_file_without_recipients_names_nobody_to_mend(run: Any, write: Write) -> None:
    """
    Only mentors are told where the file has no column for others.
    """
    file = write("c1,m1,first_aid,today+5", header="certificate_id,mentor_id,certificate_type,expires")

    assert [] == run("notify", file, "--json").document["data_quality"]
    assert ["missing_coordinator_assignment"] == [
        each["code"] for each in run("report", "data-quality", file, "--json").document["data_quality"]
    ]


def test_the_report_names_mentors_before_anything_is_due(run: Any, write: Write, store: Path) -> None:
    """
    It looks at all that is not revoked, lists what to fix, and writes nothing.
    """
    file = write("c1,m1,first_aid,today+900,,", "c2,,first_aid,today+5,,", "c3,m3,first_aid,today+5,coord,")

    ended = run("report", "data-quality", file)

    assert ExitCode.NEEDS_REVIEW == ended.code
    assert "m1              no coordinator is assigned" in ended.out
    assert "Certificates read: 3. To fix: 2." in ended.out
    assert not store.exists()


def test_the_report_on_sound_data_is_short(run: Any, write: Write) -> None:
    """
    There is nothing to fix.
    """
    ended = run("report", "data-quality", write("c1,m1,first_aid,today+5,coord,"))

    assert (ExitCode.SUCCESS, "Certificates read: 1. To fix: 0.\n") == (ended.code, ended.out)


def test_a_line_that_cannot_be_read_stops_nobody_else(run: Any, write: Write) -> None:
    """
    It is told with line and column, to people and to machines, and the code says that something failed.
    """
    file = write("c1,m1,first_aid,today+5,coord-1,oslo", "c2,m2,first_aid,soon,coord-1,oslo")

    ended, again = run("notify", file), run("notify", file, "--json")

    assert ExitCode.PARTIAL_SUCCESS == ended.code == again.code
    assert "line 3, column expires: 'soon' is not an end date" in ended.out
    assert "1 line could not be read. Correct the file and run the command again." in ended.out
    assert 1 == again.document["processed"]
    assert [(3, "expires")] == [(each["line"], each["column"]) for each in again.document["unread"]]
    quality = run("report", "data-quality", file, "--json")
    assert ExitCode.NEEDS_REVIEW == quality.code
    assert again.document["unread"] == quality.document["unread"]


def test_a_file_with_a_line_that_cannot_be_read_is_not_whole(run: Any, write: Write) -> None:
    """
    The line may be the one that seems to be missing: nothing is withdrawn.
    """
    lines = [f"c{number},m{number},first_aid,today+5,coord-1,oslo" for number in range(10)]
    run("notify", write(*lines))

    broken = run("notify", write(*lines[:9], "c9,m9,first_aid,soon,,oslo"), "--complete", "--json")
    whole = run("notify", write(*lines[:9]), "--complete", "--json")

    assert [0, 1] == [each.document["withdrawn"] for each in (broken, whole)]


def test_a_file_that_lacks_too_much_is_told_of_as_a_whole(run: Any, write: Write) -> None:
    """
    It is no line without a mentor, and what is really gone can be told.
    """
    lines = [f"c{number},m{number},first_aid,today+5,coord-1,oslo" for number in range(4)]
    run("notify", write(*lines))

    ended = run("notify", write(*lines[:2]), "--complete")

    assert "(whole file)  more than a fifth of the known certificates are missing; none was" in ended.out
    assert "if they are really gone, put them in the file as revoked" in ended.out


def test_no_end_is_never_due(run: Any, write: Write) -> None:
    """
    A certificate that does not run out is known, and nobody is told.
    """
    ended = run("notify", write("c1,m1,first_aid,never,coord-1,oslo"), "--json")

    assert ExitCode.SUCCESS == ended.code
    assert {"not_due": 1} == ended.document["skipped_by_reason"]

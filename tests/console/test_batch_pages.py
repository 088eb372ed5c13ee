from __future__ import annotations

import csv
import io
from datetime import date

import attrs
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from console_site import ADMIN, ANNA, BERIT, VISIT, Site, mentors

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.requests import BulkRegistrationRequest, RegistrationEntry
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.testing import LookupRegistrationService, reject, succeed
from proxy_orchestration.testing.scripted_replies import Reply


@pytest.fixture
def service(clock):
    """
    A service that refuses two of five at first; the second would take another activity.
    """
    refusals = {
        "mentor-002": reject("mentor_paused", "This mentor is on a break."),
        "mentor-004": reject("=cmd", "=HYPERLINK(x) <script>alert(1)</script>"),
    }

    def script(registration: ProxyRegistration, attempt: int) -> Reply:
        return refusals.get(registration.mentor_id, succeed()) if attempt == 1 else succeed()

    return LookupRegistrationService(clock=clock, script=script)


async def _failed(site: Site):
    """
    Return a batch of five of which two failed, and its page.
    """
    result = await site.submitted(mentors(5))
    return result, await site.get(f"/batches/{result.batch_id}")


async def _states(site: Site, batch_id: str):
    outcomes = (await site.orchestrator.get_bulk_submission_status(batch_id, actor=ANNA)).outcomes
    return [outcome.state for outcome in outcomes]


async def test_the_list_tells_status_progress_who_when_and_label(site: Site) -> None:
    """
    The newest first, each leading to its page.
    """
    await site.submitted(mentors(3), label="Walks")
    page = await site.get("/")

    assert "Walks" in page.text
    assert "Partly registered 3 of 3 done · 1 failed 21 Nov 2026 09:00 by anna" in page.text


async def test_an_empty_list_says_what_to_do(site: Site) -> None:
    """
    A newcomer is led to a new registration, an empty filter says so.
    """
    page, filtered = await site.get("/"), await site.get("/?show=failed")

    assert "Nothing is registered yet" in page.text
    assert "There is no batch to show here." in filtered.text


async def test_the_filters_show_what_they_say(site: Site) -> None:
    """
    Review, failures, not finished, stuck; an unknown filter shows all.
    """
    await site.submitted(mentors(1), label="clean")
    await site.submitted(mentors(2), label="failing")
    await site.submitted(["mentor-009"], label="open", drive=False)
    site.clock.advance(31)
    shown = {key: (await site.get(f"/?show={key}")).text for key in ("failed", "running", "stuck", "odd")}

    assert "failing" in shown["failed"]
    assert "clean" not in shown["failed"]
    assert "open" in shown["running"]
    assert "failing" not in shown["running"]
    assert "Waiting to start 0 of 1 done" in shown["stuck"]
    assert all(label in shown["odd"] for label in ("clean", "failing", "open"))


async def test_a_long_list_goes_on_behind_its_last_batch(site: Site) -> None:
    """
    Twenty on a page, then the older ones.
    """
    for number in range(21):
        await site.submitted(["mentor-001"], label=f"batch {number:02}")
    first = await site.get("/")
    path = first.html.partition('href="/console/?cursor=')[2].partition('"')[0]
    second = await site.get(f"/?cursor={path}")

    assert "batch 00" not in first.text
    assert "batch 00" in second.text
    assert "batch 01" not in second.text


async def test_a_page_has_names_counts_and_reasons(site: Site) -> None:
    """
    Counts on top, each mentor by name with state and reason; texts of a service are text.
    """
    _, page = await _failed(site)

    assert "5 submitted 3 registered 2 failed" in page.text
    assert "Person 002 mentor-002 Failed This mentor is on a break." in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.html
    assert "<script>alert" not in page.html


async def test_a_retry_has_exactly_the_failed_ticked_and_touches_nobody_else(site: Site) -> None:
    """
    One of the two is unticked: only the other is called again.
    """
    result, page = await _failed(site)
    answer = await site.post(f"/batches/{result.batch_id}/retry", page, run=1, mentor="mentor-002")
    await site.orchestrator.resume_interrupted()

    assert ["mentor-002", "mentor-004"] == page.ticked("mentor")
    assert "Only the chosen mentors are called again" in answer.text
    good = ItemState.SUCCEEDED
    assert [good, good, good, ItemState.FAILED, good] == await _states(site, result.batch_id)


async def test_all_the_failed_are_retried_at_once(site: Site) -> None:
    """
    One button, whatever the page shows.
    """
    result, page = await _failed(site)
    await site.post(f"/batches/{result.batch_id}/retry", page, run=1, everybody=1)
    await site.orchestrator.resume_interrupted()
    done = await site.get(f"/batches/{result.batch_id}")

    assert "Everybody is registered." in done.text
    assert "Retry" not in done.text


async def test_a_retry_of_a_run_that_is_over_does_nothing_and_shows_how_it_stands(site: Site) -> None:
    """
    A double click, the back button, another tab: one further run.
    """
    result, page = await _failed(site)
    path = f"/batches/{result.batch_id}/retry"
    await site.post(path, page, run=1, everybody=1)
    again = await site.post(path, page, run=1, everybody=1)

    assert 200 == again.status
    assert "Someone changed this batch after your page was loaded" in again.text
    assert 2 == (await site.orchestrator.get_batch_summary(result.batch_id, actor=ANNA)).run


async def test_a_retry_of_nobody_and_one_of_somebody_else_do_nothing(site: Site) -> None:
    """
    Nobody ticked is told; a mentor who did not fail is no choice of the page.
    """
    result, page = await _failed(site)
    path = f"/batches/{result.batch_id}/retry"
    nobody = await site.post(path, page, run=1)
    other = await site.post(path, page, run=1, mentor="mentor-001")
    odd = await site.post(path, page, run="first")

    assert "No mentor was chosen" in nobody.text
    assert (400, 400) == (other.status, odd.status)
    assert 1 == (await site.orchestrator.get_batch_summary(result.batch_id, actor=ANNA)).run


async def test_an_edited_activity_is_retried_for_that_mentor_alone(site: Site) -> None:
    """
    The form shows what was submitted; what is wrong comes back; then it is registered.
    """
    result, _ = await _failed(site)
    path = f"/batches/{result.batch_id}/items/4"
    form = await site.get(path)
    fields = {"run": 1, "activity_type": "phone_call", "activity_date": "2026-11-20", "duration_minutes": "x"}
    wrong = await site.post(path, form, **fields)
    await site.post(path, wrong, **{**fields, "duration_minutes": 20})
    await site.orchestrator.resume_interrupted()

    items = (await site.orchestrator.read_items(result.batch_id, actor=ANNA)).items
    assert 'value="home_visit"' in form.html
    assert "Person 004" in form.text
    assert 422 == wrong.status
    assert "Write whole minutes" in wrong.text
    assert ("phone_call", 20) == (items[3].activity.activity_type, items[3].activity.duration_minutes)
    assert "home_visit" == items[1].activity.activity_type
    assert ItemState.SUCCEEDED is items[3].outcome.state
    assert ItemState.FAILED is items[1].outcome.state


@pytest.mark.parametrize(("place", "status"), [("1", 200), ("6", 404), ("0", 404), ("one", 404)])
async def test_only_a_failed_item_is_edited(site: Site, place: str, status: int) -> None:
    """
    Who is registered leads back to the batch; a place that there is not is no page.
    """
    result, _ = await _failed(site)
    page = await site.get(f"/batches/{result.batch_id}/items/{place}")

    assert status == page.status
    assert "Edit and retry" not in page.text.partition("Everybody Failed")[0]


async def test_the_failed_are_a_file_without_formulas(site: Site) -> None:
    """
    With names and reasons, for a spreadsheet that would calculate what begins with a sign.
    """
    result, _ = await _failed(site)
    answer = (await site.get(f"/batches/{result.batch_id}/failed.csv")).answer
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))

    assert ["mentor-002", "mentor-004"] == [row["mentor_id"] for row in rows]
    assert "Person 002" == rows[0]["name"]
    assert "'=HYPERLINK(x) <script>alert(1)</script>" == rows[1]["reason"]
    assert "2026-11-20" == rows[0]["activity_date"]


async def test_a_hundred_rows_stand_on_a_page(site: Site) -> None:
    """
    The hundred-and-first is on the next one.
    """
    result = await site.submitted(mentors(101))
    first = await site.get(f"/batches/{result.batch_id}")
    second = await site.get(f"/batches/{result.batch_id}?after=100")

    assert "mentor-100" in first.text
    assert "mentor-101" not in first.text
    assert "mentor-101" in second.text
    assert "mentor-100" not in second.text


async def test_progress_is_told_to_a_script_only_when_something_changed(site: Site) -> None:
    """
    The version of the page stands until an item settles; then the parts come, and whether it is done.
    """
    result = await site.submitted(mentors(3), drive=False)
    path = f"/batches/{result.batch_id}"
    page = await site.get(path)
    version = page.html.partition('data-version="')[2].partition('"')[0]
    same = await site.get(f"{path}/progress?version={version}")
    await site.orchestrator.resume_interrupted()
    news = await site.get(f"{path}/progress?version={version}")

    assert "Waiting to start 0 of 3 done" in page.text
    assert 204 == same.status
    assert "yes" == news.answer.headers["x-settled"]
    assert "3 of 3 done" in news.text
    assert "Person 003" in news.text


async def test_a_batch_is_paused_and_goes_on(site: Site) -> None:
    """
    Each is a button of its own; pressing one where it does not fit changes nothing.
    """
    result = await site.submitted(mentors(3), drive=False)
    path = f"/batches/{result.batch_id}"
    paused = await site.post(f"{path}/pause", await site.get(path))
    resumed = await site.post(f"{path}/resume", paused)
    await site.orchestrator.resume_interrupted()
    late = await site.post(f"{path}/pause", resumed)

    assert "no new call begins" in paused.text
    assert "The batch continues." in resumed.text
    assert "That is not possible" in late.text


async def test_a_cancel_tells_its_four_numbers_whoever_repeats_it(site: Site) -> None:
    """
    Asked first, with a reason; then what became of every item.
    """
    result = await site.submitted(mentors(3), drive=False)
    path = f"/batches/{result.batch_id}/cancel"
    ask = await site.get(path)
    done = await site.post(path, ask, reason="Wrong week")
    again = await site.post(path, ask, reason="Wrong week")
    page = await site.get(f"/batches/{result.batch_id}")

    assert "Registered mentors stay registered." in ask.text
    for answer in (done, again):
        assert "Never begun 3 Ended while it was being cancelled 0" in answer.text
    assert "Cancelled by anna: Wrong week" in page.text
    assert "That is not possible" in (await site.get(path)).text


async def test_a_batch_is_renamed_and_deleted(site: Site) -> None:
    """
    A second press of delete finds it gone, which is what was wanted.
    """
    result = await site.submitted(mentors(1))
    path = f"/batches/{result.batch_id}"
    renamed = await site.post(f"{path}/label", await site.get(path), label="  Winter ")
    ask = await site.get(f"{path}/delete")
    gone = await site.post(f"{path}/delete", ask, seen=1)
    again = await site.post(f"{path}/delete", ask, seen=1)

    assert "Winter" in renamed.text
    assert "The batch is deleted." in gone.text
    assert (200, 404) == (again.status, (await site.get(path)).status)


async def test_who_has_no_right_to_a_batch_is_told_what_a_stranger_is(site: Site) -> None:
    """
    Another organization's batch does not exist, by any address; nothing happens to it.
    """
    result, _page = await _failed(site)
    site.sign_in(BERIT)
    form = await site.get("/new")
    path = f"/batches/{result.batch_id}"
    opened = [
        (await site.get(path + end)).status
        for end in ("", "/progress", "/failed.csv", "/review", "/cancel", "/items/2")
    ]
    sent = [
        (await site.post(path + end, form, run=1, everybody=1)).status
        for end in ("/retry", "/pause", "/cancel", "/label", "/delete", "/review", "/items/2")
    ]

    assert [404] * 6 == opened
    assert [404] * 7 == sent
    assert 1 == (await site.orchestrator.get_batch_summary(result.batch_id, actor=ANNA)).run


async def test_a_chapter_admin_sees_the_batches_of_the_organization(site: Site) -> None:
    """
    With who submitted each.
    """
    await site.submitted(mentors(1), label="Of anna")
    site.sign_in(ADMIN)

    assert "Of anna" in (await site.get("/")).text


async def test_a_store_that_is_away_is_a_page_and_loses_nothing(site: Site, monkeypatch) -> None:
    """
    503, with how soon to try again; the form that is sent again afterwards does its work.
    """
    result, page = await _failed(site)

    async def away(*_arguments: object, **_named: object) -> None:
        reason = "It is away."
        raise RepositoryUnavailableError(reason, advice="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(type(site.orchestrator.repository), "get", away)
        patch.setattr(type(site.orchestrator.repository), "list_batches", away)
        listed = await site.get("/")
        sent = await site.post(f"/batches/{result.batch_id}/retry", page, run=1, everybody=1)
    again = await site.post(f"/batches/{result.batch_id}/retry", page, run=1, everybody=1)

    for answer in (listed, sent):
        assert (503, "5") == (answer.status, answer.answer.headers["retry-after"])
        assert "Everything accepted before is safe." in answer.text
    assert "The retry is accepted." in again.text


@pytest.mark.parametrize("service", [None])
async def test_a_review_shows_both_records_and_takes_a_decision_for_each(site: Site) -> None:
    """
    Four of fifteen: nothing decided beforehand, one missing is told, then two stay and two are left out.
    """
    await site.submitted(mentors(4))
    result = await site.submitted(mentors(15))
    path = f"/batches/{result.batch_id}/review"
    review = await site.get(path)
    decisions = {f"decision:{each}": "override" for each in mentors(2)} | {"decision:mentor-003": "skip"}
    missing = await site.post(path, review, **{"run": 1, "do": "decide", **decisions})
    decisions["decision:mentor-004"] = "skip"
    done = await site.post(path, missing, **{"run": 1, "do": "decide", **decisions})
    stale = await site.post(path, missing, **{"run": 1, "do": "decide", **decisions})
    await site.orchestrator.resume_interrupted()
    page = await site.get(f"/batches/{result.batch_id}")

    assert "Of 15 mentors 4 wait for your decision." in review.text
    assert "Registered by anna Registered at 21 Nov 2026 09:00" in review.text
    assert "checked" not in review.html
    assert 422 == missing.status
    assert ["override"] == missing.ticked("decision:mentor-001")
    assert "Your decisions are stored" in done.text
    assert "Someone changed this batch" in stale.text
    assert "15 submitted 13 registered 0 failed 2 left out" in page.text
    assert 2 == page.text.count("Decided: register anyway")
    assert "Conflicts were decided by anna." in page.text


@pytest.mark.parametrize("service", [None])
async def test_all_of_a_review_are_left_out_at_once(site: Site) -> None:
    """
    Skip all, and the batch is done.
    """
    await site.submitted(mentors(2))
    result = await site.submitted(mentors(3))
    path = f"/batches/{result.batch_id}/review"
    await site.post(path, await site.get(path), run=1, do="skip_all")
    await site.orchestrator.resume_interrupted()

    summary = await site.orchestrator.get_batch_summary(result.batch_id, actor=ANNA)
    assert (BulkStatus.SUCCESS, 2) == (summary.status, summary.counts[ItemState.SKIPPED])
    assert "That is not possible" in (await site.get(path)).text


@pytest.mark.parametrize("service", [None])
@pytest.mark.parametrize("decision", [{"decision:mentor-009": "skip"}, {"decision:mentor-001": "maybe"}])
async def test_a_decision_about_somebody_else_and_one_that_is_none_do_nothing(
    site: Site, decision: dict[str, str]
) -> None:
    """
    Neither stands on any page of ours.
    """
    await site.submitted(mentors(1))
    result = await site.submitted(mentors(1))
    path = f"/batches/{result.batch_id}/review"
    answer = await site.post(path, await site.get(path), **{"run": 1, "do": "decide", **decision})

    assert 400 == answer.status


def _two_days(mentor_id: str) -> BulkRegistrationRequest:
    """
    Return a request for two days of one mentor, as a file has them, and one of another.
    """
    earlier = attrs.evolve(VISIT, activity_date=date(2026, 11, 19))
    return BulkRegistrationRequest(
        entries=[
            RegistrationEntry(mentor_id, VISIT, f"{mentor_id}/2026-11-20"),
            RegistrationEntry(mentor_id, earlier, f"{mentor_id}/2026-11-19"),
            RegistrationEntry("mentor-003", VISIT),
        ]
    )


async def test_of_a_mentor_with_two_days_each_is_retried_by_itself(site: Site) -> None:
    """
    Both rows say which day they are, one is retried alone, and then the rest at once.
    """
    request = _two_days("mentor-002")
    result = await site.orchestrator.submit_bulk_registration(request, actor=ANNA)
    page = await site.get(f"/batches/{result.batch_id}")
    path = f"/batches/{result.batch_id}/retry"
    await site.post(path, page, run=1, mentor="mentor-002/2026-11-19")
    await site.orchestrator.resume_interrupted()
    first = await _states(site, result.batch_id)
    await site.post(path, page, run=2, everybody=1)
    await site.orchestrator.resume_interrupted()

    assert ["mentor-002/2026-11-20", "mentor-002/2026-11-19"] == page.ticked("mentor")
    assert "Person 002 mentor-002 home_visit, 19 Nov 2026" in page.text
    assert [ItemState.FAILED, ItemState.SUCCEEDED, ItemState.SUCCEEDED] == first
    assert [ItemState.SUCCEEDED] * 3 == await _states(site, result.batch_id)


@pytest.mark.parametrize("service", [None])
async def test_of_a_mentor_with_two_days_each_is_decided_by_itself(site: Site) -> None:
    """
    Each card has its own day and its own answer.
    """
    request = _two_days("mentor-002")
    await site.orchestrator.submit_bulk_registration(request, actor=ANNA)
    again = attrs.evolve(request, label="again")
    result = await site.orchestrator.submit_bulk_registration(again, actor=ANNA)
    path = f"/batches/{result.batch_id}/review"
    review = await site.get(path)
    keys = [f"decision:mentor-002/2026-11-{day}" for day in (20, 19)]
    decisions = {keys[0]: "override", keys[1]: "skip", "decision:mentor-003": "skip"}
    await site.post(path, review, **{"run": 1, "do": "decide", **decisions})
    await site.orchestrator.resume_interrupted()

    assert 2 == review.text.count("19 Nov 2026")
    expected = [ItemState.SUCCEEDED, ItemState.SKIPPED, ItemState.SKIPPED]
    assert expected == await _states(site, result.batch_id)


async def test_all_are_retried_where_one_item_goes_by_the_mentor_s_id(site: Site) -> None:
    """
    As a host may name them: that id means both.
    """
    entries = [RegistrationEntry("mentor-002", VISIT), RegistrationEntry("mentor-002", VISIT, "next")]
    request = BulkRegistrationRequest(entries=entries)
    result = await site.orchestrator.submit_bulk_registration(request, actor=ANNA)
    page = await site.get(f"/batches/{result.batch_id}")
    await site.post(f"/batches/{result.batch_id}/retry", page, run=1, everybody=1)
    await site.orchestrator.resume_interrupted()

    assert [ItemState.SUCCEEDED] * 2 == await _states(site, result.batch_id)


async def test_who_was_erased_is_left_out_of_a_retry_of_all(site: Site) -> None:
    """
    The others are retried; there is no box for somebody who is registered no more.
    """
    result, _ = await _failed(site)
    await site.orchestrator.erase_mentor("mentor-002", organization_id="oslo")
    page = await site.get(f"/batches/{result.batch_id}")
    await site.post(f"/batches/{result.batch_id}/retry", page, run=1, everybody=1)
    await site.orchestrator.resume_interrupted()

    assert ["mentor-004"] == page.ticked("mentor")
    expected = [ItemState.SUCCEEDED, ItemState.FAILED, *[ItemState.SUCCEEDED] * 3]
    assert expected == await _states(site, result.batch_id)

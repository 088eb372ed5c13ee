from __future__ import annotations

import json
from functools import partial

import anyio
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from console_site import ANNA, VISIT, Site, mentors, opened_site

from proxy_orchestration.access import Actor, CoordinatorAccess, Role
from proxy_orchestration.console.decisions import carry_out_decisions
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.registration.flow import BulkSelecting, BulkSubmitting, BulkToken, SubmitBulk
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock

OVERSEER = Actor(user_id="admin", roles=frozenset({Role.CHAPTER_ADMIN}), organization_id="oslo")
FIELDS = {"activity_type": "home_visit", "activity_date": "2026-11-20", "duration_minutes": "45"}


async def _checked(site: Site, *mentor_ids: str, **fields: object):
    page = await site.get("/new")
    return await site.post(
        "/new",
        page,
        **{"state": page.hidden("state"), "mentor": list(mentor_ids), **FIELDS, "do": "check"} | fields,
    )


async def _batches(site: Site):
    return (await site.orchestrator.list_batches(actor=ANNA)).batches


async def test_an_activity_is_registered_for_everybody_chosen_once(site: Site) -> None:
    """
    Choose, look, send: one batch, whose page is shown, and which waits for whoever drives.
    """
    check = await _checked(site, *mentors(3), label="Christmas visits")
    sent = await site.post("/new/submit", check, checked=check.hidden("checked"), do="submit")
    await site.orchestrator.resume_interrupted()
    page = await site.get(sent.path.removeprefix("/console"))

    (batch,) = await _batches(site)
    assert "Person 001" in check.text
    assert f"/console/batches/{batch.batch_id}" == sent.path
    assert "The batch is accepted" in sent.text
    assert ("Christmas visits", BulkStatus.SUCCESS, 3) == (batch.label, batch.status, batch.total)
    assert "Everybody is registered." in page.text


async def test_a_new_registration_begins_with_today_and_half_an_hour(site: Site) -> None:
    """
    No mentor is chosen, whatever was registered before.
    """
    page = await site.get("/new")

    assert 'value="2026-11-21"' in page.html
    assert 'value="30"' in page.html
    assert "0 chosen" in page.text


@pytest.mark.parametrize(
    ("zone", "hours", "day"),
    [
        ("Europe/Oslo", 14.5, "2026-11-21"),
        ("Europe/Oslo", 15.5, "2026-11-22"),
        ("America/New_York", 16, "2026-11-21"),
    ],
)
async def test_a_new_registration_begins_with_no_day_that_is_still_to_come(
    clock: FakeClock, zone: str, hours: float, day: str
) -> None:
    """
    After midnight in Oslo it is the day before in UTC, by whose days an activity is of the future.
    """
    repository = MemoryActivityRepository(clock=clock)
    service = StandardRegistrationService(repository=repository, clock=clock)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=service, repository=repository, clock=clock
    )
    async with opened_site(orchestrator, clock, timezone=zone) as site:
        await clock.sleep(hours * 3600)
        page = await site.get("/new")

    assert f'name="activity_date" value="{day}"' in page.html


async def test_a_double_click_and_the_back_button_register_once(site: Site) -> None:
    """
    The same form sent again, before and after the batch is done, leads to the same batch.
    """
    check = await _checked(site, *mentors(2))
    state = check.hidden("checked")
    first = await site.post("/new/submit", check, checked=state, do="submit")
    second = await site.post("/new/submit", check, checked=state, do="submit")
    await site.orchestrator.resume_interrupted()
    third = await site.post("/new/submit", check, checked=state, do="submit")

    assert first.path == second.path == third.path
    assert 1 == len(await _batches(site))


async def test_a_form_whose_batch_was_deleted_says_so(site: Site) -> None:
    """
    A page that was left open: there is no earlier batch in the list, and it is told what to do.
    """
    check = await _checked(site, *mentors(2))
    state = check.hidden("checked")
    await site.post("/new/submit", check, checked=state, do="submit")
    await site.orchestrator.resume_interrupted()
    (batch,) = await _batches(site)
    await site.orchestrator.delete_batch(batch.batch_id, actor=ANNA)

    again = await site.post("/new/submit", check, checked=state, do="submit")

    assert 409 == again.status
    assert "What it registered stays registered. To register more, begin a new registration." in again.text
    assert "in the list" not in again.text
    assert not await _batches(site)


async def test_a_search_keeps_who_was_chosen_and_what_was_typed(site: Site) -> None:
    """
    Without scripts each search is a form: ticks beyond the list stay, and unticked ones go.
    """
    page = await site.get("/new")
    first = await site.post(
        "/new",
        page,
        state="",
        seen=mentors(30),
        mentor=["mentor-001", "mentor-020"],
        query="Person 02",
        do="search",
    )
    found = await site.post(
        "/new", first, state=first.hidden("state"), seen=["mentor-020", "mentor-021"], mentor=["mentor-021"],
        query="Person 02", duration_minutes="30", do="search",
    )  # fmt: skip

    assert ["mentor-021"] == found.ticked("mentor")
    assert ["mentor-001", "mentor-021"] == json.loads(found.hidden("state"))["mentors"]
    assert "2 chosen" in found.text
    assert 'value="30"' in found.html


async def test_choosing_all_takes_everybody_whom_the_search_finds_and_nobody_else(site: Site) -> None:
    """
    Select-all respects the filter, and goes beyond what fits on the page.
    """
    site.directory.known = {each: f"Person {each[-3:]}" for each in mentors(80)} | {"other": "Somebody else"}
    page = await site.get("/new")

    chosen = await site.post("/new", page, state="", query="Person", do="all")
    none = await site.post("/new", chosen, state=chosen.hidden("state"), query="Person", do="none")

    assert mentors(80) == json.loads(chosen.hidden("state"))["mentors"]
    assert "80 chosen" in chosen.text
    assert [] == json.loads(none.hidden("state"))["mentors"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mentor": []}, "No mentor is chosen"),
        ({"activity_type": ""}, "Fill this in."),
        ({"activity_date": "21.11.2026"}, "Write a date as year-month-day"),
        ({"duration_minutes": "0"}, "Write whole minutes"),
        ({"duration_minutes": "a while"}, "Write whole minutes"),
        ({"notes": "x\x00y"}, "cannot be stored"),
    ],
)
async def test_a_form_that_is_not_complete_comes_back_with_what_is_missing(
    site: Site, fields: dict[str, object], told: str
) -> None:
    """
    Nothing is stored, and nothing typed is lost.
    """
    page = await _checked(site, "mentor-001", **fields)

    assert 422 == page.status
    assert told in page.text
    assert [] == list(await _batches(site))
    assert fields.get("mentor", ["mentor-001"]) == json.loads(page.hidden("state"))["mentors"]


async def test_rows_of_the_confirmation_can_be_removed_and_back_keeps_the_form(site: Site) -> None:
    """
    Who is removed is not registered; Back shows what was entered.
    """
    check = await _checked(site, *mentors(3), notes="Coffee")
    fewer = await site.post("/new/submit", check, checked=check.hidden("checked"), do="remove:mentor-002")
    back = await site.post("/new/submit", fewer, checked=fewer.hidden("checked"), do="back")

    assert ["mentor-001", "mentor-003"] == json.loads(fewer.hidden("checked"))["form"]["mentors"]
    assert ["mentor-001", "mentor-003"] == json.loads(back.hidden("state"))["mentors"]
    assert ["mentor-001", "mentor-003"] == back.ticked("mentor")
    assert "Coffee" in back.text


async def test_conflicts_are_shown_beside_the_new_record_and_each_needs_a_decision(site: Site) -> None:
    """
    Two of five are registered already: nothing is decided beforehand, and nothing written before it is.
    """
    await site.submitted(mentors(2))
    check = await _checked(site, *mentors(5))
    state = check.hidden("checked")
    undecided = await site.post(
        "/new/submit", check, **{"checked": state, "decision:mentor-001": "skip", "do": "submit"}
    )

    assert "2 mentors have such a record already" in check.text
    assert "Exists already" in check.text
    assert "Registered by anna" in check.text
    assert [] == check.ticked("decision:mentor-001")
    assert 422 == undecided.status
    assert ["skip"] == undecided.ticked("decision:mentor-001")
    assert "Decide about this mentor." in undecided.text
    assert 1 == len(await _batches(site))


async def test_the_conflicts_can_be_left_out_at_once_and_the_rest_registered(site: Site) -> None:
    """
    Skip all: three of five are submitted.
    """
    await site.submitted(mentors(2))
    check = await _checked(site, *mentors(5))
    await site.post("/new/submit", check, checked=check.hidden("checked"), do="skip_all")

    assert [3, 2] == [batch.total for batch in await _batches(site)]


async def test_everybody_left_out_submits_nothing(site: Site) -> None:
    """
    Decisions that leave nobody come back with what to do.
    """
    await site.submitted(mentors(1))
    check = await _checked(site, *mentors(1))
    page = await site.post(
        "/new/submit",
        check,
        **{"checked": check.hidden("checked"), "decision:mentor-001": "skip", "do": "submit"},
    )

    assert 422 == page.status
    assert "Every mentor is left out" in page.text


async def test_an_override_decided_before_is_carried_out_without_asking_twice(site: Site) -> None:
    """
    Registered all the same, once the batch met the conflict; the other one is left out.
    """
    await site.submitted(mentors(2))
    check = await _checked(site, *mentors(2))
    decisions = {"decision:mentor-001": "override", "decision:mentor-002": "skip"}
    fields = {"checked": check.hidden("checked"), "do": "submit"} | decisions
    async with anyio.create_task_group() as group, site.driving():
        # The answer is there at once; in this test's browser it comes once what follows it is done.
        group.start_soon(partial(site.post, "/new/submit", check, **fields))
        batch = await site.settled_batch(run=2)
    page = await site.get(f"/batches/{batch.batch_id}")

    assert {ItemState.SUCCEEDED: 1} == dict(batch.counts)
    assert "Decided: register anyway" in page.text


@pytest.mark.parametrize(
    "state",
    ["{", "[]", '{"form": {}}', '{"form": null, "key": "k", "conflicts": [], "refused": []}'],
)
async def test_a_form_that_was_changed_on_its_way_does_nothing(site: Site, state: str) -> None:
    """
    What no page of ours wrote is refused, and is no error of ours.
    """
    page = await site.get("/new")
    answer = await site.post("/new/submit", page, checked=state, do="submit")
    other = await site.post("/new", page, state=state, do="search")

    assert 400 == answer.status == other.status
    assert "changed on its way" in answer.text


async def test_a_directory_that_is_away_costs_names_and_no_page(site: Site) -> None:
    """
    The form stays, what was chosen is kept, and the person is told.
    """
    site.directory.fails = True
    page = await site.get("/new")
    result = await site.submitted(mentors(1))
    batch = await site.get(f"/batches/{result.batch_id}")

    assert (200, 200) == (page.status, batch.status)
    assert "The directory of mentors does not answer" in page.text
    assert "Names cannot be looked up at present" in batch.text
    assert "mentor-001" in batch.text


@pytest.mark.parametrize("parts", [{"directory": None}])
async def test_without_a_directory_ids_are_pasted(site: Site) -> None:
    """
    One on each line; a batch page shows ids.
    """
    page = await site.get("/new")
    added = await site.post("/new", page, state="", ids="m-1\r\nm-2  m-2\n", do="search")
    check = await site.post("/new", added, state=added.hidden("state"), ids="m-3", do="check", **FIELDS)

    assert "2 chosen" in added.text
    assert ["m-1", "m-2", "m-3"] == json.loads(check.hidden("checked"))["form"]["mentors"]


async def test_who_may_not_be_registered_for_is_told_before(site: Site) -> None:
    """
    The coordinator herself would be refused: the confirmation says so.
    """
    check = await _checked(site, "mentor-001", "anna")

    assert "1 mentor will be refused" in check.text


async def test_an_id_that_is_nobodys_is_told_and_the_form_kept(site: Site) -> None:
    """
    A filler that a spreadsheet gives is an error that a person can correct.
    """
    page = await _checked(site, "mentor-001", "NULL")

    assert 422 == page.status
    assert "A value that was entered cannot be used" in page.text


async def test_a_store_that_is_away_at_the_last_press_brings_the_page_back_under_its_key(
    site: Site, monkeypatch
) -> None:
    """
    503, and the same form once more; sent again it is one batch, whatever was stored the first time.
    """
    check = await _checked(site, *mentors(2))
    state = check.hidden("checked")

    async def away(*_arguments: object, **_named: object) -> None:
        reason = "It is away."
        raise RepositoryUnavailableError(reason, advice="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(type(site.orchestrator.repository), "accept", away)
        page = await site.post("/new/submit", check, checked=state, do="submit")
    again = await site.post("/new/submit", page, checked=page.hidden("checked"), do="submit")

    assert 503 == page.status
    assert "The store does not answer." in page.text
    assert state == page.hidden("checked")
    assert "The batch is accepted." in again.text
    assert 1 == len(await _batches(site))


async def test_a_removed_last_row_leads_back_to_the_form(site: Site) -> None:
    """
    Nobody is left to look at.
    """
    check = await _checked(site, "mentor-001")
    page = await site.post("/new/submit", check, checked=check.hidden("checked"), do="remove:mentor-001")

    assert "0 chosen" in page.text
    assert 200 == page.status


async def test_decisions_that_cannot_be_carried_out_are_noted_and_raise_nothing(site: Site, caplog) -> None:
    """
    The batch was deleted meanwhile: the request that submitted it ends quietly.
    """
    caplog.set_level("INFO", "proxy_orchestration.console")
    state = BulkSubmitting(
        effect=SubmitBulk(token=BulkToken(1), request=BulkRegistrationRequest.for_mentors(["m"], VISIT)),
        origin=BulkSelecting(),
        mentor_ids=frozenset({"m"}),
        total=1,
    )
    await carry_out_decisions(site.orchestrator, state, batch_id="gone", actor=ANNA)

    assert [
        "the decisions about batch gone could not be carried out; its mentors still wait for a review"
    ] == caplog.messages


async def test_who_may_not_register_is_led_to_no_form(site: Site) -> None:
    """
    A chapter admin reads batches: no page has a link to a new one, and each form of one is refused.
    """
    begun = await site.get("/new")
    site.sign_in(OVERSEER)
    pages = [await site.get(path) for path in ("/", "/status")]
    refused = await site.get("/new")
    chosen = await site.post("/new", begun, do="check")
    sent = await site.post("/new/submit", begun, do="submit")

    assert [False, False] == ["/console/new" in each.html for each in pages]
    assert [403, 403, 403] == [each.status for each in (refused, chosen, sent)]
    assert "Your role does not allow this" in refused.text
    assert "/console/new" not in refused.html


async def test_a_policy_that_fails_costs_no_page_about_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Whether the person may register is not known then, so the link stays.
    """

    def fails(*_: object) -> bool:
        message = "a secret of the host's"
        raise OSError(message)

    monkeypatch.setattr(CoordinatorAccess, "allows", fails)
    page = await site.get("/")

    assert 500 == page.status
    assert "/console/new" in page.html
    assert "the access policy did not answer: OSError" in caplog.messages
    assert "secret" not in caplog.text

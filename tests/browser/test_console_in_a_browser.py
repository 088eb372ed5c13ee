"""
The console in a real browser: every page and story, with and without scripts, wide and narrow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from anyio.from_thread import start_blocking_portal

pytest.importorskip("playwright")
pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.session import EXAMPLE
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import LookupRegistrationService

T = TypeVar("T")

_DAY = (SystemClock().now() - timedelta(days=20)).date()
_WALK = ProxyActivity(activity_type="walk_and_talk", activity_date=_DAY, duration_minutes=30)
ANNA = Actor(user_id="anna", roles=frozenset({Role.COORDINATOR}), organization_id="oslo")
VISITS = "Home visits before Christmas"
WALKS = "All walks of the week"
EVERY_PAGE = ("/", "/new", "/status", "/certificates", "/certificates/quality", "/certificates/messages")
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}

# Links in running text are exempt (WCAG 2.2, 2.5.8); a box counts with the label that it can be pressed by.
SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, select, summary, input, textarea')]
  .filter((each) => !each.closest(".unseen, .skip, p:not(.trail), [type=hidden]"))
  .filter((each) => each.offsetParent !== null)
  .map((each) => each.closest('label') || each)
  .filter((each) => each.getBoundingClientRect().height < 43.9 || each.getBoundingClientRect().width < 43.9)
  .map((each) => each.outerHTML.slice(0, 120))"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def _pages(visitor: Any) -> list[str]:
    visits, walks = visitor.batch(VISITS), visitor.batch(WALKS)
    return [*EVERY_PAGE, "/certificates/nights", visits, f"{visits}/items/14", f"{walks}/review", "/nothing"]


@pytest.mark.parametrize(("width", "locale"), [(1280, "en-GB"), (360, "nb-NO")])
def test_no_page_keeps_anybody_out(visit: Any, width: int, locale: str) -> None:
    """
    axe-core finds nothing against WCAG 2.2 AA; targets are 44 px; nothing is wider than the window.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    visitor = visit(width=width, locale=locale)
    found: dict[str, object] = {}
    for path in _pages(visitor):
        visitor.open(path)
        violations = axe.run(visitor.page, options=WCAG).response["violations"]
        found[f"{path} axe"] = [(each["id"], each["nodes"][0]["html"][:150]) for each in violations]
        found[f"{path} small"] = visitor.page.evaluate(SMALL_TARGETS)
        found[f"{path} wide"] = max(0, visitor.page.evaluate(TOO_WIDE))
        assert locale[:2] == visitor.page.locator("html").get_attribute("lang")

    assert {} == {what: problem for what, problem in found.items() if problem}
    assert [] == visitor.problems


@pytest.mark.parametrize(("width", "locale"), [(1280, "nb-NO"), (360, "en-GB")])
def test_the_other_language_fits_into_the_window_too(visit: Any, width: int, locale: str) -> None:
    """
    Longer words make no page wider, and no target smaller.
    """
    visitor = visit(width=width, locale=locale)
    found: dict[str, object] = {}
    for path in _pages(visitor):
        visitor.open(path)
        found[f"{path} small"] = visitor.page.evaluate(SMALL_TARGETS)
        found[f"{path} wide"] = max(0, visitor.page.evaluate(TOO_WIDE))

    assert {} == {what: problem for what, problem in found.items() if problem}


def test_the_first_page_is_small_and_does_not_jump(visit: Any) -> None:
    """
    60 kB at most with all that it loads, and no layout shift.
    """
    visitor = visit()
    answers: list[Any] = []
    visitor.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - it takes no built-in
    visitor.open("/")
    sizes = [len(answer.body()) for answer in answers]
    shift = visitor.page.evaluate(
        """() => new Promise((tell) => new PerformanceObserver((list) => {
             tell(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)); })
           .observe({type: 'layout-shift', buffered: true}) || setTimeout(() => tell(0), 300))"""
    )

    assert 3 == len(sizes)
    assert sum(sizes) <= 60_000
    assert 0 == shift


def _tab_to(page: Any, target: Any) -> None:
    """
    Press Tab until the target has the focus, which has to be seen.
    """
    for _ in range(150):
        page.keyboard.press("Tab")
        if target.evaluate("(each) => each === document.activeElement"):
            assert "none" != target.evaluate("(each) => getComputedStyle(each).outlineStyle")
            return
    msg = "nobody gets there with the keyboard"
    raise AssertionError(msg)


def test_a_newcomer_registers_mends_and_retries_with_the_keyboard_alone(visit: Any) -> None:
    """
    In a narrow window: search, choose all, describe, look, send; one is refused and is registered edited.
    """
    visitor = visit(width=360)
    page = visitor.page
    visitor.open("/new")
    _tab_to(page, page.get_by_label("Search by name"))
    page.keyboard.type("Nils")
    page.keyboard.press("Enter")
    _tab_to(page, page.get_by_label("Nils Eksempel"))
    page.keyboard.press("Space")
    assert "1 chosen" in page.get_by_role("status").first.inner_text()
    _tab_to(page, page.get_by_label("Kind of activity"))
    page.keyboard.press("H")  # one letter: a pause within a word begins another
    _tab_to(page, page.get_by_role("button", name="Check everything"))
    page.keyboard.press("Enter")
    _tab_to(page, page.get_by_role("button", name="Register for 1 mentor"))
    page.keyboard.press("Enter")
    page.get_by_text("None registered").wait_for()
    _tab_to(page, page.get_by_role("link", name="Edit and retry"))
    page.keyboard.press("Enter")
    _tab_to(page, page.get_by_label("Kind of activity"))
    page.keyboard.press("P")
    _tab_to(page, page.get_by_role("button", name="Retry with these changes"))
    page.keyboard.press("Enter")
    page.get_by_text("Everybody is registered.").wait_for()

    assert "1 registered" in page.locator("#live .numbers").inner_text().replace("\n", " ")
    assert [] == visitor.problems


def test_every_story_works_without_scripts(visit: Any) -> None:
    """
    Thirty chosen at once, three of them removed, registered; conflicts decided; failures retried.
    """
    page = (visitor := visit(scripts=False, locale="nb-NO")).page
    visitor.open("/new")
    page.get_by_label("Søk etter navn").fill("Oslo east")
    page.get_by_role("button", name="Søk", exact=True).last.click()
    page.get_by_role("button", name="Velg alle som ble funnet").click()
    page.get_by_label("Type aktivitet").select_option("group_meeting")
    page.get_by_label("Dato").fill(_DAY.isoformat())
    page.get_by_label("Minutter").fill("90")
    page.get_by_role("button", name="Se over alt").click()
    page.get_by_role("button", name="Fjern Astrid Eksempel").click()
    page.get_by_role("button", name="Registrer for 13 likepersoner").click()
    page.get_by_text("Innsendingen er mottatt").wait_for()
    again, over = page.locator("#live[data-live] noscript a"), page.locator("#live:not([data-live])")
    again.or_(over).wait_for()  # by its place: Playwright looks for no text in there
    while again.count():
        again.click()
        again.or_(over).wait_for()  # on whichever page is there by then
    told = page.locator("#live .numbers").inner_text().splitlines()
    assert ["13 sendt inn", "12 registrert", "1 mislyktes"] == told

    visitor.open(f"{visitor.batch(WALKS)}/review")
    for name in ("Astrid", "Bjarne", "Cecilie", "Dag"):
        page.get_by_role("group", name=f"{name} Eksempel").get_by_label("Utelat").check()
    page.get_by_role("button", name="Utfør disse avgjørelsene").click()

    assert "Avgjørelsene dine er lagret" in page.locator("main").inner_text()


def _outside(work: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """
    Do something asynchronous in a thread of its own: the browser's driver has a loop in this one.
    """
    with start_blocking_portal() as portal:
        return portal.call(work, *arguments)


async def _accepted(store: object, mentor_ids: list[str], activity: ProxyActivity) -> str:
    """
    Return a batch that the console is to drive.
    """
    request = BulkRegistrationRequest.for_mentors(mentor_ids, activity)
    async with SqlActivityRepository.open(f"sqlite:///{store}") as repository:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=LookupRegistrationService(), repository=repository, service_name=EXAMPLE
        )
        result = await orchestrator.submit_bulk_registration(request, actor=ANNA, drive=False)
    return result.batch_id


async def _records(store: object, batch_id: str) -> list[str]:
    async with SqlActivityRepository.open(f"sqlite:///{store}") as repository:
        found = await repository.activities_of_batch(batch_id)
    return [record.registration.mentor_id for record in found]


def test_two_tabs_decide_the_same_review_and_one_counts(visit: Any, console: Any) -> None:
    """
    The second is told, and sees how the batch stands.
    """
    page = (visitor := visit()).page
    other = page.context.new_page()
    ids = ["mentor-130", "mentor-131"]
    for _ in range(2):
        batch_id = _outside(_accepted, console.store, ids, _WALK)
        visitor.open(f"/batches/{batch_id}")
        page.get_by_role("link", name="Review 2 conflicts").or_(
            page.get_by_text("Everybody is registered.")
        ).wait_for()
    for tab in (page, other):
        tab.goto(console.url(f"/batches/{batch_id}/review"))
    page.get_by_role("button", name="Leave all of these out").click()
    page.get_by_text("Your decisions are stored").wait_for()
    for group in other.get_by_role("group").filter(has_text="Exists already").all():
        group.get_by_label("Register anyway").check()
    other.get_by_role("button", name="Carry out these decisions").click()
    other.get_by_text("Someone changed this batch after your page was loaded").wait_for()

    assert "2 left out" in other.locator("#live .numbers").inner_text().replace("\n", " ")


def test_two_hundred_are_watched_to_their_end_although_the_server_is_killed(visit: Any, console: Any) -> None:
    """
    The page says that the connection is lost, goes on by itself, and each mentor has one record.
    """
    visitor = visit()
    batch_id = _outside(_accepted, console.store, [f"member-{number:03}" for number in range(200)], _WALK)
    visitor.open(f"/batches/{batch_id}")
    page = visitor.page
    page.wait_for_function("() => document.querySelector('#live progress').value > 20")
    console.kill()  # of those from 100 on none was registered, however late the browser is
    page.get_by_text("The connection is lost.").wait_for()
    console.start()
    page.get_by_text("Everybody is registered.").wait_for()

    records = _outside(_records, console.store, batch_id)
    assert 200 == len(records) == len(set(records))
    assert "Everybody is registered." in page.locator("main").inner_text()
    assert page.evaluate("() => document.activeElement.tagName === 'H1'")
    assert [] == visitor.problems

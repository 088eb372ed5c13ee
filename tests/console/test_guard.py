from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from console_site import ADDRESS, ANNA, BERIT, Directory, Site, mentors, site_of
from fastapi import FastAPI, HTTPException

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.console import Mentor, create_console
from proxy_orchestration.errors import InvalidTypeError, InvalidValueError, MisconfiguredError


async def _attempt(site: Site, *, headers: dict[str, str], **fields: object):
    result = await site.submitted(mentors(1))
    form = {"form_token": (await site.get("/new")).hidden("form_token"), "label": "Changed", **fields}
    answer = await site.browser.post(f"/console/batches/{result.batch_id}/label", data=form, headers=headers)
    label = (await site.orchestrator.get_batch_summary(result.batch_id, actor=ANNA)).label
    return answer.status_code, label


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ADDRESS}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({}, 403),
    ],
)
async def test_a_form_is_taken_from_a_page_of_this_address_only(
    site: Site, headers: dict[str, str], status: int
) -> None:
    """
    A page of another site may send any form; it cannot say that it is ours.
    """
    assert (status, "Changed" if status == 200 else None) == await _attempt(site, headers=headers)


@pytest.mark.parametrize("token", ["", "0" * 64, "nå"])
async def test_a_form_without_the_persons_token_does_nothing(site: Site, token: str) -> None:
    """
    Guessed, left out, or of another alphabet.
    """
    assert (403, None) == await _attempt(site, headers={"origin": ADDRESS}, form_token=token)


async def test_a_form_of_somebody_else_does_nothing(site: Site) -> None:
    """
    Who signed in meanwhile does not do what the one before filled in.
    """
    page = await site.get("/new")
    site.sign_in(BERIT)
    answer = await site.post("/new", page, state="", do="search")

    assert 403 == answer.status
    assert "made for another session" in answer.text


async def test_a_session_that_ended_is_told_and_nothing_is_done(site: Site) -> None:
    """
    Between form and submit: 401, and what to do.
    """
    page = await site.get("/new")
    site.sign_in(None)
    answer = await site.post("/new", page, state="", do="search")
    listed = await site.get("/")

    assert (401, 401) == (answer.status, listed.status)
    assert "You are no longer signed in" in answer.text
    assert "Signed in as" not in answer.text


async def test_a_mentor_may_do_nothing_here(site: Site) -> None:
    """
    Roles are asked at every verb, whatever the host let through.
    """
    site.sign_in(Actor(user_id="mia", roles=frozenset({Role.PEER_MENTOR}), organization_id="oslo"))
    page = await site.get("/")

    assert 403 == page.status
    assert "Your role does not allow this" in page.text


async def test_a_mentor_named_with_a_script_is_text(site: Site) -> None:
    """
    Wherever a name stands: lists, chips, labels, results.
    """
    name = '<script>alert("x")</script>'
    site.directory.known = {"mentor-001": name}
    result = await site.submitted(["mentor-001"], label=name)
    pages = [await site.get(path) for path in ("/", "/new", f"/batches/{result.batch_id}")]

    for page in pages:
        assert "<script>alert" not in page.html
        assert name in page.text


async def test_every_answer_is_guarded_by_its_headers(site: Site) -> None:
    """
    Pages, refusals and files: no content of others, no frame, nothing kept.
    """
    for path in ("/", "/no-such-page", "/static/console.js"):
        headers = (await site.get(path)).answer.headers

        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert "nosniff" == headers["x-content-type-options"]
        assert "same-origin" == headers["referrer-policy"]
    assert "no-store" == (await site.get("/")).answer.headers["cache-control"]
    assert "max-age" in (await site.get("/static/console.css")).answer.headers["cache-control"]


async def test_no_page_has_anything_inline_or_from_elsewhere(site: Site) -> None:
    """
    What the policy forbids is not there to be forbidden.
    """
    result = await site.submitted(mentors(2))
    for path in ("/", "/new", "/status", f"/batches/{result.batch_id}"):
        html = (await site.get(path)).html

        assert " style=" not in html
        assert "<style" not in html
        assert " onclick" not in html
        assert "://" not in html


# The test's browser leaves the rest of its own body unread.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=" + b"x" * 4_000_001, "application/x-www-form-urlencoded", 413),
        (b"a=1&" * 25_001, "application/x-www-form-urlencoded", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"a=\xff", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_what_is_no_form_or_too_large_is_told(
    site: Site, content: bytes, kind: str, status: int
) -> None:
    """
    Each is a page with a status of its own, and nothing is read into memory beyond the limit.
    """
    headers = {"origin": ADDRESS, "content-type": kind}
    answer = await site.browser.post("/console/new", content=content, headers=headers)

    assert status == answer.status_code
    assert "This form could not be accepted" in answer.text


async def test_an_error_of_ours_is_a_page_and_is_noted(site: Site, monkeypatch, caplog) -> None:
    """
    No trace, no words of the error; the log has its type.
    """

    async def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("canary")  # noqa: EM101 - what must not be shown

    monkeypatch.setattr(type(site.orchestrator.repository), "list_batches", broken)
    page = await site.get("/")

    assert 500 == page.status
    assert "Something went wrong here" in page.text
    assert "canary" not in page.html
    assert "canary" not in caplog.text
    assert "default-src 'none'" in page.answer.headers["content-security-policy"]


async def test_a_host_may_lead_to_its_own_sign_in_page(site: Site) -> None:
    """
    A redirect that the dependency raises stays one.
    """

    def actor() -> Actor:
        raise HTTPException(303, headers={"location": "/sign-in"})

    app = FastAPI()
    app.mount("/console", create_console(site.orchestrator, actor=actor))
    site.browser._transport = type(site.browser._transport)(app)
    answer = await site.browser.get("/console/", follow_redirects=False)

    assert (303, "/sign-in") == (answer.status_code, answer.headers["location"])


@pytest.mark.parametrize(
    ("unfit", "error"),
    [
        ({"secret": b"short"}, InvalidValueError),
        ({"secret": "s" * 32}, InvalidTypeError),
        ({"language": "de"}, InvalidValueError),
        ({"language": ["nb"]}, InvalidTypeError),
        ({"timezone": "Europe/Olso"}, InvalidValueError),
        ({"timezone": 1}, InvalidTypeError),
        ({"title": None}, InvalidTypeError),
        ({"trusted_origins": "https://admin.example"}, InvalidTypeError),
        ({"activity_types": ["visit"]}, InvalidTypeError),
        ({"activity_types": {"visit": 1}}, InvalidTypeError),
        ({"activity_types": []}, InvalidTypeError),
        ({"actor": ANNA}, MisconfiguredError),
        ({"dispatcher": object()}, MisconfiguredError),
        ({"records": object()}, MisconfiguredError),
        ({"directory": object()}, MisconfiguredError),
        ({"notifications": object()}, MisconfiguredError),
        ({"certificates": object()}, MisconfiguredError),
    ],
)
async def test_a_part_that_does_not_fit_is_told_at_once(
    site: Site, unfit: dict[str, object], error: type[Exception]
) -> None:
    """
    Before any page is asked for.
    """
    with pytest.raises(error):
        create_console(site.orchestrator, **{"actor": lambda: ANNA, **unfit})


@pytest.mark.parametrize("zone", ["Europe/Oslo", ZoneInfo("Europe/Oslo")], ids=["name", "zone"])
async def test_moments_are_shown_in_the_zone_that_is_named(site: Site, zone: str | ZoneInfo) -> None:
    """
    By its name or as a zone; at nine in UTC it is ten in Oslo.
    """
    await site.submitted(mentors(1))
    app, _ = site_of(site.orchestrator, timezone=zone, directory=Directory())
    site.browser._transport = type(site.browser._transport)(app)

    page = await site.get("/")

    assert 200 == page.status
    assert "10:00" in page.text
    assert "09:00" not in page.text


def test_a_console_without_an_orchestrator_is_refused_at_once() -> None:
    """
    By its name, and not by what it lacks.
    """
    with pytest.raises(MisconfiguredError, match="Give a BulkRegistrationOrchestrator"):
        create_console("orchestrator", actor=lambda: ANNA)


async def test_an_actor_that_is_none_is_the_hosts_mistake(site: Site) -> None:
    """
    A dictionary of claims is no actor: an error, and never somebody's page.
    """
    site.signed_in[0] = {"sub": "anna"}

    assert 500 == (await site.get("/")).status


async def test_a_console_behind_another_name_takes_its_own_origin(site: Site) -> None:
    """
    Where a proxy changes the host, the host names the address.
    """
    app, _ = site_of(site.orchestrator, trusted_origins=["https://admin.example/"], directory=Directory())
    site.browser._transport = type(site.browser._transport)(app)

    assert (200, "Changed") == await _attempt(site, headers={"origin": "https://admin.example"})


def test_a_name_is_in_no_repr() -> None:
    """
    A log of a mentor has the id.
    """
    assert "Kari" not in repr(Mentor(mentor_id="m-1", name="Kari", hint="Kari's chapter"))

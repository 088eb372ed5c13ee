from __future__ import annotations

import re
from datetime import UTC

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("babel")
pytest.importorskip("jinja2")

from babel.messages.pofile import read_po
from console_messages import CONSOLE, messages_in_code, reasons
from console_site import Site, mentors

from proxy_orchestration.console.batch_pages import reason_in
from proxy_orchestration.console.former_reasons import _TODAY
from proxy_orchestration.console.languages import Words, chosen
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.reasons import UNKNOWN

_PLACES = re.compile(r"%\(\w+\)s")


def _catalogue():
    with (CONSOLE / "locale" / "nb.po").open("rb") as file:
        return read_po(file, locale="nb")


def test_every_message_has_its_bokmal_and_none_is_left_over() -> None:
    """
    What stands in code and templates is what the catalogue translates, the library's own reasons included.
    """
    in_code = {message.id for message in messages_in_code() if message.id}
    translated = {message.id for message in _catalogue() if message.id and all(_forms(message.string))}

    assert in_code == translated
    assert len(reasons()) > 15


def _forms(string: object) -> tuple[str, ...]:
    return string if isinstance(string, tuple) else (str(string),)


def test_every_translation_fills_in_what_the_message_does() -> None:
    """
    A place that is missing, or misspelt, would be an error on a page.
    """
    odd = []
    for message in _catalogue():
        if message.id:
            wanted = set(_PLACES.findall(_forms(message.id)[-1]))
            odd += [each for each in _forms(message.string) if not set(_PLACES.findall(each)) <= wanted]
            odd += [] if set(_PLACES.findall(_forms(message.string)[-1])) == wanted else [message.id]

    assert [] == odd


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "nb-NO,nb;q=0.9,en;q=0.8", "nb"),
        (None, "nn", "nb"),
        (None, "de,en-US;q=0.7,nb;q=0.3", "en"),
        (None, "en;q=0.2, no;q=0.9", "nb"),
        (None, "nb;q=0", "en"),
        (None, "nb;q=much", "en"),
        (None, "", "en"),
        ("nb", "en", "nb"),
        ("xx", "nb", "nb"),
    ],
)
def test_the_language_is_the_chosen_one_or_what_the_browser_asks_for(
    cookie: str | None, accepted: str, language: str
) -> None:
    """
    A choice wins, then the header's weights, then the console's own.
    """
    assert language == chosen(cookie, accepted, "en")


async def test_a_page_is_told_whole_in_bokmal_and_a_choice_is_kept(site: Site) -> None:
    """
    Words, dates and reasons; the link leads back to the page.
    """
    result = await site.submitted(["anna", *mentors(2)])
    path = f"/batches/{result.batch_id}?show=failed"
    page = await site.get(path, **{"accept-language": "nb"})
    chosen_page = await site.get(f"/language?to=en&back={path.replace('?', '%3F')}")
    later = await site.get(path, **{"accept-language": "nb"})

    assert '<html lang="nb">' in page.html
    assert "sendt inn av anna, 21. nov. 2026 09:00" in page.text
    assert "Koordinatorer kan ikke registrere en aktivitet for seg selv." in page.text
    assert ("/console" + path, "en") == (str(chosen_page.answer.url.raw_path, "ascii"), "en")
    assert "submitted by anna, 21 Nov 2026" in later.text


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example", "/\\evil.example", ""])
async def test_choosing_a_language_leads_nowhere_else(site: Site, back: str) -> None:
    """
    An address from a mail cannot send anybody to another site.
    """
    page = await site.get(f"/language?to=nb&back={back}")

    assert "console.example" == page.answer.url.host
    assert "/console/" == page.path


async def test_a_language_that_there_is_not_is_no_page(site: Site) -> None:
    """
    Nothing is set.
    """
    assert 404 == (await site.get("/language?to=xx")).status


FORMER = "The service's answer never arrived; a retry finds out without registering twice."


@pytest.mark.parametrize(("language", "told"), [("nb", "Tjenesten svarte ikke"), ("en", UNKNOWN.message)])
def test_a_reason_that_an_earlier_version_stored_says_what_it_says_today(language: str, told: str) -> None:
    """
    In the reader's language: the catalogue has today's sentences only. A host's own are shown as they are.
    """
    words = Words(language=language, timezone=UTC)

    assert reason_in(words, Failure(code=UNKNOWN.code, message=FORMER, retryable=True)).startswith(told)
    assert "Own words." == reason_in(words, Failure(code="refused", message="Own words.", retryable=False))


def test_every_former_reason_has_one_of_today() -> None:
    """
    Which the catalogue translates.
    """
    translated = {message.id for message in _catalogue()}

    assert 12 == len(_TODAY)
    assert set(_TODAY.values()) <= translated
    assert not set(_TODAY) & translated

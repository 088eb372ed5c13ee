"""
The pages of all settings and all errors are those that the code makes, and leave nothing out.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs
import pytest

for _library in ("sqlalchemy", "httpx", "google.auth", "fastapi", "babel"):
    pytest.importorskip(_library)

pytestmark = pytest.mark.dateless

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module", autouse=True)
def _on_the_path() -> Iterator[None]:
    """
    The package that makes the pages lies beside them.
    """
    sys.path.insert(0, str(DOCS))
    yield
    sys.path.remove(str(DOCS))


def _maker(name: str) -> ModuleType:
    return importlib.import_module(f"generated_pages.{name}")


@pytest.mark.parametrize("name", ["settings", "errors"])
def test_the_page_is_the_one_that_the_code_makes(name: str) -> None:
    """
    After a change: `PYTHONPATH=docs python -m generated_pages`.
    """
    assert _maker(name).page() == (DOCS / f"{name}.md").read_text(encoding="utf-8")


def test_every_class_of_settings_is_on_the_page() -> None:
    """
    A new one has to say what it is given to.
    """
    maker = _maker("settings")

    assert set(maker.settings_classes()) == set(maker.GIVEN_TO)


def test_every_setting_has_a_meaning_a_unit_and_advice_and_no_other() -> None:
    """
    A field that leaves takes its advice along.
    """
    maker, texts = _maker("settings"), _maker("markdown")
    fields = {
        name: [field.name for field in attrs.fields(cls)]
        for name, (_, cls) in maker.settings_classes().items()
    }
    without_meaning = [
        f"{name}.{field}"
        for name, (_, cls) in maker.settings_classes().items()
        for field in fields[name]
        if not texts.attributes_of(cls).get(field)
    ]

    assert fields == {name: list(advice) for name, advice in maker.ADVICE.items()}
    assert [] == without_meaning
    assert [] == [row for each in maker.ADVICE.values() for row in each.values() if not all(row)]


def test_every_error_says_what_to_do_and_no_other() -> None:
    """
    Of the library, of a request, of an item.
    """
    maker = _maker("errors")

    assert set(maker.error_classes()) == set(maker.ERRORS)
    assert {kind.code for kind in maker.OWN_KINDS} == set(maker.REQUESTS)
    assert set(maker.failures()) == set(maker.ITEMS)


def test_the_page_says_of_each_error_whether_to_repeat_what_its_class_says() -> None:
    """
    Which engines ask; how or when to repeat is told of those alone that can help.
    """
    maker = _maker("errors")
    classes = maker.error_classes()
    rows = {code: repeat for code, _, _, repeat, _ in maker._error_rows()}
    told = {code.split("`")[1]: repeat.partition(",")[0] for code, repeat in rows.items()}

    assert {code: maker._HELPS[cls.repeat_helps] for code, cls in classes.items()} == told
    assert [] == [code for code, (how, _) in maker.ERRORS.items() if how and not classes[code].repeat_helps]


def test_what_may_be_repeated_is_what_the_web_says_to_come_back_for() -> None:
    """
    An answer with `Retry-After` is one to repeat, and no other is.
    """
    problems = importlib.import_module("proxy_orchestration.web.problems")
    maker = _maker("errors")
    repeated = {code for code, cls in maker.error_classes().items() if cls.repeat_helps}
    waits = {code for code, cls in maker.error_classes().items() if maker.status_of(cls) in problems._WAITING}

    assert repeated == waits | {"batch_leased"}

"""
Every Python snippet of the README and the documentation runs, page by page, from top to bottom.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
STORES = [
    "cli.md",
    "guide-production.md",
    "guide-storage.md",
    "guide-rolling-deploys.md",
    "guide-row-level-security.md",
]
NEEDS = {
    **dict.fromkeys(STORES, ("sqlalchemy",)),
    "guide-languages.md": ("babel",),
    "guide-console.md": ("fastapi",),
    "guide-telemetry.md": ("opentelemetry.sdk",),
    "guide-web.md": ("fastapi",),
    "guide-own-transaction.md": ("sqlalchemy", "greenlet", "aiosqlite", "django"),
    "guide-engines.md": ("procrastinate", "psycopg", "celery"),
    "guide-temporal.md": ("temporalio",),
    "guide-blocking.md": ("sqlalchemy", "celery"),
    "guide-django-flask.md": ("sqlalchemy", "flask"),
    "guide-supabase.md": ("httpx",),
}
PROGRAMS = {"guide-temporal.md": ("temporal",)}


def _run(page: Path) -> int:
    """
    Run the page's snippets in one namespace and return how many there are.
    """
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(page)
    examples = list(document.examples())
    for example in examples:
        example.evaluate()
    return len(examples)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What a snippet writes lands in a folder of its own.
    """
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", PAGES)
def test_the_snippets_of_the_page_run(name: str) -> None:
    """
    A reader may paste them, in order, and nothing fails.
    """
    for library in NEEDS.get(name, ()):
        pytest.importorskip(library)
    for program in PROGRAMS.get(name, ()):
        if not (Path(sysconfig.get_path("scripts")) / program).exists():
            pytest.skip(f"the program {program} is not installed")

    _run(ROOT / "docs" / name)


def test_the_readme_has_a_snippet_and_it_runs() -> None:
    """
    The screen of code in the README is complete as it stands.
    """
    assert _run(ROOT / "README.md") >= 1

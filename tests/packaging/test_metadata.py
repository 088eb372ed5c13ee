"""
What an index shows of the package: its version, where it lives, and a page whose links work there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = (
    "import sys; from hatchling.build import prepare_metadata_for_build_wheel as build; build(sys.argv[1])"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Message:
    """
    Let the build backend write the wheel's metadata, without a network.
    """
    pytest.importorskip("hatchling")
    pytest.importorskip("hatch_fancy_pypi_readme")
    folder = tmp_path_factory.mktemp("metadata")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (written,) = folder.glob("*.dist-info/METADATA")
    return message_from_string(written.read_text(encoding="utf-8"))


@pytest.fixture
def page(metadata: Message) -> str:
    """
    Return the text that the index shows.
    """
    text = metadata.get_payload()
    assert isinstance(text, str)
    return text


def _source(metadata: Message) -> str:
    """
    Return the address below which the files of this version are.
    """
    urls = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL", []))
    return f"{urls['Source']}/blob/v{metadata['Version']}/"


def test_the_wheel_says_where_source_documentation_changelog_and_issues_are(metadata: Message) -> None:
    """
    The four addresses that an index shows beside the page; those of files are of this version.
    """
    urls = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL", []))

    assert {"Source", "Documentation", "Changelog", "Issues"} == set(urls)
    assert all(re.fullmatch(r"https://[\w.-]+/[\w./-]+", url) for url in urls.values())
    for name in ("Documentation", "Changelog"):
        assert urls[name].startswith(_source(metadata))
        assert (ROOT / urls[name].removeprefix(_source(metadata))).is_file()


def test_every_link_of_the_page_is_absolute(page: str) -> None:
    """
    A relative link leads nowhere on an index.
    """
    relative = [link for link in LINK.findall(page) if not link.startswith(("https://", "#"))]

    assert [] == relative


def test_every_link_into_the_source_names_a_file_of_this_version(metadata: Message, page: str) -> None:
    """
    As many as the README has, and each names a file that exists.
    """
    source = _source(metadata)
    told = [
        link.removeprefix(source).partition("#")[0] for link in LINK.findall(page) if link.startswith(source)
    ]
    readme = [
        link.partition("#")[0]
        for link in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
        if not link.startswith(("https://", "#"))
    ]

    assert readme
    assert readme == told
    assert [] == [name for name in told if not (ROOT / name).exists()]


def test_the_page_is_the_readme_but_for_its_links(page: str) -> None:
    """
    Nothing else is rewritten on the way.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert LINK.sub("", readme).strip() == LINK.sub("", page).strip()


def test_users_see_only_their_own_extras(metadata: Message) -> None:
    """
    What the library's developers need is in dependency groups, which no wheel tells of.
    """
    engines, stores = {"procrastinate", "temporal"}, {"postgresql", "sql", "supabase"}
    expected = {"cli", "fcm", "i18n", "otel", "web", "xlsx", *engines, *stores}

    assert expected == set(metadata.get_all("Provides-Extra", []))


def test_every_address_of_a_file_names_this_version() -> None:
    """
    The version is raised everywhere at once, in the pages and in the metadata.
    """
    places = [ROOT / "pyproject.toml", *sorted((ROOT / "docs").glob("*.md"))]
    told = {
        found for place in places for found in re.findall(r"/blob/v([\d.]+\d)/", place.read_text("utf-8"))
    }

    assert {PROJECT["version"]} == told


def test_the_changelog_tells_of_this_version() -> None:
    """
    It has a dated section, or the notes that will be one stand above the last version's.
    """
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(
        r"^## \[(Unreleased|\d+\.\d+\.\d+)\](?: - \d{4}-\d\d-\d\d)?$", changelog, re.MULTILINE
    )

    assert PROJECT["version"] in titles or titles[0] == "Unreleased"

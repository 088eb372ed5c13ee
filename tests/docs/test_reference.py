"""
The reference as it is built: every public name, its signature with defaults, members, errors and checks.
"""

from __future__ import annotations

import enum
import html
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

pytestmark = pytest.mark.full  # `nox -s docs` runs them

DOCS = Path(__file__).parents[2] / "docs"
NEEDED = (
    "sphinx",
    "myst_parser",
    "furo",
    "sqlalchemy",
    "httpx",
    "google.auth",
    "fastapi",
    "sse_starlette",
    "opentelemetry",
    "procrastinate",
    "temporalio",
)
MODULES = (
    "proxy_orchestration",
    "proxy_orchestration.ports",
    "proxy_orchestration.registration.flow",
    "proxy_orchestration.blocking",
    "proxy_orchestration.console",
    "proxy_orchestration.storage.memory",
    "proxy_orchestration.storage.postgrest",
    "proxy_orchestration.storage.sql",
    "proxy_orchestration.push.fcm",
    "proxy_orchestration.web",
    "proxy_orchestration.telemetry",
    "proxy_orchestration.engines.procrastinate",
    "proxy_orchestration.engines.temporal",
    "proxy_orchestration.testing",
    "proxy_orchestration.testing.contracts",
)


@attrs.frozen
class Pages:
    """
    The built pages below `reference/`, by name.
    """

    texts: dict[str, str]

    def place_of(self, name: str) -> list[str]:
        """
        Return the pages on which this full name has its entry.
        """
        return [page for page, text in self.texts.items() if f'id="{name}"' in text]

    def entry(self, name: str) -> str:
        """
        Return the HTML of an entry: down to the next one that is not part of it.
        """
        (page,) = self.place_of(name)
        text = self.texts[page].partition(f'id="{name}"')[2]
        following = re.search(
            rf'<dt class="sig sig-object py" id="(?!{re.escape(name)}\.)|<section id=', text
        )
        return text[: following.start()] if following else text

    def signature(self, name: str) -> str:
        """
        Return what stands in an entry's first line.
        """
        return _plain(self.entry(name).partition(">")[2].partition("</dt>")[0])

    def parameters(self, name: str) -> dict[str, str]:
        """
        Return what can be given to a class or function, each with its default, or nothing.
        """
        first_line = self.entry(name).partition("</dt>")[0]
        told = [
            _plain(each) for each in re.findall(r'<em class="sig-param">(.*?)</em>', first_line, re.DOTALL)
        ]
        return {text.partition(":")[0]: text.partition(" = ")[2] for text in told if re.match(r"\w", text)}


def _plain(text: str) -> str:
    """
    Return the words of a piece of HTML, each run of white space as one space.
    """
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """
    Build all pages; a warning, such as a reference that leads nowhere, is an error.
    """
    for library in NEEDED:
        pytest.importorskip(library)
    built = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-E", "-b", "html"]
    done = subprocess.run([*command, str(DOCS), str(built)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Pages(
        {path.stem: path.read_text("utf-8") for path in sorted((built / "reference").glob("*.html"))}
    )


def _public() -> Iterator[tuple[str, object]]:
    """
    Yield the full name of each entry, and what it is about; a name of the root is not repeated.
    """
    seen: set[str] = set()
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            if module != "proxy_orchestration.ports" or name not in seen:
                yield f"{module}.{name}", getattr(importlib.import_module(module), name)
            if module == "proxy_orchestration":
                seen.add(name)


def _classes() -> Iterator[tuple[str, type]]:
    for name, value in _public():
        if inspect.isclass(value):
            yield name, value


def _raised_by(function: object) -> Counter[str]:
    """
    Return the errors that a docstring names in its section, each as often as it stands there.
    """
    section = (inspect.getdoc(function) or "").partition("Raises:\n")[2].partition("\n\n")[0]
    joined = re.sub(r",\n\s+", ", ", section)
    heads = re.findall(r"^    (\w+(?:, \w+)*)(?::|\.$)", joined, re.MULTILINE)
    return Counter(name for head in heads for name in head.split(", "))


def test_every_public_name_has_one_entry(pages: Pages) -> None:
    """
    None is missing, and none stands on two pages.
    """
    places = {name: len(pages.place_of(name)) for name, _ in _public()}

    assert {} == {name: count for name, count in places.items() if count != 1}
    assert ["push"] == pages.place_of("proxy_orchestration.push.fcm.FcmPushSender")


def test_every_class_shows_how_it_is_made(pages: Pages) -> None:
    """
    Each argument stands in the signature, with its default where it has one.
    """
    wrong = []
    for name, cls in _classes():
        if attrs.has(cls) and not getattr(cls, "_is_protocol", False):
            told = pages.parameters(name)
            fields = {field.alias: field for field in attrs.fields(cls) if field.init}
            with_default = {alias for alias, field in fields.items() if field.default is not attrs.NOTHING}
            if list(fields) != list(told) or with_default != {alias for alias, text in told.items() if text}:
                wrong.append(name)
            plain = {alias: fields[alias].default for alias in with_default}
            wrong += [
                f"{name}.{alias}"
                for alias, default in plain.items()
                if isinstance(default, bool | int | float | str | None) and told.get(alias) != repr(default)
            ]

    assert [] == wrong
    assert "30.0" == pages.parameters("proxy_orchestration.BulkSettings")["call_timeout"]


def test_every_setting_shows_its_default(pages: Pages) -> None:
    """
    Each has an entry of its own: its type, its default, what it is for.
    """
    settings = {
        name: cls
        for name, cls in _classes()
        if name.endswith(("Settings", "Policy", "Hours", "Rules")) and attrs.has(cls)
    }
    missing = [
        f"{name}.{field.name}"
        for name, cls in settings.items()
        for field in attrs.fields(cls)
        if "= " not in pages.signature(f"{name}.{field.name}") and field.default is not attrs.NOTHING
    ]

    assert [] == missing
    assert {"proxy_orchestration.BulkSettings", "proxy_orchestration.push.fcm.FcmSettings"} < set(settings)
    assert pages.signature("proxy_orchestration.BulkSettings.call_timeout").startswith(
        "call_timeout: float = 30.0"
    )
    assert "the most calls in progress at once for one batch" in pages.entry(
        "proxy_orchestration.BulkSettings.max_concurrency"
    )


def test_every_member_of_an_enum_has_its_value_and_a_meaning(pages: Pages) -> None:
    """
    A row for each: `PARTIAL_SUCCESS`, `'partial_success'`, and what it says.
    """
    enums = {name: cls for name, cls in _classes() if issubclass(cls, enum.Enum)}
    wrong = []
    for name, cls in enums.items():
        rows = [
            [_plain(cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
            for row in re.findall(r"<tr.*?</tr>", pages.entry(name), re.DOTALL)
        ]
        told = {row[0]: row[1:] for row in rows if row}
        wrong += [
            f"{name}.{member.name}"
            for member in cls
            if told.get(member.name, ["", ""])[0] != repr(member.value) or not told[member.name][1]
        ]

    assert [] == wrong
    assert {"BulkStatus", "ItemState", "SkipReason", "PushState"} <= {cls.__name__ for cls in enums.values()}


def test_every_error_is_on_the_page_of_errors(pages: Pages) -> None:
    """
    Those of a part with an extra stand with that part.
    """
    errors = [name for name, cls in _classes() if issubclass(cls, Exception) and ".push." not in name]

    assert len(errors) >= 24
    assert [] == [name for name in errors if pages.place_of(name) != ["errors"]]


def test_every_error_that_is_raised_stands_by_itself_with_a_reason(pages: Pages) -> None:
    """
    As a list, each name once for each time that the docstring has it; several with one reason repeat it.
    """
    wrong, count = [], 0
    for name, cls in _classes():
        for member, value in vars(cls).items():
            function = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", value))
            if member.startswith("_") or not callable(function) or "Raises:" not in (function.__doc__ or ""):
                continue
            entry = pages.entry(f"{name}.{member}").partition(">Raises<")[2]
            told = Counter(re.findall(r"<strong>(\w+)</strong>(?:</a>)? [^\w\s<] \S", entry))
            count += 1
            if not told or told != _raised_by(function):
                wrong.append(f"{name}.{member}: {told} for {_raised_by(function)}")

    assert [] == wrong
    assert count >= 30


def test_every_check_of_a_contract_kit_has_its_sentence(pages: Pages) -> None:
    """
    A kit is a table of its checks.
    """
    kits = {name: value for name, value in _public() if ".contracts." in name and isinstance(value, tuple)}
    wrong = []
    for name, kit in kits.items():
        rows = re.findall(r"<tr.*?</tr>", pages.entry(name), re.DOTALL)
        told = [[_plain(cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)] for row in rows]
        if [check.name for check in kit] != [row[0] for row in told if row]:
            wrong.append(name)
        wrong += [f"{name}: {row[0]}" for row in told if row and not row[1].endswith(".")]

    assert [] == wrong
    assert len(kits) >= 14


def test_no_entry_shows_what_python_says_of_a_type(pages: Pages) -> None:
    """
    Neither the words of a union's own class, nor addresses, nor a check's repr.
    """
    leftovers = ("PEP 604", "NewType creates", " at 0x", "Check(name=", "attr_dict", "NOTHING,", "Built-in")
    found = [
        (page, leftover)
        for page, text in pages.texts.items()
        for leftover in leftovers
        if leftover in _plain(text)
    ]

    assert [] == found

"""
A real browser, and the console as one command shows it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from held_port import held_port
from waits import LONGEST_WAIT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HOLDS = """
import anyio
from proxy_orchestration.cli import example_data, main

register = example_data.ExampleService.register


async def held(service, registration):
    if registration.mentor_id.startswith("member-1"):
        await anyio.sleep_forever()
    return await register(service, registration)


example_data.ExampleService.register = held
main()
"""


@attrs.define
class ShownConsole:
    """
    The console with example data, in a process of its own.
    """

    folder: Path
    port: int
    process: Any = None
    address: str = ""

    @property
    def store(self) -> Path:
        """
        Return where its batches are.
        """
        return self.folder / "mentors.db"

    def start(self, *, holds: bool = False) -> None:
        """
        Start it, again on the same port; where it holds, its service never answers for `member-1…`.
        """
        program = ["-c", _HOLDS] if holds else ["-m", "proxy_orchestration"]
        command = [sys.executable, *program, "console", "--db", str(self.store)]
        options = ["--actor", "anna@oslo", "--example", "--concurrency", "10", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        line = self.process.stderr.readline()
        found = re.search(rf"http://127\.0\.0\.1:{self.port}/\S+", line)
        assert found is not None, line
        self.address = found[0]

    def kill(self) -> None:
        """
        End it as a power cut does.
        """
        self.process.kill()
        self.process.communicate(timeout=LONGEST_WAIT)

    def url(self, path: str) -> str:
        """
        Return the address of a page.
        """
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """
    A browser of this machine; skip where there is none.

    It ends with its tests: while it lasts, Playwright's own event loop runs in this thread, and no
    other test of the same process could have one.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is installed")
    # Chromium refuses to run as root inside its sandbox, and a gate runs as root.
    arguments = ["--no-sandbox"] if sys.platform != "win32" and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[ShownConsole]:
    """
    The console over a store of its own, one for all tests of a file: it takes seconds to start.
    """
    pytest.importorskip("typer")
    pytest.importorskip("uvicorn")
    with held_port() as port:
        shown = ShownConsole(tmp_path_factory.mktemp("console"), port)
        shown.start(holds=True)
        yield shown
        shown.kill()


@attrs.define
class Visitor:
    """
    Somebody with a browser, and what went wrong on the pages that they saw.
    """

    page: Page
    console: ShownConsole
    problems: list[str] = attrs.field(factory=list)

    def open(self, path: str) -> None:
        """
        Open a page of the console.
        """
        self.page.goto(self.console.url(path))

    def batch(self, label: str) -> str:
        """
        Return the path of the page of the batch with that label.
        """
        self.open("/")
        return str(self.page.get_by_role("link", name=label).get_attribute("href"))


@pytest.fixture
def visit(browser: Browser, console: ShownConsole) -> Iterator[Any]:
    """
    Opens the console as somebody with a window of that width, a language, and scripts or not.
    """
    contexts = []

    def visit(*, width: int = 1280, locale: str = "en-GB", scripts: bool = True) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, locale=locale, java_script_enabled=scripts
        )
        contexts.append(context)
        context.set_default_timeout(LONGEST_WAIT * 1000)
        visitor = Visitor(context.new_page(), console)
        visitor.page.on("pageerror", lambda error: visitor.problems.append(str(error)))
        visitor.page.on(
            "console",
            lambda said: (
                visitor.problems.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )
        visitor.page.goto(console.address)
        return visitor

    yield visit
    for context in contexts:
        context.close()

"""
The command that shows the console: who gets in, what it shows, and how it ends and goes on.
"""

from __future__ import annotations

import http.client
import re
import signal
import socket
import stat
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import attrs
import pytest
from held_port import held_port
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from proxy_orchestration.cli.exits import ExitCode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


@attrs.define
class Shown:
    """
    A console that runs, and a browser without scripts.
    """

    process: Any
    address: urllib.parse.SplitResult
    cookie: str = ""

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
        """
        Ask for a page.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=LONGEST_WAIT)
        sent = {"Host": self.address.netloc, "Cookie": self.cookie, "Connection": "close"} | headers
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, body

    def enter(self) -> None:
        """
        Open the printed address, and keep the cookie.
        """
        status, headers, _ = self.get(f"/?{self.address.query}")
        assert (303, "/") == (status, headers["location"])
        self.cookie = headers["set-cookie"].partition(";")[0]

    def end(self) -> str:
        """
        End the command, and return what it wrote.
        """
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=LONGEST_WAIT)
        assert ExitCode.INTERRUPTED == self.process.returncode
        return str(err)


def _shown(start: Any, *arguments: str) -> Shown:
    process = start("console", *arguments)
    line = process.stderr.readline()
    found = re.search(r"http://\S+", line)
    assert found is not None, line
    return Shown(process, urllib.parse.urlsplit(found[0]))


def test_only_who_opens_the_printed_address_gets_in_and_a_restart_keeps_them_in(
    start: Any, store: Path
) -> None:
    """
    Not without the token, not by another name; after a restart on the same port the cookie still holds.
    """
    with held_port() as port:
        shown = _shown(start, "--port", str(port))
        without, _, told = shown.get("/")
        guessed, _, _ = shown.get("/?token=" + "0" * 64)
        renamed, _, _ = shown.get(f"/?{shown.address.query}", Host="evil.example")
        shown.enter()
        inside, headers, page = shown.get("/")
        key = store.with_name(f"{store.name}.console-key")
        written = shown.end()
        again = _shown(start, "--port", str(port))
        again.cookie = shown.cookie
        still_inside, _, _ = again.get("/")
        again.end()

    assert (403, 403, 421, 200, 200) == (without, guessed, renamed, inside, still_inside)
    assert "Open the address that the command printed" in told
    assert "Nothing is registered yet" in page
    assert "Signed in as anna, oslo" in page
    assert "default-src 'none'" in headers["content-security-policy"]
    assert shown.address.query == again.address.query
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    assert "Traceback" not in written


def test_the_example_shows_every_page_and_is_stored_once(start: Any, run: Any) -> None:
    """
    Three of thirty failed, four of fifteen wait; notices, messages given up and nights are there.
    """
    shown = _shown(start, "--port", "0", "--example")
    shown.enter()
    pages = {path: shown.get(path) for path in ("/", "/new", "/status", "/certificates")}
    pages |= {path: shown.get(f"/certificates/{path}") for path in ("quality", "messages", "nights")}
    shown.end()
    _shown(start, "--port", "0", "--example").end()
    listed = run("list", "--json").document

    assert [200] * 7 == [status for status, _, _ in pages.values()]
    assert "Home visits before Christmas" in pages["/"][2]
    assert "3 failed" in pages["/"][2]
    assert "4 need review" in pages["/"][2]
    assert "Astrid Eksempel" in pages["/new"][2]
    assert "Lapsed" in pages["/certificates"][2]
    assert "No coordinator is assigned" in pages["quality"][2]
    assert "sender_id_mismatch" in pages["messages"][2]
    assert "Completed" in pages["nights"][2]
    assert 3 == listed["total"]


def test_a_port_that_is_taken_is_told(run: Any) -> None:
    """
    With another way to go.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("console", "--port", str(taken.getsockname()[1]))

    assert ExitCode.BAD_INPUT == ended.code
    assert "is in use" in ended.err
    assert "--port 0" in ended.err

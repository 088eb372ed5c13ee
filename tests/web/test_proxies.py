"""
Streams through nginx and HAProxy, set up as the guide says: nothing is held back, and who leaves is seen.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from held_port import held_port  # noqa: E402 - after what may be missing
from live_server import LONGEST, live  # noqa: E402 - as above
from web_host import BATCHES, Coordinator, Host  # noqa: E402 - as above

from proxy_orchestration import BulkSettings  # noqa: E402 - as above
from proxy_orchestration.web import WebSettings  # noqa: E402 - as above

pytestmark = pytest.mark.dateless

GUIDE = (Path(__file__).parents[2] / "docs" / "guide-web.md").read_text(encoding="utf-8")

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {advice}
        location / {{ proxy_pass http://127.0.0.1:8000; }}
    }}
}}
"""

HAPROXY = """
{advice}    timeout connect 10s
frontend clients
    bind 127.0.0.1:{port}
    default_backend hosts
backend hosts
    server host 127.0.0.1:8000
"""


def _advice(language: str, beginning: str) -> str:
    """
    Return the configuration that the guide shows.
    """
    found = re.findall(rf"```{language}\n({beginning}.*?)```", GUIDE, re.DOTALL)
    (block,) = found
    return str(block)


def _command(program: str, configuration: Path) -> list[str]:
    found = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if found is None:
        pytest.skip(f"{program} is not installed here")
    if program == "nginx":
        return [found, "-c", str(configuration), "-e", str(configuration.with_name("error.log"))]
    return [found, "-db", "-f", str(configuration)]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, "the proxy ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> str:
    """
    Which proxy.
    """
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def host(program: str) -> Host:
    """
    A host of its own for each, with room for one stream, so that it shows when one has ended.
    """
    assert program
    settings = WebSettings(heartbeat=0.05, max_streams=1)
    return Host(settings=settings, bulk_settings=BulkSettings(poll_interval=0.05))


@pytest.fixture(scope="module")
def address(program: str, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """
    Where a proxy answers for the host.
    """
    folder = tmp_path_factory.mktemp(program)
    configuration = folder / "proxy.conf"
    command = _command(program, configuration)
    template, advice = (
        (NGINX, _advice("nginx", "location")) if program == "nginx" else (HAPROXY, _advice("", "defaults"))
    )
    with live(host.app) as url, held_port() as port:
        text = template.format(folder=folder, port=port, advice=advice)
        configuration.write_text(text.replace("127.0.0.1:8000", url.removeprefix("http://")))
        process = subprocess.Popen(command)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(LONGEST)


def test_a_proxy_hands_on_each_event_as_it_comes(anna: Coordinator, address: str) -> None:
    """
    The header with the first bytes, and the second mentor is released only once the first was seen.
    """
    assert address
    batch_id = anna.submit("held-p1", "held-p2").json()["batch_id"]
    with anna.client.stream("GET", f"{BATCHES}/{batch_id}/events") as answer:
        lines = answer.iter_lines()
        opening = next(lines)
        seen = []
        for mentor_id in ("held-p1", "held-p2"):
            anna.client.post(f"/release/{mentor_id}")
            seen.append(next(line for line in lines if line.startswith("data: ")))
        rest = [line for line in lines if line.startswith("event: ")]

    assert ": open" == opening
    assert ["held-p1" in seen[0], "held-p2" in seen[1], rest] == [True, True, ["event: result"]]


def test_a_proxy_tells_that_a_client_has_left(anna: Coordinator, sign_in: Callable[..., Coordinator]) -> None:
    """
    The one place is free again for whoever comes next.
    """
    batch_id = anna.submit("held-q").json()["batch_id"]
    leaving, staying = sign_in(), sign_in()
    url = f"{BATCHES}/{batch_id}/events"
    with leaving.client.stream("GET", url) as answer:
        lines = answer.iter_lines()
        assert ": open" == next(lines)
        full = staying.client.get(url, params={"wait": 0}).status_code
    while staying.client.get(url, params={"wait": 0}).status_code == 429:
        pass  # until the server has been told

    assert 429 == full
    anna.client.post("/release/held-q")
    anna.settled(batch_id)

"""
What a host's process does beside answering, and how it says that it does not.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from anyio.abc import TaskStatus  # noqa: E402 - after what may be missing
from fastapi import FastAPI  # noqa: E402 - as above
from live_server import LONGEST, listening_socket, live  # noqa: E402 - as above
from web_host import Coordinator, Host  # noqa: E402 - as above

from proxy_orchestration import (  # noqa: E402 - as above
    BulkRegistrationOrchestrator,
    MisconfiguredError,
    PushDispatcher,
    StandardRegistrationService,
)
from proxy_orchestration.storage.memory import (  # noqa: E402 - as above
    MemoryActivityRepository,
    MemoryNotificationRepository,
)
from proxy_orchestration.testing import FakeClock, ScriptedPushSender  # noqa: E402 - as above
from proxy_orchestration.web import create_health_router, lifespan  # noqa: E402 - as above

pytestmark = pytest.mark.dateless

SUPPORT = Path(__file__).parents[1] / "support"


class Dispatcher(PushDispatcher):
    """
    A dispatcher's `serve` that a test ends.
    """

    def __init__(self) -> None:
        clock = FakeClock()
        super().__init__(repository=MemoryNotificationRepository(), sender=ScriptedPushSender(), clock=clock)
        self.breaks = anyio.Event()

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """
        Serve until the test says otherwise.
        """
        task_status.started()
        await self.breaks.wait()
        message = "a secret of the host's"
        raise RuntimeError(message)

    async def end(self) -> None:
        """
        Let it fail.
        """
        self.breaks.set()


def test_a_process_whose_work_fails_says_so_and_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    """
    Requests are still answered; whoever routes them is told not to, and the log holds no text of the error.
    """
    host, dispatcher = Host(), Dispatcher()
    app = FastAPI(lifespan=lifespan(host.orchestrator, dispatcher=dispatcher))
    app.include_router(create_health_router(host.orchestrator))
    app.post("/break")(dispatcher.end)
    with live(app) as url:
        before = httpx.get(f"{url}/health/ready")
        httpx.post(f"{url}/break")
        while (after := httpx.get(f"{url}/health/ready")).status_code == 200:
            pass  # until it has ended

    assert {"ready": True, "reasons": []} == before.json()
    assert (503, ["not_serving"]) == (after.status_code, after.json()["reasons"])
    (said,) = [each for each in caplog.records if each.name == "proxy_orchestration.web"]
    assert (logging.ERROR, "serving has ended in this process: RuntimeError") == (
        said.levelno,
        said.getMessage(),
    )
    assert "secret" not in caplog.text


def test_readiness_of_a_process_that_only_answers_asks_for_the_store_alone() -> None:
    """
    Others drive there. A store that is away turns it red all the same.
    """
    host = Host()
    app = FastAPI()
    app.include_router(create_health_router(host.orchestrator, serves=False))
    with live(app) as url:
        here = httpx.get(f"{url}/health/ready")
        host.repository.is_away = True
        away = httpx.get(f"{url}/health/ready")

    assert (200, 503, ["store_unreachable"]) == (here.status_code, away.status_code, away.json()["reasons"])


async def test_an_application_whose_work_never_begins_does_not_start(anyio_backend: str) -> None:
    """
    A failure before it serves is the start's own.
    """
    assert anyio_backend

    class Broken(BulkRegistrationOrchestrator):
        async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
            assert task_status
            message = "never"
            raise RuntimeError(message)

    repository = MemoryActivityRepository()
    service = StandardRegistrationService(repository=repository)
    broken = Broken(registration_service=service, repository=repository)

    with pytest.raises(RuntimeError, match="never"):
        async with lifespan(broken)(None):
            pass


def test_a_process_ends_itself_although_a_stream_is_open() -> None:
    """
    SIGTERM, by the lifespan's own hand: the server lets the stream go, and the client sees a cut.
    """
    with listening_socket() as listener:
        command = [sys.executable, str(Path(__file__).with_name("ending_host.py")), str(listener.fileno())]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path])}
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment)
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, headers={"X-User": "coord-1"}, timeout=LONGEST) as client:
            batch_id = Coordinator(client).submit("held-1").json()["batch_id"]
            with client.stream("GET", f"/api/v1/bulk-registrations/{batch_id}/events") as answer:
                lines = answer.iter_lines()
                assert ": open" == next(lines)
                client.post("/break")
                with pytest.raises(httpx.RemoteProtocolError):
                    list(lines)
        assert process.wait(LONGEST) in {0, -15}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("made", [lifespan, create_health_router])
@pytest.mark.parametrize("given", ["orchestrator", None, BulkRegistrationOrchestrator])
def test_what_is_no_orchestrator_is_refused_before_anything_serves(made: Any, given: object) -> None:
    """
    With what to give.
    """
    with pytest.raises(MisconfiguredError, match=r"Give a BulkRegistrationOrchestrator\(\.\.\.\)") as raised:
        made(given)

    assert (made.__name__, "orchestrator") == (raised.value.owner, raised.value.part)


def test_what_is_no_dispatcher_is_refused_before_anything_serves() -> None:
    """
    With what to give.
    """
    with pytest.raises(MisconfiguredError, match=r"Give a PushDispatcher\(\.\.\.\)"):
        lifespan(Host().orchestrator, dispatcher="dispatcher")  # type: ignore[arg-type]  # what is refused

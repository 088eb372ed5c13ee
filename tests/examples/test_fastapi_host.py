"""
The FastAPI host of the examples: it registers, knows its own mentors, keeps the contract, and starts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

for _library in ("fastapi", "sqlalchemy", "uvicorn"):
    pytest.importorskip(_library)
httpx = pytest.importorskip("httpx")

from sqlalchemy import create_engine, func, select  # noqa: E402 - after what may be missing

from proxy_orchestration.testing.contracts import (  # noqa: E402 - as above
    Check,
    registration_lookup,
    registration_service,
)

ROOT = Path(__file__).parents[2]
BATCHES = "/api/v1/bulk-registrations"
VISIT = {"activity_type": "visit", "duration_minutes": 45}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """
    The address of an empty database.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'chapter.db'}"
    return str(request.getfixturevalue("bare_postgresql_url").render_as_string(hide_password=False))


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As `python -m examples.fastapi_host` finds it.
    """
    monkeypatch.syspath_prepend(str(ROOT))


@asynccontextmanager
async def _serving(url: str) -> AsyncIterator[Any]:
    """
    Yield a client of a running application, signed in as Anna.
    """
    from examples.fastapi_host.host import create_app  # noqa: PLC0415 - found from the root alone

    app = create_app(url)
    signed = {"Authorization": "Bearer token-of-anna", "Idempotency-Key": "form-7"}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://host", headers=signed) as client,
    ):
        yield client


async def _settled(client: Any, batch: str) -> Any:
    after, settled = 0, False
    with anyio.fail_after(LONGEST_WAIT):
        while not settled:
            told = (await client.get(f"{batch}/events", params={"wait": 20, "after": after})).json()
            after, settled = told["next_after"], told["settled"]
    return (await client.get(batch)).json()


def _submission(*mentor_ids: str) -> dict[str, Any]:
    today = datetime.now(UTC).date().isoformat()
    return {"items": [{"mentor_id": each, "activity_date": today, **VISIT} for each in mentor_ids]}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_batch_ends_in_the_hosts_own_table(url: str) -> None:
    """
    Sent twice it is one batch; who is assigned to somebody else is refused, and nobody else.
    """
    from examples.fastapi_host.register import visits  # noqa: PLC0415 - found from the root alone

    async with _serving(url) as client:
        order = _submission("mentor-1", "mentor-2", "mentor-31")
        first, again = [await client.post(BATCHES, json=order) for _ in range(2)]
        result = await _settled(client, first.headers["Location"])
        ready = await client.get("/health/ready")
    engine = create_engine(url)
    with engine.connect() as connection:
        written = connection.execute(select(func.count()).select_from(visits)).scalar()
    engine.dispose()

    assert (202, first.headers["Location"]) == (first.status_code, again.headers["Location"])
    assert ["success", "success", "failed"] == [item["status"] for item in result["items"]]
    assert "out_of_scope" == result["items"][2]["error_code"]
    assert 2 == written
    assert 200 == ready.status_code


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_visit_that_is_there_waits_for_a_decision(tmp_path: Path) -> None:
    """
    And an override writes a second one.
    """
    async with _serving(f"sqlite:///{tmp_path / 'chapter.db'}") as client:
        order = _submission("mentor-1")
        await _settled(client, (await client.post(BATCHES, json=order)).headers["Location"])
        other = await client.post(BATCHES, json=order, headers={"Idempotency-Key": "form-8"})
        batch = other.headers["Location"]
        waiting = await _settled(client, batch)
        decisions = {"decisions": {"mentor-1": "override"}}
        decided = await client.post(f"{batch}/decisions", json=decisions)
        result = await _settled(client, batch)

    assert "needs_review" == waiting["status"]
    assert 202 == decided.status_code, decided.text
    assert "completed" == result["status"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nobody_who_is_not_signed_in_gets_an_answer(tmp_path: Path) -> None:
    """
    A token that is not known is none.
    """
    async with _serving(f"sqlite:///{tmp_path / 'chapter.db'}") as client:
        answer = await client.get(BATCHES, headers={"Authorization": "Bearer somebody"})

    assert (401, "Bearer") == (answer.status_code, answer.headers["WWW-Authenticate"])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_browser_signs_in_and_sees_the_console(tmp_path: Path) -> None:
    """
    The console leads to the form; the cookie opens the console, and nothing of the REST interface.
    """
    async with _serving(f"sqlite:///{tmp_path / 'chapter.db'}") as client:
        del client.headers["Authorization"]
        stranger = await client.get("/console/")
        form = await client.get(stranger.headers["Location"])
        refused = await client.post("/sign-in", data={"token": "somebody"})
        accepted = await client.post("/sign-in", data={"token": "token-of-anna"})
        page = await client.get(accepted.headers["Location"])
        rest = await client.get(BATCHES)

    assert (303, "/sign-in") == (stranger.status_code, stranger.headers["Location"])
    assert "token-of-anna" in form.text
    assert (401, 303) == (refused.status_code, accepted.status_code)
    assert (200, 401) == (page.status_code, rest.status_code)
    assert "The chapter&#39;s visits" in page.text


@pytest.mark.parametrize("check", [*registration_service, *registration_lookup], ids=str)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_register_keeps_the_contract(check: Check[Any], tmp_path: Path) -> None:
    """
    The same checks as the library's own service.
    """
    from examples.fastapi_host.register import VisitRegister, tables  # noqa: PLC0415 - from the root alone

    @asynccontextmanager
    async def open_register() -> AsyncIterator[VisitRegister]:
        engine = create_engine(f"sqlite:///{tmp_path / 'register.db'}")
        tables.create_all(engine)
        yield VisitRegister(engine)
        engine.dispose()

    await check(open_register)


def test_one_command_starts_it_and_sigterm_ends_it(tmp_path: Path) -> None:
    """
    It answers, drives, and ends in order.
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "examples.fastapi_host", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        told = ""
        while "Uvicorn running on" not in told:
            told = server.stderr.readline()
            assert told, "the server ended"
        address = told.partition("running on ")[2].split()[0]
        ready = httpx.get(f"{address}/health/ready", timeout=LONGEST_WAIT, trust_env=False)
        server.send_signal(signal.SIGTERM)
        server.stderr.read()
        code = server.wait(LONGEST_WAIT)

    assert {"ready": True, "reasons": []} == ready.json()
    assert code in {0, -signal.SIGTERM}

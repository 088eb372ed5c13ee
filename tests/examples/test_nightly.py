"""
The night of the examples: it tells, sends, and a second one tells nobody; its directories keep the contract.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Self

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")
pytest.importorskip("google.auth")

import httpx
from sqlalchemy import create_engine, insert

from proxy_orchestration.testing.contracts import (
    Check,
    push_eligibility,
    push_sender,
    push_target_directory,
    recipient_directory,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As `python -m examples.nightly` finds it.
    """
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """
    The address of an empty database.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'nightly.db'}"
    return str(request.getfixturevalue("bare_postgresql_url").render_as_string(hide_password=False))


def test_the_command_tells_everybody_once(url: str, tmp_path: Path) -> None:
    """
    Four of five certificates are due; whoever wants no push gets none; the second run finds nothing new.
    """
    env = {**os.environ, "DATABASE_URL": url}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    for name in ("FCM_SERVICE_ACCOUNT_JSON", "GOOGLE_APPLICATION_CREDENTIALS"):
        env.pop(name, None)
    command = [sys.executable, "-m", "examples.nightly"]
    first, second = [
        subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=LONGEST_WAIT
        )
        for _ in range(2)
    ]

    assert (0, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "5 certificates: 4 told, 1 skipped, 0 failed" in first.stdout
    assert "to mentor-3:" not in first.stdout + second.stdout
    assert "to be corrected: mentor-2: missing_coordinator_assignment" in first.stdout
    assert "5 certificates: 0 told, 5 skipped, 0 failed" in second.stdout


@pytest.mark.parametrize(
    "check",
    [*recipient_directory, *push_target_directory, *push_eligibility],
    ids=str,
)
async def test_the_chapter_keeps_the_contracts(check: Check[Any], tmp_path: Path) -> None:
    """
    Of a directory of recipients, of devices, and of wishes.
    """
    from examples.nightly.directories import Chapter  # noqa: PLC0415 - found from the root alone
    from examples.nightly.tables import fill, tables  # noqa: PLC0415 - as above

    @asynccontextmanager
    async def open_chapter() -> AsyncIterator[Chapter]:
        engine = create_engine(f"sqlite:///{tmp_path / 'chapter.db'}")
        tables.create_all(engine)
        fill(engine)
        yield Chapter(engine)
        engine.dispose()

    await check(open_chapter)


@pytest.mark.parametrize("check", push_sender, ids=str)
async def test_the_printing_sender_keeps_the_contract(check: Check[Any]) -> None:
    """
    As one that sends would.
    """
    from examples.nightly.night import PrintingSender  # noqa: PLC0415 - found from the root alone

    @asynccontextmanager
    async def open_sender() -> AsyncIterator[PrintingSender]:
        yield PrintingSender()

    await check(open_sender)


async def test_certificates_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each once, also where a page ends with the last one.
    """
    from examples.nightly import directories  # noqa: PLC0415 - found from the root alone
    from examples.nightly.tables import certificates, tables  # noqa: PLC0415 - as above

    monkeypatch.setattr(directories, "PAGE", 2)
    engine = create_engine(f"sqlite:///{tmp_path / 'chapter.db'}")
    tables.create_all(engine)
    row = {"kind": "first_aid", "valid_until": date(2026, 12, 1), "holder_name": "", "revoked": False}
    with engine.begin() as connection:
        for number in range(1, 5):
            connection.execute(insert(certificates).values(mentor_id=f"mentor-{number}", **row))
    read = [each.mentor_id async for each in directories.Chapter(engine).certificates()]
    engine.dispose()

    assert ["mentor-1", "mentor-2", "mentor-3", "mentor-4"] == read


async def test_firebase_is_asked_where_its_key_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A key in the environment makes it the sender.
    """
    from examples.nightly import night  # noqa: PLC0415 - found from the root alone

    class Key:
        async def load(self) -> None:
            pass

    class Firebase:
        def __init__(self, **parts: object) -> None:
            self.parts = parts

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(night, "FcmCredentials", Key)
    monkeypatch.setattr(night, "FcmPushSender", Firebase)
    engine = create_engine(f"sqlite:///{tmp_path / 'nightly.db'}")
    chapter, store = night.Chapter(engine), night.SqlNotificationRepository(engine)
    async with night.sender_for(chapter, store) as sender:
        assert (chapter, store) == (sender.parts["targets"], sender.parts["device_answers"])
    engine.dispose()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """
    The application that sends from a web process, over a database of its own.
    """
    pytest.importorskip("fastapi")
    from examples.nightly.served import create_app  # noqa: PLC0415 - found from the root alone

    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'nightly.db'}")
    for name in ("FCM_SERVICE_ACCOUNT_JSON", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return create_app()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_web_process_without_a_key_does_not_start(served: Any) -> None:
    """
    Nobody finds out in the morning that nothing was sent.
    """
    from proxy_orchestration.push.fcm import FcmCredentialsError  # noqa: PLC0415 - needs an extra

    with pytest.raises(FcmCredentialsError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        async with served.router.lifespan_context(served):
            pass


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_web_process_with_a_key_serves(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is ready: batches are driven, and pushes are sent.
    """
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "sender@invented-project.example",
        "private_key": pem.decode(),
    }
    monkeypatch.setenv("FCM_SERVICE_ACCOUNT_JSON", json.dumps(account))
    transport = httpx.ASGITransport(served)
    async with (
        served.router.lifespan_context(served),
        httpx.AsyncClient(transport=transport, base_url="http://host") as client,
    ):
        ready = await client.get("/health/ready")

    assert {"ready": True, "reasons": []} == ready.json()

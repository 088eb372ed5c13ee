"""
The command line over a PostgreSQL database, as whoever runs a host's production does it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from held_day import hold_the_day

pytest.importorskip("sqlalchemy")
pytest.importorskip("psycopg")
pytest.importorskip("typer")

import anyio
from typer.testing import CliRunner

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    Role,
)
from proxy_orchestration.cli.app import app
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService

if TYPE_CHECKING:
    from postgres_server.databases import Databases
    from sqlalchemy import URL

pytestmark = pytest.mark.postgresql

_ROWS: Final = (
    "mentor_id,activity_type,activity_date,duration_minutes\nm1,visit,today,60\nm2,visit,today,60\n"
)


@pytest.mark.parametrize("where", [(), ("--schema", "bulk"), ("--schema", "bulk", "--prefix", "po_")])
def test_a_server_is_made_ready_first_and_then_takes_every_command(
    postgresql: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[str, ...]
) -> None:
    """
    No command changes a server's schema by the way; `upgrade` does, and the refusal names it.
    """
    _set(monkeypatch, postgresql.empty())
    file = _mentors(tmp_path)
    run = partial(_run, *where)

    refused = run("register", file)
    assert ExitCode.STORE_UNAVAILABLE == refused.exit_code
    assert f"{' '.join(('proxy-orchestration', *where))} upgrade --db " in refused.stderr
    assert ExitCode.SUCCESS == run("upgrade").exit_code
    assert "nothing was changed" in run("upgrade").stdout
    assert ExitCode.SUCCESS == run("health").exit_code

    assert ExitCode.SUCCESS == run("register", file).exit_code
    assert "1 batch, page 1 of 1." in run("list").stdout
    assert ExitCode.NEEDS_REVIEW == run("preview", file).exit_code
    assert "nothing to resume" in run("resume").stdout
    assert ExitCode.SUCCESS == run("inbox", "m1").exit_code
    assert "1 batch," in run("purge", "--settled-before", "today+1").stdout


def test_a_hosts_batches_stay_the_hosts(
    postgresql: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    In one database with the command line's own, which are driven.
    """
    url = postgresql.new()
    _set(monkeypatch, url)

    async def accept() -> str:
        async with SqlActivityRepository.open(url) as repository:
            host = BulkRegistrationOrchestrator(
                registration_service=ScriptedRegistrationService(),
                repository=repository.only_accepted_by("host"),
                service_name="host",
            )
            assert "succeeded" == (await _submitted(host, "m1", drive=True)).outcomes[0].state.value
            return (await _submitted(host, "m3")).batch_id

    theirs = anyio.run(accept)
    assert ExitCode.SUCCESS == _run("register", _mentors(tmp_path)).exit_code
    resumed = _run("resume")

    assert ExitCode.BAD_INPUT == resumed.exit_code
    assert "1 of other services waits for a driver" in resumed.stderr
    for command in ("retry", "cancel"):
        refused = _run(command, theirs)
        assert (ExitCode.BAD_INPUT, True) == (refused.exit_code, "'host'" in refused.stderr)
    assert ExitCode.WRONG_STATE == _run("status", theirs).exit_code


async def _submitted(host: BulkRegistrationOrchestrator, mentor_id: str, *, drive: bool = False) -> Any:
    activity = ProxyActivity(
        activity_type="visit", activity_date=SystemClock().now().date(), duration_minutes=60
    )
    request = BulkRegistrationRequest.for_mentors([mentor_id], activity)
    actor = Actor(user_id="anna", roles={Role.COORDINATOR}, organization_id="oslo")
    return await host.submit_bulk_registration(request, actor=actor, drive=drive)


def _set(monkeypatch: pytest.MonkeyPatch, url: URL) -> None:
    hold_the_day(monkeypatch)
    monkeypatch.setenv("PROXY_ORCHESTRATION_DB", url.render_as_string(hide_password=False))
    monkeypatch.setenv("PROXY_ORCHESTRATION_ACTOR", "anna@oslo")
    monkeypatch.setenv("COLUMNS", "200")


def _mentors(folder: Path) -> Path:
    file = folder / "mentors.csv"
    file.write_text(_ROWS)
    return file


def _run(*args: object) -> Any:
    return CliRunner().invoke(app, [*map(str, args)], catch_exceptions=False)

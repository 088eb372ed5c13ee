"""
The command line over a PostgreSQL database, as whoever runs a host's production does it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from held_day import hold_the_day

pytest.importorskip("sqlalchemy")
pytest.importorskip("psycopg")
pytest.importorskip("typer")

from typer.testing import CliRunner

from proxy_orchestration.cli.app import app
from proxy_orchestration.cli.exits import ExitCode

if TYPE_CHECKING:
    from postgres_server.databases import Databases

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
    hold_the_day(monkeypatch)
    url = postgresql.empty().render_as_string(hide_password=False)
    monkeypatch.setenv("PROXY_ORCHESTRATION_DB", url)
    monkeypatch.setenv("PROXY_ORCHESTRATION_ACTOR", "anna@oslo")
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "mentors.csv"
    file.write_text(_ROWS)

    def run(*args: object) -> Any:
        return CliRunner().invoke(app, [*where, *map(str, args)], catch_exceptions=False)

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

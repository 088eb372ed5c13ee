"""
`notify` in many processes, interrupted and killed: one notice per key in the end.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from held_day import dated
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli.exits import ExitCode

pytestmark = pytest.mark.crash

EXAMPLE = Path(__file__).parents[2] / "examples" / "certificates.csv"
MANY = 20_000


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """
    A file that takes long enough to be interrupted.
    """
    path = tmp_path / "certificates.csv"
    day = (datetime.now(UTC) + timedelta(days=20)).date()
    with path.open("w", encoding="utf-8") as file:
        file.write("certificate_id,mentor_id,certificate_type,expires\n")
        file.writelines(f"c{number},m{number:05},first_aid,{day}\n" for number in range(MANY))
    return path


def _keys(store: Path) -> list[tuple[str, ...]]:
    """
    Return who was told what, as the file itself has it.
    """
    columns = "mentor_id, certificate_type, threshold_tier, notification_window_start, audience, recipient_id"
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(f"SELECT {columns} FROM notifications").fetchall()  # noqa: S608 - our own text


def _begun(process: subprocess.Popen[str]) -> None:
    """
    Return when the first tenth is written.
    """
    assert process.stderr is not None
    line = process.stderr.readline()
    assert f"of {MANY} done" in line, line


def test_two_at_once_on_a_file_that_is_not_there_tell_once(
    start: Callable[..., Any], store: Path, tmp_path: Path
) -> None:
    """
    Both end well, and together they created what one alone would, on whichever side of midnight.
    """
    now = datetime.now(UTC)
    example = tmp_path / EXAMPLE.name
    example.write_text(dated(EXAMPLE.read_text(encoding="utf-8"), now.date()), encoding="utf-8")

    both = [start("notify", example, "--as-of", now.isoformat()) for _ in range(2)]

    for process in both:
        _, err = process.communicate(timeout=LONGEST_WAIT)
        assert ExitCode.SUCCESS == process.returncode, err
    keys = _keys(store)
    assert len(keys) == len(set(keys))
    assert 18 == sum(key[4] == "mentor" for key in keys)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_is_completed_by_the_next(
    start: Callable[..., Any], run: Any, store: Path, many: Path, number: signal.Signals
) -> None:
    """
    What was written stays; the next run tells the rest and nobody twice.
    """
    process = start("notify", many)
    _begun(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=LONGEST_WAIT)
    written = len(_keys(store))

    ended = run("notify", many, "--json")

    assert 0 < written < MANY
    if number is not signal.SIGKILL:
        assert ExitCode.INTERRUPTED == process.returncode
        assert "Interrupted. Notices already written are kept. Run the command again" in err
    assert "Traceback" not in err
    assert ExitCode.SUCCESS == ended.code
    assert [MANY - written, written] == [
        ended.document["created"],
        ended.document["skipped_by_reason"]["duplicate"],
    ]
    assert MANY == len(set(_keys(store)))

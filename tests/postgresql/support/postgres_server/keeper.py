"""
Keeps one PostgreSQL server: makes its data, starts it, and ends it when its input ends.

A process of its own, so that a test run that is killed leaves no server behind.
Run with the programs' folder as the one argument; says `ready` and the folder
of the socket in one line, or `failed` and why. Any line of input starts the
server again, as a machine does that lost its power. Only the standard library.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from binaries import as_user, open_to_everybody, unprivileged, within_reach

_LONGEST_SOCKET_FOLDER = 80  # a socket's whole path has 107 bytes at most
_PATIENCE = 60.0
_PAUSE = 0.02
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "jit": "off",
    "autovacuum": "off",
    "deadlock_timeout": "50ms",
    "lc_messages": "C",
}


def _new_folder(user: pwd.struct_passwd | None) -> Path:
    usual = tempfile.gettempdir()
    fits = len(usual) <= _LONGEST_SOCKET_FOLDER and (user is None or open_to_everybody(Path(usual)))
    parent = usual if fits else "/tmp"  # noqa: S108 - a socket needs a short path
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir=parent))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _initialize(programs: Path, folder: Path, options: dict[str, Any]) -> None:
    command = [programs / "initdb", "-D", folder / "data", "-U", "tester", "--auth=trust", "-E", "UTF8"]
    done = subprocess.run(
        [*command, "--locale=C", "--no-sync", "--no-instructions"],
        **options,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-500:] + done.stderr[-2000:])
    # Users other than ours have passwords, and have to tell them.
    rules = "local all tester trust\nlocal all all scram-sha-256\n"
    (folder / "data" / "pg_hba.conf").write_text(rules, encoding="utf-8")


def _start(programs: Path, folder: Path, options: dict[str, Any]) -> subprocess.Popen[bytes]:
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, *settings],
            **options,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_until_it_answers(server: subprocess.Popen[bytes], folder: Path) -> None:
    # Its own note of readiness; the socket alone answers earlier, with a refusal.
    status = folder / "data" / "postmaster.pid"
    give_up = time.monotonic() + _PATIENCE
    while server.poll() is None and time.monotonic() < give_up:
        if status.exists() and status.read_text(encoding="utf-8").rstrip().endswith("ready"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(folder / ".s.PGSQL.5432"))
            return
        time.sleep(_PAUSE)
    raise RuntimeError((folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-2000:])


def _stop(server: subprocess.Popen[bytes]) -> None:
    """
    End it at once: whatever it would still write is thrown away with its folder.
    """
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _keep(programs: Path, folder: Path, user: pwd.struct_passwd | None) -> None:
    options = as_user(user, folder)
    _initialize(programs, folder, options)
    told = True
    while told:
        server = _start(programs, folder, options)
        try:
            _wait_until_it_answers(server, folder)
            print("ready", folder, flush=True)  # what the test run waits for
            told = bool(sys.stdin.readline())
        finally:
            _stop(server)


def main() -> None:
    """
    Keep the server until the input ends; then leave nothing behind.
    """
    user = unprivileged()
    folder = _new_folder(user)
    try:
        _keep(within_reach(Path(sys.argv[1]), folder), folder, user)
    except (OSError, RuntimeError) as error:
        print("failed", " ".join(str(error).split()), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

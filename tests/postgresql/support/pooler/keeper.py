"""
Keeps one PgBouncer: starts it, and ends it when its input ends.

A process of its own, so that a test run that is killed leaves no pooler
behind. Says `ready` and the folder of the socket in one line, or `failed` and
why. Any line of input kills the pooler and starts it again, on the same socket.
Only the standard library.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "postgres_server"))

from binaries import as_user, unprivileged

_PATIENCE = 60.0
_PAUSE = 0.02
_SOCKETS = Path("/proc/net/unix")
_LISTENING = "00010000"
_SETTINGS = {
    "auth_type": "trust",
    "listen_addr": "",
    "unix_socket_mode": "0777",
    "max_client_conn": 200,
    "server_check_delay": 0,
    "ignore_startup_parameters": "",
}


def _write(folder: Path, server: str, settings: dict[str, Any]) -> Path:
    users = folder / "users.txt"
    users.write_text('"tester" ""\n', encoding="utf-8")
    every = {
        **_SETTINGS,
        "unix_socket_dir": folder,
        "auth_file": users,
        "logfile": folder / "log.txt",
        **settings,
    }
    lines = ["[databases]", f"* = host={server} port=5432", "[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in every.items()]
    path = folder / "pgbouncer.ini"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _prepare(given: dict[str, Any], folder: Path) -> tuple[dict[str, Any], Path]:
    user = unprivileged()
    shutil.copy(given["program"], folder / "pgbouncer")
    options = as_user(user, folder)
    if given["libraries"]:
        shutil.copytree(given["libraries"], folder / "libraries", symlinks=True)
        options["env"] = {**options["env"], "LD_LIBRARY_PATH": str(folder / "libraries")}
    configuration = _write(folder, given["server"], given["settings"])
    if user is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return options, configuration


def _run(options: dict[str, Any], folder: Path, configuration: Path) -> subprocess.Popen[bytes]:
    for left in folder.glob(".s.PGSQL.*"):
        left.unlink()  # of the one that was killed
    return subprocess.Popen(
        [folder / "pgbouncer", "--quiet", configuration],
        **options,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _listens(path: Path) -> bool:
    """
    Tell whether a process listens there. The file is there before; to connect would be to be its client.
    """
    if not _SOCKETS.exists():
        return path.exists()
    known = (line.split() for line in _SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines())
    return any(words[3] == _LISTENING and words[-1] == str(path) for words in known)


def _wait_until_it_answers(pooler: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while pooler.poll() is None and time.monotonic() < give_up:
        if _listens(folder / f".s.PGSQL.{port}"):
            return
        time.sleep(_PAUSE)
    log = folder / "log.txt"
    raise RuntimeError(
        log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else "no log"
    )


def _keep(given: dict[str, Any], folder: Path) -> None:
    options, configuration = _prepare(given, folder)
    told = True
    while told:
        pooler = _run(options, folder, configuration)
        try:
            _wait_until_it_answers(pooler, folder, given["settings"]["listen_port"])
            print("ready", folder, flush=True)  # what the test run waits for
            told = bool(sys.stdin.readline())
        finally:
            pooler.kill()
            pooler.wait()


def main() -> None:
    """
    Keep the pooler until the input ends; then leave nothing behind.
    """
    given = json.loads(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
    try:
        _keep(given, folder)
    except (OSError, RuntimeError) as error:
        print("failed", " ".join(str(error).split()), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

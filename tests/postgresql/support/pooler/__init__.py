"""
A PgBouncer of the tests' own in front of their PostgreSQL, on a socket in a temporary folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kept_process import KeptProcess, kept
from sqlalchemy import URL

from pooler.programs import PoolerFailedError, find_program

__all__ = ["Pooler", "PoolerFailedError", "running_pooler"]

PORT = 6432
_KEEPER = Path(__file__).with_name("keeper.py")


class Pooler(KeptProcess):
    """
    A pooler that runs.
    """

    failed = PoolerFailedError

    def restart(self) -> None:
        """
        Kill it, and start it again on the same socket.
        """
        self.tell()

    def front(self, url: URL) -> URL:
        """
        Return the address of the same database by way of the pooler.
        """
        return url.set(query={"host": str(self.folder), "port": str(PORT)})


@contextmanager
def running_pooler(server: Path, **settings: str | int) -> Iterator[Pooler]:
    """
    Start a pooler before the server on that socket; end it with the block, or with this process.

    Raises:
        PoolerFailedError: there is none, or it did not start, with what it said.
    """
    program = find_program()
    given = {
        "program": str(program.path),
        "libraries": str(program.libraries or ""),
        "server": str(server),
        "settings": {"listen_port": PORT, **settings},
    }
    with kept(Pooler, _KEEPER, json.dumps(given)) as running:
        yield running

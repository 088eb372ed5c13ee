"""
A PgBouncer of the tests' own in front of their PostgreSQL, on a socket in a temporary folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from sqlalchemy import URL

from pooler.programs import PoolerFailedError, find_program

__all__ = ["Pooler", "PoolerFailedError", "running_pooler"]

PORT = 6432
_KEEPER = Path(__file__).with_name("keeper.py")


@attrs.frozen
class Pooler:
    """
    A pooler that runs.

    Attributes:
        folder: where its socket is.
    """

    folder: Path
    _keeper: subprocess.Popen[str]

    def restart(self) -> None:
        """
        Kill it, and start it again on the same socket.
        """
        assert self._keeper.stdin is not None
        self._keeper.stdin.write("\n")
        self._keeper.stdin.flush()
        _await_readiness(self._keeper)

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
    command = [sys.executable, "-S", str(_KEEPER), json.dumps(given)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdin is not None
        try:
            yield Pooler(_await_readiness(keeper), keeper)
        finally:
            keeper.stdin.close()
            keeper.wait()


def _await_readiness(keeper: subprocess.Popen[str]) -> Path:
    assert keeper.stdout is not None
    word, _, rest = keeper.stdout.readline().strip().partition(" ")
    if word != "ready":
        raise PoolerFailedError(rest or "no word from its keeper")
    return Path(rest)

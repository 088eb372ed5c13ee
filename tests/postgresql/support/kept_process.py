"""
A program that a keeper runs for the tests: it ends with the block, or with this process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

Kept = TypeVar("Kept", bound="KeptProcess")


class KeptProcess:
    """
    A program that runs, and its keeper, which says `ready` and a folder, or `failed` and why.

    Attributes:
        failed: makes an error of a reason.
        folder: where the program's socket is.
    """

    failed: ClassVar[Callable[[str], Exception]]

    def __init__(self, keeper: subprocess.Popen[str]) -> None:
        self._keeper = keeper
        self.folder = self._readiness()

    def tell(self, word: str = "") -> None:
        """
        Say a word to the keeper, and wait until it has done what that stands for.
        """
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{word}\n")
        self._keeper.stdin.flush()
        self._readiness()

    def _readiness(self) -> Path:
        assert self._keeper.stdout is not None
        word, _, rest = self._keeper.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise self.failed(rest or "no word from its keeper")
        return Path(rest)


@contextmanager
def kept(kind: type[Kept], keeper: Path, argument: str) -> Iterator[Kept]:
    """
    Run a keeper of that file, given that argument, while the block runs.
    """
    # Without site-packages, and in a session of its own: a Ctrl-C is for the tests, not for the program.
    command = [sys.executable, "-S", str(keeper), argument]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        try:
            yield kind(process)
        finally:
            process.stdin.close()
            process.wait()

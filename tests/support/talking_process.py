"""
A process that says words, a line each; who waits for one in vain is shown what it said instead.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from typing import Final

import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

_SHOWN: Final = 50


class TalkingProcess:
    """
    A process whose output, of both kinds, is read as it comes: a full pipe holds nobody up.
    """

    def __init__(self, *command: str) -> None:
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: list[str] = []
        self._heard = 0
        self._is_silent = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    async def said(self, word: str) -> None:
        """
        Wait until it says the word, after what was waited for before; fail when it does not in time, or ends.
        """
        if not await to_thread.run_sync(self._hears, word):
            pytest.fail(f"It did not say {word!r}. {self.told()}")

    def told(self) -> str:
        """
        Return whether it runs, and what it said last.
        """
        ended = self.popen.poll()
        state = "It runs" if ended is None else f"It ended with {ended}"
        with self._news:
            said = "".join(self._lines[-_SHOWN:])
        return f"{state}, and said:\n{said or '(nothing)'}"

    def let_end(self) -> None:
        """
        Close its standard input, and wait until it has ended.
        """
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        try:
            self.popen.wait(LONGEST_WAIT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"It did not end. {self.told()}")

    def kill(self) -> None:
        """
        End it, whatever it does.
        """
        self.popen.kill()
        self.popen.wait()
        self._reader.join(LONGEST_WAIT)
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self._note(line)
        self._note(None)

    def _note(self, line: str | None) -> None:
        with self._news:
            if line is None:
                self._is_silent = True
            else:
                self._lines.append(line)
            self._news.notify_all()

    def _hears(self, word: str) -> bool:
        with self._news:
            self._news.wait_for(lambda: self._is_silent or self._place_of(word) is not None, LONGEST_WAIT)
            place = self._place_of(word)
            self._heard = self._heard if place is None else place + 1
            return place is not None

    def _place_of(self, word: str) -> int | None:
        new: Sequence[str] = self._lines[self._heard :]
        return self._heard + new.index(f"{word}\n") if f"{word}\n" in new else None

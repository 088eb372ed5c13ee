"""
Starts the processes that submit and serve, and hands them their jobs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

_SEAT: Final = Path(__file__).with_name("seat.py")
_PATIENCE: Final = 300.0
_LOOK_AGAIN: Final = 0.002


class SeatError(Exception):
    """
    A process ended without an answer, or none came.
    """


@attrs.frozen
class Seat:
    """
    A process that has one build of this library.
    """

    process: subprocess.Popen[str]

    def ask(self, **job: Any) -> dict[str, float]:
        """
        Have a job done, and return its figures.
        """
        self.say(json.dumps(job))
        return self.answer()

    def say(self, line: str = "") -> None:
        """
        Write a line to it.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, float]:
        """
        Await its next line.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            msg = f"status {self.process.wait()}"
            raise SeatError(msg)
        found: dict[str, float] = json.loads(line)
        return found


@contextmanager
def seated(build: Path) -> Iterator[Seat]:
    """
    Lend a new process that imports this library from there.
    """
    process = subprocess.Popen(
        [sys.executable, str(_SEAT), str(build)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(build)},
    )
    with process:
        try:
            yield Seat(process)
        finally:
            process.kill()


def drained(build: Path, servers: int, *, batches: int, told: Path, **job: Any) -> float:
    """
    Return the seconds that this many servers need until the last accepted batch is settled.

    All have their store open and have driven a batch of their own before the clock starts.
    """
    with ExitStack() as stack:
        seats = [stack.enter_context(seated(build)) for _ in range(servers)]
        for seat in seats:
            assert seat.ask(part="serve", told=str(told), **job)["ready"]
        begin = time.perf_counter()
        for seat in seats:
            seat.say()
        _await_settled(told, batches + servers, seats)
        seconds = time.perf_counter() - begin
        for seat in seats:
            seat.say()
            seat.answer()
    return seconds


def _await_settled(told: Path, batches: int, seats: Sequence[Seat]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while len(set(told.read_text(encoding="ascii").split())) < batches:
        if time.monotonic() > give_up or any(seat.process.poll() is not None for seat in seats):
            msg = f"not all of {batches} batches were settled"
            raise SeatError(msg)
        time.sleep(_LOOK_AGAIN)

"""
Shift the wall clock of the tests and of every Python process that they start.

`WALL_CLOCK` in the environment holds the moment at which a session begins, in ISO format; from there
time ticks on. The first process turns it into an offset, which all others inherit; `begin_again` sets
it back. Monotonic time and the clocks of SQLite and PostgreSQL stay the machine's: a host's clock may
differ from its store's.

Nobody slips through unseen: a process notes in `WALL_CLOCK_LEDGER` what it starts, and what is started
notes there that it is shifted, and the date it reads. `shifted_session` compares them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MOMENT = "WALL_CLOCK"
OFFSET = "WALL_CLOCK_OFFSET"
LEDGER = "WALL_CLOCK_LEDGER"

_journeys: list[Any] = []


def begin() -> None:
    """
    Shift this process's clock and note that it is; without a moment do nothing.
    """
    if MOMENT not in os.environ or "_time_machine" in sys.modules:
        return
    os.environ.setdefault(OFFSET, str(_moment() - time.time()))
    time.tzset()
    _travel()
    _note("shifted", sys.orig_argv[1:])
    sys.addaudithook(_watch)


def begin_again(seconds_after: float) -> None:
    """
    Set the clock to so many seconds after the moment, here and in whatever this process starts from now on.
    """
    _journeys.pop().stop()
    os.environ[OFFSET] = str(_moment() + seconds_after - time.time())
    _travel()


def _moment() -> float:
    return datetime.fromisoformat(os.environ[MOMENT]).timestamp()


def _travel() -> None:
    installed = sys.modules.get("pytest")
    sys.modules["pytest"] = None  # type: ignore[assignment]  # time-machine loads it wherever it can: 0.2 s a process
    try:
        import time_machine  # noqa: PLC0415 - only where the clock is shifted
    finally:
        del sys.modules["pytest"]
        if installed is not None:
            sys.modules["pytest"] = installed
    journey = time_machine.travel(time.time() + float(os.environ[OFFSET]), tick=True)
    journey.start()
    _journeys.append(journey)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """
    Note each Python process that is about to start.
    """
    if event not in {"subprocess.Popen", "os.exec"}:
        return
    executable, command = arguments[:2]
    words = [os.fsdecode(word) for word in command]
    if Path(os.fsdecode(executable)).name.startswith("python"):
        _note("started", words[1:])
    elif Path(words[0]).parent == Path(sys.executable).parent:
        _note("started", words)  # a script, whose first line names Python


def _note(what: str, words: Sequence[str]) -> None:
    line = json.dumps([os.environ[MOMENT], what, list(words), datetime.now(UTC).isoformat()]) + "\n"
    # One write at the end of the file is whole, however many processes do it at once.
    with open(os.environ[LEDGER], "ab", buffering=0) as ledger:  # noqa: PTH123 - pathlib opens no unbuffered file faster
        ledger.write(line.encode())

"""
How fast a file is checked, beside Python's own CSV reader with the same conversions, and with what memory.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Final

from _harness import Story, Table, Target, medians, tell
from bench_memory import memory

from proxy_orchestration.cli.csv.mentors import FORMAT, parse_mentors
from proxy_orchestration.cli.csv.problems import CsvFileError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.requests import RegistrationEntry

ROWS: Final = 200_000
SMALL: Final = 20_000
LIMIT: Final = 10_000
ROUNDS: Final = 5
TODAY: Final = date(2026, 11, 21)
READS: Final = [column.read for column in FORMAT.columns]


def content(rows: int) -> bytes:
    """
    Return a file of so many mentors.
    """
    lines = (f'mentor-{number},home_visit,2026-11-02,60,"Tea, and cake"\n' for number in range(rows))
    return ("mentor_id,activity_type,activity_date,duration_minutes,notes\n" + "".join(lines)).encode()


def by_the_reader(data: bytes) -> int:
    """
    Read the rows with Python's reader, and convert their cells by the same functions.
    """
    rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    next(rows)
    entries = []
    for row in rows:
        mentor_id, kind, day, minutes, notes = (
            read(cell.strip()) for read, cell in zip(READS, row, strict=True)
        )
        activity = ProxyActivity(activity_type=kind, activity_date=day, duration_minutes=minutes, notes=notes)
        entries.append(RegistrationEntry(mentor_id, activity))
    return len(entries)


def by_us(data: bytes) -> int:
    """
    Check the file as `register` does.
    """
    return len(parse_mentors(data, name="mentors.csv", today=TODAY, limit=ROWS).entries)


def _seconds(check: object, data: bytes) -> float:
    assert callable(check)
    begin = time.process_time()  # of the processor: nothing waits here
    assert check(data) == ROWS
    return time.process_time() - begin


def _peak_elsewhere(rows: int) -> float:
    """
    Return by how many MiB a process grows that checks a file of so many rows, and does nothing else.
    """
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(content(rows))
        file.flush()
        command = [sys.executable, __file__, "check", file.name]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def check(path: Path) -> None:
    """
    Check a file with more mentors than a batch holds, and print this process's growth in peak MiB.
    """
    before = memory("VmHWM")
    try:
        parse_mentors(path, name="mentors.csv", today=TODAY, limit=LIMIT)
    except CsvFileError:
        print(memory("VmHWM") - before)


def measure() -> Story:
    """
    Let both read the same bytes in turns, and look at the memory of a fresh process.
    """
    data = content(ROWS)
    figures = medians(
        {
            "csv.reader": lambda: _seconds(by_the_reader, data),
            "this library": lambda: _seconds(by_us, data),
        },
        rounds=ROUNDS,
    )
    peaks = {rows: _peak_elsewhere(rows) for rows in (SMALL, ROWS)}
    rows = [(name, f"{ROWS / seconds:,.0f}") for name, seconds in figures.items()]
    grown = [
        (f"{rows:,}", f"{len(content(rows)) / 2**20:.1f}", f"{peak:.1f}") for rows, peak in peaks.items()
    ]
    return Story(
        title="Checking a file of mentors",
        tables=[
            Table(heading=("", "rows a second"), rows=rows),
            Table(heading=("rows", "MiB of file", "peak MiB"), rows=grown),
        ],
        targets=[
            Target(
                what="speed, ratio to csv.reader with the same conversions",
                figure=figures["csv.reader"] / figures["this library"],
                at_least=0.5,
            ),
            Target(
                what=f"peak memory at {ROWS:,} rows, ratio to {SMALL:,} rows",
                figure=peaks[ROWS] / peaks[SMALL],
                at_most=1.5,
            ),
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(Path(sys.argv[2]))
    else:
        tell(measure)

"""
Measures in interleaved rounds, prints tables, and compares with the aims.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

Case: TypeAlias = Callable[[], float]
"""Does a piece of work once and returns a figure of it, mostly seconds."""

CaseOfMany: TypeAlias = Callable[[], Mapping[str, float]]
"""Does a piece of work once and returns several figures of it by their names."""


@attrs.frozen(kw_only=True)
class Target:
    """
    A figure that was aimed at; exactly one of the limits is given.

    Attributes:
        what: in words.
        figure: as measured.
        at_most, at_least: the limit.
        digits: behind the point, for print.
    """

    what: str
    figure: float
    at_most: float | None = None
    at_least: float | None = None
    digits: int = 2

    @property
    def met(self) -> bool:
        """
        Return whether the figure reaches the aim.
        """
        if self.at_most is not None:
            return self.figure <= self.at_most
        return self.at_least is None or self.figure >= self.at_least

    def cells(self) -> tuple[str, ...]:
        """
        Return the target as a row of the table of targets.
        """
        limit = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        return self.what, f"{self.figure:.{self.digits}f}", limit, "yes" if self.met else "**no**"


@attrs.frozen(kw_only=True)
class Table:
    """
    Rows of text under a heading.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.heading, *self.rows, strict=True)]
        lines = [self.heading, ["-" * width for width in widths], *self.rows]
        return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


@attrs.frozen(kw_only=True)
class Story:
    """
    What one benchmark found.

    Attributes:
        title: in a few words.
        tables: the figures.
        targets: what was aimed at.
    """

    title: str
    tables: Sequence[Table]
    targets: Sequence[Target] = ()

    def __str__(self) -> str:
        parts = [f"**{self.title}**", *map(str, self.tables)]
        if self.targets:
            rows = [target.cells() for target in self.targets]
            parts.append(str(Table(heading=("Aim", "Measured", "Limit", "Reached"), rows=rows)))
        return "\n\n".join(parts)


def medians(cases: Mapping[str, Case], *, rounds: int) -> dict[str, float]:
    """
    Run every case once per round, the cases taking turns, and return each one's median.

    Turns rather than blocks: whatever else the machine does hits all cases alike.
    """

    def alone(case: Case) -> CaseOfMany:
        return lambda: {"": case()}

    found = medians_of_many({name: alone(case) for name, case in cases.items()}, rounds=rounds)
    return {name: figures[""] for name, figures in found.items()}


def medians_of_many(cases: Mapping[str, CaseOfMany], *, rounds: int) -> dict[str, dict[str, float]]:
    """
    Do the same with cases that find several figures, each with a median of its own.
    """
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            gc.collect()
            found[name].append(case())
    return {
        name: {figure: statistics.median(one[figure] for one in of_rounds) for figure in of_rounds[0]}
        for name, of_rounds in found.items()
    }


def fsync_ms() -> float:
    """
    Return the median milliseconds that the disk needs for a small write to be safe.
    """
    taken = []
    with tempfile.TemporaryFile(dir="/tmp") as file:
        for _ in range(100):
            file.write(b"x" * 200)
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return 1_000 * statistics.median(taken)


def tell(measure: Callable[[], Story]) -> None:
    """
    Measure and print; with `--check`, exit with status 1 where an aim is missed.
    """
    tell_with(lambda _: measure(), argparse.ArgumentParser())


def tell_with(measure: Callable[[argparse.Namespace], Story], parser: argparse.ArgumentParser) -> None:
    """
    Do the same for a benchmark that has options.
    """
    parser.add_argument("--check", action="store_true", help="exit with 1 if an aim is missed")
    options = parser.parse_args()
    story = measure(options)
    print(story)
    if options.check and not all(target.met for target in story.targets):
        sys.exit(1)

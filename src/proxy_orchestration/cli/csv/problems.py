"""
The problems of a CSV file, reported all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

_SHOWN: Final = 10
_LONGEST_QUOTE: Final = 40


@attrs.frozen
class CsvProblem:
    """
    One thing that keeps a file from being read.

    Attributes:
        message: what is wrong and what to do.
        line: the file's line, from 1; `None` when the whole file is meant.
        column: the column's name, or `None`.
    """

    message: str
    line: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        places = (("line", self.line), ("column", self.column))
        place = ", ".join(f"{kind} {value}" for kind, value in places if value)
        return f"{place}: {self.message}" if place else self.message


class CellError(Exception):
    """
    A cell cannot be read; the message says what to write instead.

    Attributes:
        column: whose cell, where whoever asked does not know it.
    """

    def __init__(self, message: str, *, column: str | None = None) -> None:
        self.column = column
        super().__init__(message)


class RefusedError(Exception):
    """
    A file cannot be read; its arguments are the `CsvProblem`s. Who knows its name raises a `CsvFileError`.
    """


class CsvFileError(Exception):
    """
    A file is refused as a whole.

    Attributes:
        name: the file, as the person named it.
        problems: all that was found, in file order; at least one.
        verdict: what comes of it, to follow the name.
    """

    def __init__(self, name: str, problems: Sequence[CsvProblem], *, verdict: str) -> None:
        self.name = name
        self.problems: tuple[CsvProblem, ...] = tuple(problems)
        self.verdict = verdict
        super().__init__(self._told())

    def _told(self) -> str:
        lines = [f"  {problem}" for problem in self.problems[:_SHOWN]]
        rest = len(self.problems) - _SHOWN
        if rest > 0:
            lines.append(f"  and {rest} more")
        return "\n".join((f"{printable(self.name)} {self.verdict}.", *lines))


def printable(text: str) -> str:
    """
    Return the text with everything that could steer a terminal written as an escape.
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quoted(text: str) -> str:
    """
    Return a cell's text for a message: short, printable, in quotes.
    """
    short = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
    return f"'{printable(short)}'"

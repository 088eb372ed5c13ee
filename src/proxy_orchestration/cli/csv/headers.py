"""
Reads the first line of a file, which names the columns.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from proxy_orchestration.cli.csv.cells import Column
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CsvProblem, RefusedError, printable, quoted
from proxy_orchestration.cli.csv.rows import Row


def header_of(row: Row | None, columns: Sequence[Column], layout: Layout) -> tuple[str, ...]:
    """
    Return the columns' names in the file's order, those that are left out as empty texts.

    Raises:
        RefusedError: it is no header, or not one of this kind of file.
    """
    known = ", ".join(column.name for column in columns)
    if row is None:
        message = f"the file is empty. Its first line must name the columns: {known}."
        raise RefusedError(CsvProblem(message))
    written = _without_empty_end(row.cells)
    header = tuple(map(layout.name_of, written))
    if not {column.name for column in columns} & set(header):
        message = (
            "this is not a header line. The first line must name the columns, separated by commas, "
            f"semicolons or tabs: {known}."
        )
        raise RefusedError(CsvProblem(message, row.line))
    names = {column.name for column in columns}
    others = [place for place, name in enumerate(header) if name not in names]
    problems = [] if layout.ignores_others else list(_strangers(written, others, known))
    problems += _missing_and_doubled(header, columns)
    if problems:
        raise RefusedError(*(CsvProblem(message, row.line, column) for message, column in problems))
    if others:
        told = ", ".join(quoted(written[place].strip()) for place in others)
        layout.tell(f"These columns are ignored: {told}.")
    return tuple(name if name in names else "" for name in header)


def _without_empty_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return the header's cells without those of columns that a spreadsheet adds on the right.
    """
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _strangers(written: Sequence[str], others: Sequence[int], known: str) -> Iterator[tuple[str, str | None]]:
    for place in others:
        name = written[place].strip()
        what = f"the column {quoted(name)} is not known" if name else f"column {place + 1} has no name"
        renamed = shlex.quote(f"{printable(name) or 'OLD'}=NEW")
        cure = f"Remove it, or use --ignore-columns or --columns {renamed}"
        yield f"{what}. {cure}; the known columns are {known}.", None


def _missing_and_doubled(
    header: Sequence[str], columns: Sequence[Column]
) -> Iterator[tuple[str, str | None]]:
    for column in columns:
        if not column.optional and column.name not in header:
            yield "the column is missing. Add it to the header and to each line.", column.name
    for column in columns:
        if header.count(column.name) > 1:
            yield "the column appears more than once. Keep one of them.", column.name

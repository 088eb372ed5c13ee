"""
Reads a file of decisions about mentors who wait for one; refuses a bad one whole, naming every place.

Its columns are `mentor_id` and `decision`, which is `override` or `skip`. What
else a file may look like: see `csv_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy_orchestration.cli.csv_cells import CellError, CellReader
from proxy_orchestration.cli.csv_problems import CsvFileError, quoted
from proxy_orchestration.cli.csv_tables import Columns, parse_table, read_bytes, refused
from proxy_orchestration.registration.conflicts import ConflictDecision

_COLUMNS: Final = Columns(required=("mentor_id", "decision"))


def read_decisions(path: Path) -> Mapping[str, ConflictDecision]:
    """
    Read and check the whole file; return the decisions by mentor id, in file order, at least one.

    Raises:
        CsvFileError: it cannot be read, or something in it is wrong.
    """
    try:
        return parse_decisions(read_bytes(path), name=str(path))
    except CsvFileError as error:
        verdict = "cannot be carried out; nothing was changed"
        raise CsvFileError(error.name, error.problems, verdict=verdict) from None


def parse_decisions(data: bytes, *, name: str) -> Mapping[str, ConflictDecision]:
    """
    Return what the bytes of a file say.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    table = parse_table(data, name=name, columns=_COLUMNS)
    cells = CellReader(header=table.header)
    decisions: dict[str, ConflictDecision] = {}
    for row in table.rows:
        if not cells.fits(row):
            continue
        mentor_id = cells.mentor(row)
        decision = cells.value(row, "decision", _decision)
        if mentor_id is not None and decision is not None:
            decisions[mentor_id] = decision
    if cells.problems:
        raise CsvFileError(name, cells.problems)
    if not decisions:
        raise refused(name, "the file has a header and no decisions. Add a line for each mentor.")
    return decisions


def _decision(text: str) -> ConflictDecision:
    try:
        return ConflictDecision(text.casefold())
    except ValueError:
        msg = f"{quoted(text)} is no decision. Write override or skip."
        raise CellError(msg) from None

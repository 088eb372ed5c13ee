"""
Reads a file of decisions about mentors who wait for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy_orchestration.cli.csv.cells import MENTOR_ID, Column
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CellError, quoted
from proxy_orchestration.cli.csv.tables import FileFormat
from proxy_orchestration.registration.conflicts import ConflictDecision

_AS_IT_COMES: Final = Layout()


def _decision(text: str) -> ConflictDecision:
    try:
        return ConflictDecision(text.casefold())
    except ValueError:
        msg = f"{quoted(text)} is not a decision. Write override or skip."
        raise CellError(msg) from None


FORMAT: Final = FileFormat(
    columns=(MENTOR_ID, Column("decision", _decision)),
    noun="decisions",
    verdict="cannot be used as decisions; nothing was changed",
)


def parse_decisions(
    source: Path | bytes, *, name: str, layout: Layout = _AS_IT_COMES
) -> Mapping[str, ConflictDecision]:
    """
    Return the decisions by mentor id, in file order, at least one.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    parsed = FORMAT.parse(source, lambda record: record.values, name=name, layout=layout)
    return {record["mentor_id"]: record["decision"] for record in parsed.rows}

"""
Turns a sheet of a workbook (.xlsx) into rows of texts. Needs the extra `xlsx`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from typing import IO, TYPE_CHECKING, Any, Final

from proxy_orchestration._extras import needs_extra
from proxy_orchestration.cli.csv.problems import CsvProblem, RefusedError, quoted
from proxy_orchestration.cli.csv.rows import Row
from proxy_orchestration.cli.csv.sources import beginning_of

if TYPE_CHECKING:
    from openpyxl import Workbook

_MAGIC: Final = b"PK\x03\x04"
_LONGEST_UNPACKED: Final = 512 * 1024 * 1024
"""Bytes; a small archive may unpack to more than any machine has."""

_ZEROS: Final = re.compile(r"0+")


def is_workbook(file: IO[bytes]) -> bool:
    """
    Tell whether the file is an archive, as a workbook is.
    """
    return beginning_of(file, len(_MAGIC)) == _MAGIC


def rows_of_workbook(file: IO[bytes], *, sheet: str | None) -> Iterator[Row]:
    """
    Yield each row of a sheet that is not blank; a date is `YYYY-MM-DD`, a number what it shows.

    Args:
        file: the file.
        sheet: its name; `None` for the first one.

    Raises:
        RefusedError: it is no workbook, has no such sheet, or a formula in it was never calculated.
        MissingExtraError: openpyxl is not installed.
    """
    with needs_extra("xlsx", "openpyxl", needed_by="Reading a workbook (.xlsx)"):
        import openpyxl  # noqa: F401, PLC0415 - only here is the extra needed
    _check_archive(file)
    with closing(_opened(file, values=True)) as values, closing(_opened(file, values=False)) as formulas:
        names = values.sheetnames
        name = names[0] if sheet is None else sheet
        if name not in names:
            told = ", ".join(map(quoted, names))
            raise RefusedError(CsvProblem(f"there is no sheet {quoted(name)}. Choose one of {told}."))
        for line, (row, written) in enumerate(
            zip(values[name].iter_rows(), formulas[name].iter_rows(), strict=False), 1
        ):
            cells = tuple(_shown(*both, line) for both in zip(row, written, strict=False))
            if any(cell.strip() for cell in cells):
                yield Row(line=line, cells=cells)


def _check_archive(file: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(each.file_size for each in archive.infolist())
            is_one = "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        size, is_one = 0, False
    if not is_one:
        raise RefusedError(CsvProblem("the file is an archive, but not a workbook. Save it as .xlsx or CSV."))
    if size > _LONGEST_UNPACKED:
        raise RefusedError(CsvProblem("the workbook unpacks to more than 512 MiB. Split it."))


def _opened(file: IO[bytes], *, values: bool) -> Workbook:
    from openpyxl import load_workbook  # noqa: PLC0415 - only here is the extra needed

    try:
        return load_workbook(file, read_only=True, data_only=values)
    except Exception as error:  # noqa: BLE001 - whatever a damaged workbook makes of the library
        message = f"the workbook cannot be read ({type(error).__name__}). Open it and save it again."
        raise RefusedError(CsvProblem(message)) from None


def _shown(cell: Any, written: Any, line: int) -> str:  # noqa: ANN401 - openpyxl's cells
    value = cell.value
    if value is None and getattr(written, "data_type", "") == "f":
        message = (
            f"the formula in {written.coordinate} was never calculated. Open the workbook in a spreadsheet, "
            "save it, and submit it again."
        )
        raise RefusedError(CsvProblem(message, line))
    match value:
        case None:
            return ""
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
        case date():
            return value.isoformat()
        case int() | float() if not isinstance(value, bool):
            return _number(value, cell.number_format or "")
        case _:
            return str(value)


def _number(value: float, number_format: str) -> str:
    text = str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact
    return text.zfill(len(number_format)) if _ZEROS.fullmatch(number_format) else text

"""
Writes results to standard output, and everything else to standard error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy_orchestration._plain_json import plain
from proxy_orchestration.cli.csv.problems import CsvFileError, CsvProblem, printable
from proxy_orchestration.cli.exits import ExitCode, code_of_error


def _console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)  # names are shown as they are


@attrs.frozen
class Cell:
    """
    One cell of a table: its text, and how a terminal shows it.
    """

    text: str = attrs.field(converter=printable)
    style: str = ""


@attrs.define(eq=False, kw_only=True)
class Output:
    """
    The program's two streams.

    Attributes:
        as_json: whether standard output holds JSON and nothing else.
        out: standard output.
        err: standard error.
    """

    as_json: bool
    out: Console = attrs.field(factory=lambda: _console(stderr=False))
    err: Console = attrs.field(factory=lambda: _console(stderr=True))

    def say(self, text: str, *, style: str = "") -> None:
        """
        Write a line for people to standard error.
        """
        self.err.print(Text(text, style=style), soft_wrap=True)

    def conclude(self, text: str) -> None:
        """
        Write a line that belongs to the result, to standard output unless that is JSON.
        """
        (self.err if self.as_json else self.out).print(Text(text), soft_wrap=True)

    def ask(self, question: str) -> str:
        """
        Put a question to the person on standard error; return the line typed.

        Raises:
            EOFError: there is no further line.
        """
        return self.err.input(Text(question)).strip()

    def document(self, document: object) -> None:
        """
        Write the one JSON document, a model or a mapping, to standard output.
        """
        self.out.out(json.dumps(plain(document), indent=2), highlight=False)

    def line(self, document: object) -> None:
        """
        Write one line of JSON to standard output, at once.
        """
        self.out.out(json.dumps(plain(document)), highlight=False)
        self.out.file.flush()  # whoever reads a pipe sees each update at once

    def write(self, text: str) -> None:
        """
        Write text as it is to standard output, for a file.
        """
        self.out.file.write(text)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Cell | str]]) -> None:
        """
        Write a table: drawn on a terminal, aligned plain lines elsewhere.
        """
        cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
        if not self.out.is_terminal:
            self._plain_table(header, cells)
            return
        table = Table(*header, header_style="bold")
        for row in cells:
            table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
        self.out.print(table)

    def _plain_table(self, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        lines = [list(header), *([cell.text for cell in row] for row in rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
        for line in lines:
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.out.out(text.rstrip(), highlight=False)

    def fail(self, error: Exception) -> ExitCode:
        """
        Write what went wrong and what to do; return how the program ends.
        """
        code = code_of_error(error)
        self.end(code, str(error), error.problems if isinstance(error, CsvFileError) else ())
        return code

    def end(self, code: ExitCode, message: str, problems: Sequence[CsvProblem] = ()) -> None:
        """
        Write why the program ends without a result.
        """
        self.say(message, style="red")
        if self.as_json:
            error = {"code": code.name.lower(), "exit_code": int(code), "message": message}
            self.document({"error": {**error, "problems": tuple(problems)}})

"""
The options of every command that reads a file: encoding, sheet and names of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from proxy_orchestration.cli.csv.layouts import Layout, column_name
from proxy_orchestration.cli.options import Common

EncodingOption = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="The encoding of a CSV file. Default: UTF-8, or Windows-1252 if the file only fits that.",
        show_default=False,
    ),
]
SheetOption = Annotated[
    str | None,
    typer.Option(
        "--sheet",
        metavar="NAME",
        help="The sheet of a workbook. Default: the first sheet.",
        show_default=False,
    ),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="OLD=NEW",
        help="Read the file's column OLD as column NEW. Separate several with commas, or repeat the option.",
        show_default=False,
    ),
]
IgnoreOption = Annotated[
    bool, typer.Option("--ignore-columns", help="Ignore unknown columns; a message lists them.")
]


def layout_of(
    common: Common,
    *,
    encoding: str | None,
    sheet: str | None,
    columns: Sequence[str] | None,
    ignore_columns: bool,
) -> Layout:
    """
    Return what a person said about a file.
    """
    return Layout(
        encoding=encoding,
        sheet=sheet,
        renamed=dict(_renamed(each) for given in columns or () for each in given.split(",")),
        ignores_others=ignore_columns,
        tell=common.output.say,
    )


def words_of(
    *, encoding: str | None, sheet: str | None, columns: Sequence[str] | None, ignore_columns: bool
) -> Sequence[str]:
    """
    Return the same as words of a command line about the same file.
    """
    said = [("--encoding", encoding), ("--sheet", sheet), *(("--columns", each) for each in columns or ())]
    words = [word for option, value in said if value is not None for word in (option, value)]
    return [*words, "--ignore-columns"] if ignore_columns else words


def _renamed(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not separator or not old.strip() or not new.strip():
        msg = f"{text!r} does not name two columns. Write OLD=NEW, for example Dato=activity_date."
        raise typer.BadParameter(msg, param_hint="--columns")
    return column_name(old), column_name(new)

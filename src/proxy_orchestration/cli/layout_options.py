"""
The options of every command that reads a file: how it is laid out, where it does not say so itself.
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
        help="Of a CSV file's text. Default: UTF-8, or Windows-1252 where only letters of that are in it.",
        show_default=False,
    ),
]
SheetOption = Annotated[
    str | None,
    typer.Option("--sheet", metavar="NAME", help="Of a workbook. Default: the first.", show_default=False),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="OLD=NEW",
        help="The file's column OLD is our NEW; several with commas, or repeated.",
        show_default=False,
    ),
]
IgnoreOption = Annotated[
    bool, typer.Option("--ignore-columns", help="Leave columns out that are not known; they are named.")
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


def _renamed(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not separator or not old.strip() or not new.strip():
        msg = f"{text!r} names no two columns. Write OLD=NEW, for example Dato=activity_date."
        raise typer.BadParameter(msg, param_hint="--columns")
    return column_name(old), column_name(new)

"""
The columns of a file, and the parsers that turn a cell's text into a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from proxy_orchestration.cli.csv.problems import CellError, quoted
from proxy_orchestration.ids import IdFlaw, usual_id_rule

_LONGEST_IDENTIFIER: Final = 200
_HARMED: Final = (
    "{} looks like an id that a spreadsheet has changed. Format the column as text, correct the id, and save "
    "the file again."
)


@attrs.frozen
class Column:
    """
    One column of a kind of file.

    Attributes:
        name: as the header has it.
        read: turns the text of a filled cell into its value, or raises `CellError`.
        optional: whether the header may do without it; such a column has a `blank`.
        blank: the value of an empty cell; `None` where a cell has to be filled in.
        once: what to do about a value that an earlier line has; empty where that is fine.
        fillers: whether a cell with a filler, such as `-` or `N/A`, is an empty one.
        same_for: the column whose equal values need equal values here, if any.
    """

    name: str
    read: Callable[[str], object]
    optional: bool = attrs.field(default=False, kw_only=True)
    blank: object = attrs.field(default=None, kw_only=True)
    once: str = attrs.field(default="", kw_only=True)
    fillers: bool = attrs.field(default=False, kw_only=True)
    same_for: str = attrs.field(default="", kw_only=True)


def identifier(text: str) -> str:
    """
    Return the text if it is short and can be shown.
    """
    if len(text) > _LONGEST_IDENTIFIER:
        msg = f"{quoted(text)} has {len(text)} characters. Use at most {_LONGEST_IDENTIFIER}."
        raise CellError(msg)
    if not text.isprintable():
        msg = f"{quoted(text)} contains a character that cannot be displayed. Remove it."
        raise CellError(msg)
    return text


def unharmed(text: str) -> str:
    """
    Return the text if it may be an id as it was, and no spreadsheet rounded or replaced it.
    """
    if usual_id_rule(text) is IdFlaw.MALFORMED:
        raise CellError(_HARMED.format(quoted(text)))
    return identifier(text)


def is_filler(text: str) -> bool:
    """
    Tell whether the text stands for no id.
    """
    return usual_id_rule(text) is IdFlaw.MISSING


def somebody(text: str) -> str:
    """
    Return the text if it may be somebody's id.
    """
    flaw = usual_id_rule(text)
    if flaw is IdFlaw.MISSING:
        msg = f"{quoted(text)} means that the id is missing. Fill it in."
        raise CellError(msg)
    if flaw is IdFlaw.MALFORMED:
        raise CellError(_HARMED.format(quoted(text)))
    return identifier(text)


MENTOR_ID: Final = Column("mentor_id", identifier, once="Keep one line for each mentor.")
"""The column of a file that has one line for each mentor of a batch that is stored."""

NEW_MENTOR_ID: Final = Column("mentor_id", somebody)
"""The same, of mentors who come in with the file, some of them with several lines."""

"""
The layout of a file: encoding, sheet and names of columns, where the file does not tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

Tell: TypeAlias = Callable[[str], None]


def _say_nothing(_text: str) -> None:
    pass


@attrs.frozen(kw_only=True)
class Layout:
    """
    What a person says about a file.

    Attributes:
        encoding: of its text; `None` to find out.
        sheet: of a workbook; `None` for the first one.
        renamed: what a column is called here, by what the file calls it.
        ignores_others: whether columns that are not known are left out.
        tell: is told what was found out or left out.
    """

    encoding: str | None = None
    sheet: str | None = None
    renamed: Mapping[str, str] = attrs.field(factory=dict)
    ignores_others: bool = False
    tell: Tell = _say_nothing

    def name_of(self, written: str) -> str:
        """
        Return the column's name here: case, and blanks or hyphens for underscores, make no difference.
        """
        plain = column_name(written)
        return self.renamed.get(plain, plain)


def column_name(written: str) -> str:
    """
    Return what a header's cell means as a name.
    """
    return "_".join(written.replace("-", " ").replace("_", " ").casefold().split())

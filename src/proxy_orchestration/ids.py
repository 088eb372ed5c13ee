"""
The rule for valid ids. It checks ids that come in, and never ids that are stored.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Final, TypeAlias


class IdFlaw(enum.Enum):
    """
    Why a text is not a valid id.
    """

    MISSING = "missing"  # it means that there is no id, like an empty cell
    MALFORMED = "malformed"  # a spreadsheet or a program has changed or replaced the id


IdRule: TypeAlias = Callable[[str], IdFlaw | None]
"""
A function that returns why a text is not a valid id, or `None` if it may be one.

A host with other ids gives its own rule. It is called for ids that come in: from files, requests,
certificates and directories. It is never called for ids that were accepted before.
"""

_FILLERS: Final = frozenset(
    {
        *("(blank)", "(null)", "<na>", "<null>", "[null]", "\\n", "i/t", "n.a", "n.a.", "n.d.", "n/a", "n/d"),
        *("na", "nan", "nat", "nil", "none", "null", "tbd", "undefined", "unknown"),
    }
)
"""What files and databases write where there is no value."""

_ZERO: Final = re.compile(r"[+-]?0+(?:[.,]0+)?")

_MADE_BY_PROGRAMS: Final = re.compile(
    r"""
      \#+                                  # a column that is too narrow
    | \#[^\W\d_][\w/.\ ]*[!?]              # #REF! #DIV/0! #NAME? and their translations
    | \#(?:n/a|i/t|n/d|n/v|nv|na)(?:\W.*)? # #N/A and its translations
    | \#getting_data | err:\d+
    | [+-]?\d+[.,]0+                       # a number that became a fraction: 1017.0
    | [+-]?\d+(?:[.,]\d+)?e[+-]\d+         # and one that was too long: 1.23457E+11
    | [+-]?\d+[.,]\d+e\d+
    | [+-]?\d\.\#(?:ind|inf|qnan|snan)
    | [+-]?(?:nan|inf|infinity)
    | ["'=].*                              # ="00123", '00123
    | true | false
    | \[object\ \w+\]
    """,
    re.VERBOSE | re.DOTALL,
)


def usual_id_rule(text: str, /) -> IdFlaw | None:
    """
    Return why a text is not a valid id, or `None` if it may be one.

    Fillers such as `-`, `0`, `N/A` and `NULL` stand for a missing id: words for no value, zeros,
    and texts without a letter or digit. Malformed ids come from spreadsheets: errors (`#REF!`),
    numbers that were rounded or became fractions (`1.23457E+11`, `1017.0`), formulas and quotes
    (`="00123"`). Case, and spaces at the start or end, make no difference.
    """
    plain = text.strip().casefold()
    if plain in _FILLERS or _ZERO.fullmatch(plain):
        return IdFlaw.MISSING
    if _MADE_BY_PROGRAMS.fullmatch(plain):
        return IdFlaw.MALFORMED
    if not any(map(str.isalnum, plain)):
        return IdFlaw.MISSING
    return None

"""
Field checks that several models share; each error names the field and the mend.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import attrs

_LONGEST_IDENTIFIER = 200


def is_identifier(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept a string of 1 to 200 printable characters that is not blank at either end.
    """
    if (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_IDENTIFIER
        and value == value.strip()
        and value.isprintable()
    ):
        return
    name = f"{type(instance).__name__}.{attribute.name}"
    if not isinstance(value, str):
        msg = f"{name} must be a string, not {type(value).__name__}"
        raise TypeError(msg)
    msg = f"{name} must have 1 to {_LONGEST_IDENTIFIER} printable characters and no blanks at its ends"
    raise ValueError(msg)


def is_positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - any number
    """
    Accept a finite number above zero.
    """
    _finite(instance, attribute, value)
    if value <= 0:
        msg = f"{type(instance).__name__}.{attribute.name} must be above 0, not {value!r}"
        raise ValueError(msg)


def is_not_negative(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - any number
    """
    Accept a finite number from zero on.
    """
    _finite(instance, attribute, value)
    if value < 0:
        msg = f"{type(instance).__name__}.{attribute.name} must be 0 or more, not {value!r}"
        raise ValueError(msg)


def is_positive_count(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept a whole number from one on.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"{type(instance).__name__}.{attribute.name} must be a whole number from 1 on, not {value!r}"
        raise ValueError(msg)


def _finite(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = f"{type(instance).__name__}.{attribute.name} must be a finite number, not {value!r}"
        raise ValueError(msg)

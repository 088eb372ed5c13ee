"""
Field checks that several models share; each error names the field and the fix.

None shows a value that may be a text: a column in the wrong place is personal data.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import attrs

E = TypeVar("E", bound=enum.Enum)

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
        name = f"{type(instance).__name__}.{attribute.name}"
        msg = f"{name} must be a whole number from 1 on, not {_told(value)}"
        raise ValueError(msg)


def _finite(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = f"{type(instance).__name__}.{attribute.name} must be a finite number, not {_told(value)}"
        raise ValueError(msg)


def is_a(kind: type) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """
    Return a check that accepts values of that type.
    """

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            name = f"{type(instance).__name__}.{attribute.name}"
            msg = f"{name} must be of type {kind.__name__}, not {type(value).__name__}"
            raise TypeError(msg)

    return check


def member_of(kind: type[E], value: object) -> E:
    """
    Return the member that the value is, or is the value of.

    Raises:
        ValueError: it is neither.
    """
    try:
        return kind(value)
    except ValueError:
        values = ", ".join(repr(member.value) for member in kind)
        msg = f"{kind.__name__} is one of {values}"
    raise ValueError(msg)  # outside the handler: the enum's own error shows the value


def _told(value: object) -> str:
    """
    Return a number as it is, and of anything else its type.
    """
    return repr(value) if isinstance(value, int | float) else type(value).__name__

"""
Field checks that several models share; each error names the field and the fix.

None shows a value that may be a text: a column in the wrong place is personal data.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proxy_orchestration.errors import InvalidTypeError, InvalidValueError

if TYPE_CHECKING:
    import attrs

E = TypeVar("E", bound=enum.Enum)

LONGEST_IDENTIFIER: Final = 200
"""Characters of an id at the most."""

_LONGEST_DERIVED: Final = 2 * LONGEST_IDENTIFIER + 1


def is_identifier(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept a string of 1 to 200 printable characters that is not blank at either end.
    """
    _check_identifier(instance, attribute, value, LONGEST_IDENTIFIER)


def is_derived_identifier(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept what is made of two ids and a colon between them.
    """
    # Any id of a batch and any id of a mentor make one of a registration; decision 131.
    _check_identifier(instance, attribute, value, _LONGEST_DERIVED)


def check_identifier(name: str, value: object, longest: int = LONGEST_IDENTIFIER) -> None:
    """
    Accept under an argument's name what `is_identifier` accepts in a field.
    """
    if _is_identifier(value, longest):
        return
    if not isinstance(value, str):
        raise InvalidTypeError(name, f"must be a string, not {type(value).__name__}")
    raise InvalidValueError(
        name, f"must have 1 to {longest} printable characters, without spaces at the start or end"
    )


def _check_identifier(instance: object, attribute: attrs.Attribute[Any], value: object, longest: int) -> None:
    if not _is_identifier(value, longest):
        check_identifier(_name(instance, attribute), value, longest)


def _is_identifier(value: object, longest: int) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= longest
        and value == value.strip()
        and value.isprintable()
    )


def is_positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - any number
    """
    Accept a finite number above zero.
    """
    _finite(instance, attribute, value)
    if value <= 0:
        raise InvalidValueError(_name(instance, attribute), f"must be above 0, not {value!r}")


def is_not_negative(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - any number
    """
    Accept a finite number from zero on.
    """
    _finite(instance, attribute, value)
    if value < 0:
        raise InvalidValueError(_name(instance, attribute), f"must be 0 or more, not {value!r}")


def is_share(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401 - any number
    """
    Accept a number from 0 to 1.
    """
    _finite(instance, attribute, value)
    if not 0 <= value <= 1:
        raise InvalidValueError(_name(instance, attribute), f"must be from 0 to 1, not {value!r}")


def is_positive_count(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept a whole number from one on.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidValueError(
            _name(instance, attribute), f"must be a whole number of at least 1, not {_told(value)}"
        )


def is_count(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept a whole number from zero on.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidValueError(
            _name(instance, attribute), f"must be a whole number of at least 0, not {_told(value)}"
        )


def _finite(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    # Compared, since a whole number that no float holds cannot be asked whether it is finite.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -sys.float_info.max <= value <= sys.float_info.max
    ):
        raise InvalidValueError(_name(instance, attribute), f"must be a finite number, not {_told(value)}")


def is_a(kind: type) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """
    Return a check that accepts values of that type.
    """

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise InvalidTypeError(
                _name(instance, attribute), f"must be of type {kind.__name__}, not {type(value).__name__}"
            )

    return check


def members_in(name: str, values: object) -> Iterator[Any]:
    """
    Return what is given as several things, one by one.

    Raises:
        InvalidTypeError: it is one thing.
    """
    # A string can be iterated too, and each of its letters would be taken for an id; decision 133.
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidTypeError(
            name, f"must be a list or a set, not {type(values).__name__}: put a single value into a list"
        )
    return iter(values)


def member_of(kind: type[E], value: object) -> E:
    """
    Return the member that the value is, or is the value of.

    Raises:
        InvalidValueError: it is neither.
    """
    try:
        return kind(value)
    except ValueError:
        values = ", ".join(repr(member.value) for member in kind)
    # Outside the handler: the enum's own error shows the value.
    raise InvalidValueError(kind.__name__, f"must be one of {values}")


def _name(instance: object, attribute: attrs.Attribute[Any]) -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def _told(value: object) -> str:
    """
    Return a number as it is, and of anything else its type.
    """
    return repr(value) if isinstance(value, int | float) else type(value).__name__

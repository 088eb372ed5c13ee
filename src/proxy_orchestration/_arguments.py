"""
Checks the arguments of public methods before anything is read, stored or called.

A type checker says most of this to who uses one. A string where a list of ids is
asked for it does not: `str` is a collection of `str`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from proxy_orchestration._texts import UNSTORABLE, is_storable
from proxy_orchestration.errors import InvalidTypeError, InvalidValueError

Rule: TypeAlias = Callable[[str, object], None]
"""Takes an argument's name and its value, and raises an `InvalidInputError` for what it does not accept."""

LARGEST: Final = 2**31 - 1
"""What every store counts to."""


def of_kind(kind: type) -> Rule:
    """
    Return a rule that accepts instances of the class.
    """

    def check(name: str, value: object) -> None:
        # A bool is an int to Python, and none to who reads a page's number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidTypeError(name, f"must be of type {kind.__name__}, not {_kind_of(value)}")

    return check


def optional(rule: Rule) -> Rule:
    """
    Return a rule that accepts `None` too.
    """

    def check(name: str, value: object) -> None:
        if value is not None:
            rule(name, value)

    return check


def whole_number(*, at_least: int, at_most: int = LARGEST, hint: str = "") -> Rule:
    """
    Return a rule that accepts whole numbers of that range.
    """
    is_number = of_kind(int)

    def check(name: str, value: Any) -> None:  # noqa: ANN401 - a number once the first line passed
        is_number(name, value)
        if not at_least <= value <= at_most:
            raise InvalidValueError(name, f"must be a whole number from {at_least} to {at_most}{hint}")

    return check


def storable_text(*, at_most: int | None = None) -> Rule:
    """
    Return a rule that accepts strings that every store keeps, of so many characters.
    """
    is_text = of_kind(str)

    def check(name: str, value: Any) -> None:  # noqa: ANN401 - a string once the first line passed
        is_text(name, value)
        if at_most is not None and len(value) > at_most:
            raise InvalidValueError(name, f"must have at most {at_most} characters, not {len(value)}")
        if not is_storable(value):
            raise InvalidValueError(name, UNSTORABLE)

    return check


def collection_of(kind: type) -> Rule:
    """
    Return a rule that accepts lists, sets and the like whose members are instances of the class.
    """
    is_member = of_kind(kind)

    def check(name: str, value: object) -> None:
        if isinstance(value, str | bytes) or not isinstance(value, Collection):
            raise InvalidTypeError(
                name,
                f"must be a list or a set of {kind.__name__}, not {_kind_of(value)}: put a single value into "
                "a list",
            )
        for member in value:
            is_member(f"each of {name}", member)

    return check


def mapping_of(key: type, rule: Rule) -> Rule:
    """
    Return a rule that accepts mappings whose keys are instances of the class and whose values are accepted.
    """
    is_mapping, is_key = of_kind(Mapping), of_kind(key)

    def check(name: str, value: Any) -> None:  # noqa: ANN401 - a mapping once the first line passed
        is_mapping(name, value)
        for each, valued in value.items():
            is_key(f"each key of {name}", each)
            rule(name, valued)

    return check


def aware(name: str, value: Any) -> None:  # noqa: ANN401 - a moment once the first line passed
    """
    Accept a moment that has a zone.
    """
    of_kind(datetime)(name, value)
    if value.utcoffset() is None:
        raise InvalidValueError(name, "must be an aware datetime: give it a time zone")


def _kind_of(value: object) -> str:
    return "None" if value is None else type(value).__name__

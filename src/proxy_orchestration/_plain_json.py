"""
Converts models to plain values that any JSON encoder accepts.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias, cast

import attrs

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""What `json.dumps` takes."""


class PlainModel:
    """
    A model of attrs that can be told as plain values.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """
        Return every field by its name, as values that `json.dumps` takes.

        Enums by value, days and moments in ISO 8601 (UTC with Z), models in models
        as dictionaries. It holds what a repr leaves out, such as notes and labels.
        """
        return {str(name): plain(value) for name, value in _named_parts(self).items()}


def plain(value: object) -> Plain:
    """
    Return a value as JSON has it: enums by value, days and moments in ISO 8601, UTC with Z.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, frozenset):
        return sorted((plain(part) for part in value), key=str)
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
        return [plain(part) for part in value]
    return {str(plain(name)): plain(part) for name, part in _named_parts(value).items()}


def _named_parts(value: Any) -> Mapping[object, object]:  # noqa: ANN401 - whatever has parts with names
    """
    Return what a mapping, a tuple whose places have names, or a model consists of.
    """
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple):
        parts: Mapping[object, object] = cast("Any", value)._asdict()
        return parts
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}

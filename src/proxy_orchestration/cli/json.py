"""
The JSON that `--json` writes: models as plain values, field names as in the library.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date
from typing import TypeAlias, cast

import attrs

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""What `json.dumps` takes."""


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
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return fields_of(cast("attrs.AttrsInstance", value))


def fields_of(model: attrs.AttrsInstance) -> dict[str, Plain]:
    """
    Return a model's fields by name, in their order.
    """
    return {field.name: plain(getattr(model, field.name)) for field in attrs.fields(type(model))}

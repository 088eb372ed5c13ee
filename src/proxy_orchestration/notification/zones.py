"""
Time zones as hosts give them: an IANA name or a `tzinfo`.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import attrs

from proxy_orchestration.errors import InvalidTypeError, InvalidValueError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def zone(name: str) -> tzinfo:
    """
    Return the zone of that IANA name, for example `Europe/Oslo`.

    Raises:
        InvalidValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        rule = f"{name!r} is not a time zone; give an IANA name such as Europe/Oslo"
        raise InvalidValueError("timezone", rule) from error  # noqa: EM101 - a field's name


def as_zone(value: tzinfo | str) -> tzinfo:
    """
    Return the zone that is given, or the one of that name; anything else is left to the check.
    """
    return zone(value) if isinstance(value, str) else value


def as_zone_name(value: tzinfo | str) -> str:
    """
    Return the name that is given, or that of the zone; what has none is left to the check.
    """
    if value is UTC:
        return "UTC"
    name: str | None = value.key if isinstance(value, ZoneInfo) else None
    return cast("str", value) if name is None else name


def as_optional_zone_name(value: tzinfo | str | None) -> str | None:
    """
    Return the same, and `None` for `None`.
    """
    return None if value is None else as_zone_name(value)


def is_zone(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept a zone that tells the time.
    """
    if not isinstance(value, tzinfo):
        raise InvalidTypeError(
            attribute.name, f"must be an IANA name or a tzinfo, not {type(value).__name__}"
        )
    try:
        told = _EPOCH.astimezone(value).utcoffset()
    except Exception as error:
        rule = f"must be a usable time zone: asking for its offset raised {type(error).__name__}"
        raise InvalidValueError(attribute.name, rule) from error
    if told is None:
        raise InvalidValueError(attribute.name, "must be a usable time zone: it returns no offset")


def is_zone_name(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """
    Accept the name of a zone.
    """
    if not isinstance(value, str):
        raise InvalidTypeError(
            attribute.name, f"must be an IANA name or a ZoneInfo made from one, not {type(value).__name__}"
        )
    zone(value)


def zone_or(name: str | None, default: str) -> tzinfo:
    """
    Return the zone of that name, the default for an unknown one.
    """
    try:
        return zone(name or default)
    except ValueError:
        return zone(default)

"""
The column types of ids, times and days.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

BY_CODE_POINT: Final[TypeEngine[str]] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Texts that are compared by code point, whatever language the database speaks; decision 44."""


def instant_type(dialect: Dialect) -> TypeEngine[Any]:
    """
    Return what keeps a moment: `timestamptz` where the database has it, text on SQLite; decision 19.
    """
    return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))


def stored_instant(value: datetime, dialect: Dialect) -> Any:  # noqa: ANN401 - text or moment
    """
    Return the moment as the database stores it.
    """
    return instant_text(value) if dialect.name == "sqlite" else value


# Few moments are in many rows: a run's, a chunk's, and the ends of certificates, which are midnights.
@lru_cache(maxsize=4096)
def instant_text(value: datetime) -> str:
    """
    Return the moment as ISO 8601 in UTC.
    """
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()


def read_instant(value: Any, dialect: Dialect) -> datetime:  # noqa: ANN401 - text or moment
    """
    Return the moment in UTC that the database stores so.
    """
    stored: datetime = datetime.fromisoformat(value) if dialect.name == "sqlite" else value.astimezone(UTC)
    return stored


def instant_reader(dialect: Dialect) -> Callable[[str | None], datetime | None] | None:
    """
    Return what reads a stored moment, `NULL` included, where that is no more than a look-up.
    """
    return _text_instant if dialect.name == "sqlite" else None


@lru_cache(maxsize=4096)
def _text_instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def stored_date(day: date, dialect: Dialect) -> Any:  # noqa: ANN401 - text or day
    """
    Return the day as the database stores it.
    """
    return _day_text(day) if dialect.name == "sqlite" else day


# The days of a run are few, and each stands in many rows.
@lru_cache(maxsize=4096)
def _day_text(day: date) -> str:
    return day.isoformat()

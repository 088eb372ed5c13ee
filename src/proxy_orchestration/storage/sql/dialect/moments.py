"""
Points in time on the database's clock, which may be set back after they were written.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, case, or_

from proxy_orchestration._moments import CLOCK_SLACK
from proxy_orchestration.storage.sql.dialect.differences import store_now

_FOREVER: Final = 1e15


def is_found(until: Column[Any]) -> ColumnElement[bool]:
    """
    Return a condition that every moment fulfils, so that an index on it is searched; nothing else bounds it.
    """
    return until < _FOREVER


def is_over(until: Column[Any], length: Column[Any]) -> ColumnElement[bool]:
    """
    Return whether a moment is over, or lies further off than its own length, which no clock gave it.

    Older code keeps no length; its moments are judged by themselves.
    """
    return and_(is_found(until), or_(until <= store_now(), until > store_now() + length + CLOCK_SLACK))


def lies_ahead(until: Column[Any], length: Column[Any]) -> ColumnElement[bool]:
    """
    Return whether a moment is still to come.
    """
    return and_(until > store_now(), or_(length.is_(None), until <= store_now() + length + CLOCK_SLACK))


def remaining(until: Column[Any], length: Column[Any]) -> ColumnElement[float]:
    """
    Return the seconds until a moment; 0 when it is over.
    """
    return case((lies_ahead(until, length), until - store_now()), else_=0.0)

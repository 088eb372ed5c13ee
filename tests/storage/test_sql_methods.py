"""
Methods that are declared look like methods that are written: name, signature, docstring.
"""

from __future__ import annotations

import inspect
import typing

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration.ports import ActivityRepository, NotificationRepository, VisibilityRegistry
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
)

_METHODS = [
    pytest.param(port, store, name, id=f"{store.__name__}.{name}")
    for port, store in (
        (ActivityRepository, SqlActivityRepository),
        (NotificationRepository, SqlNotificationRepository),
        (VisibilityRegistry, SqlVisibilityRegistry),
    )
    for name in dir(port)
    if not name.startswith("_")
]


@pytest.mark.parametrize(("port", "store", "name"), _METHODS)
def test_a_method_has_the_port_s_name_and_signature(port: type, store: type, name: str) -> None:
    """
    To people, to `help` and to the reference, and none is the port's own, which does nothing.
    """
    method, asked = getattr(store, name), getattr(port, name)

    assert method is not asked
    assert inspect.iscoroutinefunction(method)
    assert name == method.__name__
    assert method.__doc__
    assert [str(one) for one in inspect.signature(asked).parameters.values()] == [
        str(one) for one in inspect.signature(method).parameters.values()
    ]
    assert inspect.signature(asked).return_annotation == inspect.signature(method).return_annotation


@pytest.mark.parametrize(("port", "store", "name"), _METHODS)
def test_a_method_s_annotations_can_be_read(port: type, store: type, name: str) -> None:
    """
    Wherever the function stands that does the work.
    """
    assert typing.get_type_hints(getattr(port, name)) == typing.get_type_hints(getattr(store, name))

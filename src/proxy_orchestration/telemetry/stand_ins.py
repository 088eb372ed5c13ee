"""
An object that forwards to another one, except for some methods.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

T = TypeVar("T")


class _StandIn:
    """
    Has the methods of the object that it stands for, and for all else asks that object.
    """

    def __init__(self, original: object) -> None:
        self._original = original

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the original has there
        return getattr(self._original, name)


def is_stand_in(part: object) -> bool:
    """
    Tell whether the part stands for another one already.
    """
    return isinstance(part, _StandIn)


def stand_in_for(original: T, methods: Mapping[str, Callable[..., object]], **values: object) -> T:
    """
    Return an object that does what the original does, with these methods in the place of its own.

    A method that the original does not have is left out: what a part can do
    beyond its port is found by the methods that it has.

    Args:
        original: what it stands for; its other methods are called as they are.
        methods: by name; each takes what the original's takes.
        values: attributes, by name.
    """
    stand_in = _StandIn(original)
    # On the object itself: since Python 3.12 a Protocol does not see what `__getattr__` would find.
    for name in dir(original):
        kind = inspect.getattr_static(original, name, None)
        if name.startswith("_") or isinstance(kind, property | cached_property):
            continue
        own = getattr(original, name, None)
        if callable(own):
            stand_in.__dict__[name] = methods.get(name, own)
    stand_in.__dict__.update(values)
    return cast("T", stand_in)

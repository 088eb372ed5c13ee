"""
Checks that the parts given to a constructor are suitable, before anything is started.

A part fits a port when it has the port's methods, taking what they take, and
awaited where the port's are. What Python cannot tell is left to the first call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from typing_extensions import get_protocol_members, is_protocol

from proxy_orchestration.errors import MisconfiguredError

_AWAITABLE: Final = ("Awaitable", "Coroutine", "Future")


def check_parts(owner: object, **kinds: type) -> None:
    """
    Accept an owner whose attributes of these names each are of their kind: a port's, or a class's.

    Raises:
        MisconfiguredError: one is not; the message says what was given and what to do.
    """
    for name, kind in kinds.items():
        part = getattr(owner, name)
        problem = _problem_with(part, kind) if is_protocol(kind) else _not_a(part, kind)
        if problem is not None:
            raise MisconfiguredError(type(owner).__name__, name, problem)


def check_optional_parts(owner: object, **kinds: type) -> None:
    """
    Accept the same, and `None` in the place of any.

    Raises:
        MisconfiguredError: one is neither.
    """
    check_parts(owner, **{name: kind for name, kind in kinds.items() if getattr(owner, name) is not None})


def check_abilities(owner: object, name: str, *abilities: type) -> None:
    """
    Accept a part whose optional methods, as far as it has them, are those of the abilities.

    Raises:
        MisconfiguredError: one has the name and cannot be called as the ability is.
    """
    part = getattr(owner, name)
    for ability in abilities:
        for method in sorted(get_protocol_members(ability)):
            if getattr(part, method, None) is None:
                continue
            problem = _problem_with_method(part, method, ability)
            if problem is not None:
                raise MisconfiguredError(type(owner).__name__, name, problem)


def check_functions(owner: object, *names: str, optional: bool = False) -> None:
    """
    Accept an owner whose attributes of these names can be called, and answer at once.

    Args:
        owner: what was put together.
        names: the attributes.
        optional: whether `None` will do.

    Raises:
        MisconfiguredError: one cannot, or has to be awaited.
    """
    for name in names:
        part = getattr(owner, name)
        if part is None and optional:
            continue
        if not callable(part):
            problem = f"it is a {type(part).__name__}. Give a function."
        elif _is_awaited(_unwrapped(part)):
            problem = "it is an `async def`, but its answer is used without `await`. Give a plain function."
        else:
            continue
        raise MisconfiguredError(type(owner).__name__, name, problem)


def check_hooks(owner: object, *names: str) -> None:
    """
    Accept an owner whose attributes of these names are `None`, or can be called and awaited.

    Raises:
        MisconfiguredError: one is neither.
    """
    for name in names:
        part = getattr(owner, name)
        if part is None:
            continue
        if not callable(part):
            problem = f"it is a {type(part).__name__}. Give an `async def`."
        elif _is_plain(part):
            problem = "it is a plain function, but its answer is awaited. Give an `async def`."
        else:
            continue
        raise MisconfiguredError(type(owner).__name__, name, problem)


def _not_a(part: object, kind: type) -> str | None:
    if isinstance(part, kind):
        return None
    given = f"the class {part.__name__}" if isinstance(part, type) else f"a {type(part).__name__}"
    return f"it is {given}. Give a {kind.__name__}(...)."


def _problem_with(part: object, port: type) -> str | None:
    if isinstance(part, type):
        return f"it is the class {part.__name__} itself. Give an instance: {part.__name__}(...)."
    methods = sorted(get_protocol_members(port))
    missing = [method for method in methods if not callable(getattr(part, method, None))]
    if missing:
        named = ", ".join(missing[:5]) + (" and more" if missing[5:] else "")
        return (
            f"it is a {type(part).__name__}, which has no {named}. Give an object with the methods of "
            f"{port.__name__}."
        )
    return next(filter(None, (_problem_with_method(part, method, port) for method in methods)), None)


def _problem_with_method(part: object, method: str, port: type) -> str | None:
    given, wanted = getattr(part, method), getattr(port, method)
    called = f"{type(part).__name__}.{method}"
    if not callable(given) or getattr(given, "__func__", None) is wanted:
        return f"{called} is not implemented. Implement it as {port.__name__} describes, or remove it."
    if not inspect.iscoroutinefunction(wanted):
        if _is_awaited(_unwrapped(given)):
            return f"{called} is an `async def`, but its answer is used without `await`. Write a plain `def`."
    elif _is_plain(given):
        return (
            f"{called} is a plain function, but its answer is awaited. Write `async def`. If it returns an "
            "awaitable of another function, annotate its return type as Awaitable."
        )
    return _problem_with_arguments(given, wanted, called)


def _problem_with_arguments(
    given: Callable[..., object], wanted: Callable[..., object], called: str
) -> str | None:
    """
    Tell a method that does not take what the port hands it.
    """
    _self, *asked = inspect.signature(wanted).parameters.values()
    needed = [one for one in asked if one.default is one.empty]
    by_name = [one.name for one in needed if one.kind is one.KEYWORD_ONLY]
    in_order = [one.name for one in needed if one.kind is not one.KEYWORD_ONLY]
    try:
        taken = inspect.signature(given)
    except (TypeError, ValueError):  # such as one that is not written in Python
        return None
    try:
        taken.bind(*in_order, **dict.fromkeys(by_name))
    except TypeError:
        handed = ", ".join([*in_order, *(f"{name}=..." for name in by_name)])
        return (
            f"{called} cannot be called as {called.rpartition('.')[2]}({handed}). Change its parameters to "
            "accept that call."
        )
    return None


def _unwrapped(function: Any) -> Any:  # noqa: ANN401 - whatever can be called
    """
    Return what runs when this is called: without partials, and an object's own `__call__`.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.iscoroutinefunction(function):
        return getattr(function, "__func__", function)
    return getattr(type(function).__call__, "__func__", type(function).__call__)


def _is_awaited(function: object) -> bool:
    return inspect.iscoroutinefunction(function)


def _is_plain(function: object) -> bool:
    """
    Tell what surely gives nothing to await: a Python function that says so nowhere.

    A lambda cannot say it, and what is not written in Python does not show it.
    """
    inner = _unwrapped(function)
    if _is_awaited(inner) or not isinstance(inner, FunctionType) or inner.__name__ == "<lambda>":
        return False
    if any(word in str(inner.__annotations__.get("return", "")) for word in _AWAITABLE):
        return False
    wrapped = getattr(inner, "__wrapped__", None)
    return wrapped is None or _is_plain(wrapped)

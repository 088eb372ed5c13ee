"""
The public names are those in `__all__`, sorted, and each of them can be introspected.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import types
import typing
from collections.abc import Iterator

import pytest

MODULES = [
    name
    for name, needed in {
        "proxy_orchestration": (),
        "proxy_orchestration.blocking": (),
        "proxy_orchestration.i18n": ("babel",),
        "proxy_orchestration.ports": (),
        "proxy_orchestration.push.fcm": ("httpx", "h2", "google.auth"),
        "proxy_orchestration.registration.flow": (),
        "proxy_orchestration.storage.memory": (),
        "proxy_orchestration.storage.postgrest": ("httpx",),
        "proxy_orchestration.storage.sql": ("sqlalchemy", "alembic"),
        "proxy_orchestration.telemetry": ("opentelemetry",),
        "proxy_orchestration.testing": (),
        "proxy_orchestration.testing.contracts": (),
    }.items()
    if all(importlib.util.find_spec(library.partition(".")[0]) for library in needed)
]
WITH_OWN_CODE = {
    "proxy_orchestration.i18n",
    "proxy_orchestration.push.fcm",
    "proxy_orchestration.storage.postgrest",
    "proxy_orchestration.storage.sql",
    "proxy_orchestration.telemetry",
    "proxy_orchestration.testing.contracts",
}
"""These need names of others to make their own; the rest does nothing but offer."""
NAMES = [(name, public) for name in MODULES for public in importlib.import_module(name).__all__]


def _is_public(name: str, value: object) -> bool:
    """
    Tell whether a module attribute is offered to users; submodules and future imports are not.
    """
    hidden = name.startswith("_") or isinstance(value, types.ModuleType)
    return not hidden and name != "annotations"


def _annotated(value: object) -> Iterator[object]:
    """
    Yield what carries annotations: the object itself and the public methods of a class.
    """
    if inspect.isclass(value):
        yield value
        for name, member in inspect.getmembers(value):
            function = member.fget if isinstance(member, property) else member
            if not name.startswith("_") and inspect.isroutine(function):
                yield inspect.unwrap(getattr(function, "__func__", function))
    elif inspect.isroutine(value):
        yield inspect.unwrap(value)


@pytest.mark.parametrize("name", [name for name in MODULES if name not in WITH_OWN_CODE])
def test_all_is_sorted_and_names_exactly_what_the_module_offers(name: str) -> None:
    """
    Nothing is public by accident, nothing is promised and missing.
    """
    module = importlib.import_module(name)
    offered = sorted(
        (key for key, value in vars(module).items() if _is_public(key, value)),
        key=lambda key: (not key.isupper(), key),  # constants first, as the linter asks
    )

    assert offered == list(module.__all__)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_type_hints_of_every_public_name_resolve(module: str, name: str) -> None:
    """
    Dependency injectors and serialisers call `typing.get_type_hints` on public classes.
    """
    value = getattr(importlib.import_module(module), name)

    for part in _annotated(value):
        if getattr(part, "__module__", "").startswith("proxy_orchestration"):
            typing.get_type_hints(part)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_public_class_and_function_says_what_it_does(module: str, name: str) -> None:
    """
    The first line of a docstring is there, and attrs did not invent it.
    """
    value = getattr(importlib.import_module(module), name)
    undocumented = [
        getattr(part, "__qualname__", name)
        for part in _annotated(value)
        if getattr(part, "__module__", "").startswith("proxy_orchestration") and not inspect.getdoc(part)
    ]

    assert [] == undocumented


def test_the_former_name_of_the_ledger_s_values_still_imports() -> None:
    """
    Who wrote a store against it goes on.
    """
    former = importlib.import_module("proxy_orchestration.registration.openings")
    ledger = importlib.import_module("proxy_orchestration.registration.ledger")

    assert all(getattr(former, name) is getattr(ledger, name) for name in former.__all__)
    assert "NewBatch" in former.__all__

"""
Names that stand for a type: what they mean, and which classes are behind them.
"""

from __future__ import annotations

import importlib
import sys
import types
import typing
from functools import cache

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import stringify_annotation

from .links import MODULES, entry_of


@cache
def unions() -> dict[str, object]:
    """
    Return every public name of a union, by its full name.
    """
    return {
        f"{module}.{name}": value
        for module in MODULES
        for name in importlib.import_module(module).__all__
        if isinstance(value := getattr(importlib.import_module(module), name), types.UnionType)
    }


def shown(hint: object) -> str:
    """
    Return an annotation as a reader would write it: by its public name, if it has one.
    """
    for name, union in unions().items():
        if hint == union:
            return f"~{name}"
    return stringify_annotation(hint, "smart")


def told(name: str, value: object) -> list[str]:
    """
    Return what an entry says of a name that a module assigns: its own words, then what a union is made of.
    """
    lines = _docstring_of(name.rpartition(".")[2], value)
    if isinstance(value, types.UnionType):
        parts = [part.__name__ for part in typing.get_args(value)]
        linked = [f":py:obj:`~{entry}`" if (entry := entry_of(part)) else f"`{part}`" for part in parts]
        lines += [f"One of {', '.join(linked)}.", ""]
    return lines


def _docstring_of(name: str, value: object) -> list[str]:
    """
    Find the string below the assignment, in whichever module that is.
    """
    for module, loaded in sorted(sys.modules.items()):
        if module.startswith("proxy_orchestration.") and vars(loaded).get(name) is value:
            docs = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name))
            if docs:
                return docs
    return []

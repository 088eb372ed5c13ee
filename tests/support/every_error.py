"""
Every error of this library, whatever part of it raises it.
"""

from __future__ import annotations

import importlib

from proxy_orchestration.errors import OrchestrationError

_PARTS = ("proxy_orchestration", "proxy_orchestration.ports", "proxy_orchestration.push.fcm")


def every_error() -> list[type[OrchestrationError]]:
    """
    Return them by their names; those of a part with an extra where that is installed.

    A class without a code of its own is a kind of its base, inside of one part.
    """
    for part in _PARTS:
        try:
            importlib.import_module(part)
        except ImportError:
            continue
    return sorted(_kinds_of(OrchestrationError), key=lambda kind: kind.__name__)


def _kinds_of(kind: type[OrchestrationError]) -> set[type[OrchestrationError]]:
    below = {found for each in kind.__subclasses__() for found in _kinds_of(each)}
    is_ours = kind.__module__.startswith("proxy_orchestration.") and "error_code" in vars(kind)
    return {kind, *below} if is_ours else below

"""
Checks that the parts given to a router, a lifespan or the console are suitable.
"""

from __future__ import annotations

from proxy_orchestration.errors import MisconfiguredError


def check_part(owner: str, name: str, part: object, kind: type, *, optional: bool = False) -> None:
    """
    Accept an instance of the class; `None` too where the part may be left out.

    Raises:
        MisconfiguredError: it is none; the message says what to give.
    """
    if isinstance(part, kind) or (optional and part is None):
        return
    given = f"the class {part.__name__}" if isinstance(part, type) else f"a {type(part).__name__}"
    raise MisconfiguredError(owner, name, f"it is {given}. Give a {kind.__name__}(...).")


def check_dependency(owner: str, actor: object) -> None:
    """
    Accept what FastAPI can call to learn who acts.

    Raises:
        MisconfiguredError: it cannot be called.
    """
    if not callable(actor):
        problem = (
            f"it is a {type(actor).__name__}. Give a FastAPI dependency: a function that returns an Actor."
        )
        raise MisconfiguredError(owner, "actor", problem)

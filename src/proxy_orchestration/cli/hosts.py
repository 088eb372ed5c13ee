"""
Loads the host's own orchestrator, which `--app MODULE:FACTORY` names.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator

_OPTION: Final = "--app"
_RETURNS: Final = (
    "The function is called without arguments. It must return a BulkRegistrationOrchestrator, or an async "
    "context manager that yields one."
)


@asynccontextmanager
async def open_host(app: str) -> AsyncIterator[BulkRegistrationOrchestrator]:
    """
    Call the factory that `module:factory` names, and keep what it opened for as long as the block lasts.

    The factory may be a coroutine function, and what it returns an
    asynchronous context manager. Modules are found in the current folder too.

    Raises:
        MisconfiguredError: there is no such factory, or it returns something else.
    """
    made = _factory(app)()
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, AbstractAsyncContextManager):
        async with made as entered:
            yield _checked(app, entered)
        return
    yield _checked(app, made)


def _factory(app: str) -> Callable[[], Any]:
    module_name, _, name = app.partition(":")
    if not module_name or not name:
        raise _problem(app, "write it as module:factory, for example myhost.registration:orchestrator")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the host's module itself imports
        raise _problem(
            app, f"there is no module {error.name}, neither in this folder nor among the installed packages"
        ) from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise _problem(app, f"the module {module_name} has no function {name}")
    factory: Callable[[], Any] = found
    return factory


def _checked(app: str, made: object) -> BulkRegistrationOrchestrator:
    if not isinstance(made, BulkRegistrationOrchestrator):
        raise _problem(app, f"it returned a {type(made).__name__}. {_RETURNS}")
    return made


def _problem(app: str, problem: str) -> MisconfiguredError:
    return MisconfiguredError("The command line", f"{_OPTION} {app}", problem)

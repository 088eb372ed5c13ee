"""
Imports optional dependencies, and raises the error for a missing extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proxy_orchestration.errors import MissingExtraError


@contextmanager
def needs_extra(extra: str, *libraries: str, needed_by: str) -> Iterator[None]:
    """
    Import inside this block; a missing library is told with its `pip install` line.

    Args:
        extra: the extra that brings the libraries.
        libraries: their import names; any other failing import leaves as it is.
        needed_by: the part of this library that needs them.

    Raises:
        MissingExtraError: one of the libraries is not installed.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in libraries:
            raise
        raise MissingExtraError(extra, needed_by=needed_by) from error

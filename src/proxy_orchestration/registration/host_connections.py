"""
A host's connection on which a batch is accepted within the host's own transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs

RunInThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls a function in the thread of a connection, and is awaited for what it returns or raises."""


@attrs.frozen
class ConnectionOfThread:
    """
    A connection that belongs to another thread than the event loop's.

    Attributes:
        connection: the connection.
        run: calls a function in that thread.
    """

    connection: object
    run: RunInThread

"""
Reads a database address: whether it is a server, a file, or only this process's memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import URL

_IN_MEMORY: Final = frozenset({None, "", ":memory:", "file::memory:"})


def is_in_memory(url: URL) -> bool:
    """
    Return whether SQLite would keep the database in this process.
    """
    return _is_sqlite(url) and (url.database in _IN_MEMORY or url.query.get("mode") == "memory")


def file_of(url: URL) -> Path | None:
    """
    Return SQLite's file; `None` for a server, and for what is no path of ours to watch.
    """
    name = url.database
    if not _is_sqlite(url) or not name or is_in_memory(url) or name.startswith("file:"):
        return None
    return Path(name)


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"

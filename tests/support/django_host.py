"""
A database of Django's, beside whatever settings a process has already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.db import connections


@contextmanager
def django_database(alias: str, **config: Any) -> Iterator[Any]:
    """
    Yield Django's connection to that database, in this thread.
    """
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["testserver"])
        django.setup()
    known = connections.databases
    known[alias] = connections.configure_settings({"default": {}, alias: config})[alias]
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias], known[alias]

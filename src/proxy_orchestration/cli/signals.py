"""
Handles SIGINT and SIGTERM. It imports only the standard library, so it works from the program's start.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """
    Let SIGTERM raise `KeyboardInterrupt` while the block lasts, as Ctrl-C does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets no other thread decide about signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

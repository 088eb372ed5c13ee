"""
A port for a program that a test starts, perhaps twice: nobody else is given it in between.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """
    Keep a port of 127.0.0.1 while the block lasts, for whoever listens there with `SO_REUSEADDR`.

    The system hands it out neither as a free port nor to an outgoing connection, which could otherwise
    even meet itself there while nobody listens.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        yield holding.getsockname()[1]

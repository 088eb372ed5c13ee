"""
A real HTTP server on 127.0.0.1, in a thread of the test: a stream is seen as it comes.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

LONGEST = 60
"""Seconds around whatever could hang."""


class _Server(uvicorn.Server):
    """
    A server that tells when it listens, and lets a test run something in its loop.
    """

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        self.listens = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.listens.set()


def listening_socket() -> socket.socket:
    """
    Return a socket on a free port of 127.0.0.1, before anybody else takes it.
    """
    # With its protocol: asyncio switches Nagle's algorithm off only where that is told.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


@contextmanager
def live(app: Any) -> Iterator[str]:
    """
    Serve an application in a thread; yield its address.
    """
    server = _Server(app)
    with listening_socket() as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        assert server.listens.wait(LONGEST), "the server did not start"
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LONGEST)
            assert not thread.is_alive(), "the server did not end"

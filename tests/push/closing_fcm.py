"""
An FCM that speaks HTTP/2 and closes a connection in good order, as Google's front ends do; over plain TCP.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import attrs
import h2.config
import h2.connection
import h2.events


@attrs.define(eq=False)
class ClosingFcm:
    """
    Takes `goodbye_after` messages on its first connection, says goodbye, and answers half of them.

    Attributes:
        messages: what it took, in order; every one of them is on its way to its device.
    """

    goodbye_after: int
    messages: list[Any] = attrs.field(init=False, factory=list)
    _listener: socket.socket = attrs.field(init=False)
    _has_said_goodbye: bool = attrs.field(init=False, default=False)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        """
        Return the address to send to.
        """
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        bodies: dict[int, bytearray] = {}
        unanswered: list[int] = []
        with client, suppress(OSError):
            client.sendall(connection.data_to_send())
            while received := client.recv(65536):
                for event in connection.receive_data(received):
                    self._take(connection, event, bodies, unanswered)
                client.sendall(connection.data_to_send())
                if self._says_goodbye(unanswered):
                    for stream in unanswered[: self.goodbye_after // 2]:
                        _answer(connection, stream, {"name": f"projects/p/messages/{stream}"})
                    connection.close_connection(last_stream_id=max(bodies))
                    client.sendall(connection.data_to_send())
                    return

    def _take(self, connection: Any, event: Any, bodies: dict[int, bytearray], unanswered: list[int]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            bodies[event.stream_id] = bytearray()
        elif isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            content = bytes(bodies[event.stream_id])
            if not content.startswith(b"{"):
                _answer(connection, event.stream_id, {"access_token": "access-1", "expires_in": 3599})
                return
            with self._lock:
                self.messages.append(json.loads(content)["message"])
            if self._has_said_goodbye:
                _answer(connection, event.stream_id, {"name": "projects/p/messages/again"})
            else:
                unanswered.append(event.stream_id)

    def _says_goodbye(self, unanswered: list[int]) -> bool:
        if self._has_said_goodbye or len(unanswered) < self.goodbye_after:
            return False
        self._has_said_goodbye = True
        return True


def _answer(connection: Any, stream: int, content: Any) -> None:
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
    connection.send_data(stream, json.dumps(content).encode(), end_stream=True)

"""
An address that stays while what answers there ends and is started again, elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import attrs
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from proxy_orchestration._concurrency import open_task_group


@attrs.define(eq=False)
class Relay:
    """
    Passes on whatever comes to where it leads.

    Attributes:
        address: where clients connect to; kept as long as the relay, so that nobody else can take it.
        target: where it leads; `None` while nobody answers.
    """

    address: str
    target: str | None = None

    async def pass_on(self, client: SocketStream) -> None:
        """
        Connect a client to the target, until either of them ends.
        """
        async with client:
            if self.target is None:
                return
            host, _, port = self.target.rpartition(":")
            with suppress(OSError):
                async with (
                    await anyio.connect_tcp(host, int(port)) as server,
                    anyio.create_task_group() as tasks,
                ):
                    tasks.start_soon(_pump, server, client, tasks.cancel_scope)
                    tasks.start_soon(_pump, client, server, tasks.cancel_scope)


async def _pump(source: ByteStream, sink: ByteStream, both: anyio.CancelScope) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
        while True:
            await sink.send(await source.receive())
    both.cancel()


@asynccontextmanager
async def relaying() -> AsyncIterator[Relay]:
    """
    Keep a relay that leads nowhere yet.
    """
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, and no query of Django's
        relay = Relay(f"127.0.0.1:{port}")
        async with open_task_group() as tasks:
            tasks.start_soon(listener.serve, relay.pass_on)
            yield relay
            tasks.cancel_scope.cancel()

"""
Reads certificates in chunks, from a list or an async stream.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import TypeAlias

from anyio.lowlevel import checkpoint

from proxy_orchestration.notification.certificates import PeerMentorCertificate

Certificates: TypeAlias = Iterable[PeerMentorCertificate] | AsyncIterable[PeerMentorCertificate]
"""Where certificates come from; read once, and never further than one chunk ahead."""


async def chunks_of(certificates: Certificates, size: int) -> AsyncGenerator[list[object], None]:
    """
    Yield the source's records, `size` at a time; what they are is not checked.

    A source that fails in the middle is read up to there: what came before is
    yielded, then its error is raised.
    """
    chunk: list[object] = []
    failure: Exception | None = None
    try:
        async with aclosing(_each_of(certificates)) as records:
            async for record in records:
                chunk.append(record)
                if len(chunk) == size:
                    yield chunk
                    chunk = []
    except Exception as error:  # noqa: BLE001 - the source's own error, raised again below
        failure = error
    if chunk:
        yield chunk
    if failure is not None:
        raise failure


async def _each_of(certificates: Certificates) -> AsyncGenerator[object, None]:
    if isinstance(certificates, AsyncIterable):
        async for certificate in certificates:
            yield certificate
        return
    for certificate in certificates:
        yield certificate
    await checkpoint()

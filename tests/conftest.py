from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"], ids=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """
    Every asynchronous test runs on both event loops.
    """
    backend: str = request.param
    return backend

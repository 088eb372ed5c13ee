from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy_orchestration.access import AccessPolicy, CoordinatorAccess
from proxy_orchestration.testing.contracts import Check, access_policy


@asynccontextmanager
async def _open_coordinator_access() -> AsyncIterator[AccessPolicy]:
    yield CoordinatorAccess()


@pytest.mark.parametrize("check", access_policy, ids=str)
async def test_an_access_policy_keeps_its_contract(check: Check[AccessPolicy]) -> None:
    """
    Every promise of the port holds for the default policy.
    """
    await check(_open_coordinator_access)

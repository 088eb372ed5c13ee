from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy_orchestration.audit import LoggingAuditLogger, ProxyAuditLogger
from proxy_orchestration.testing import RecordingAuditLogger
from proxy_orchestration.testing.contracts import Check, Opener, audit_logger


@asynccontextmanager
async def _open_logging() -> AsyncIterator[ProxyAuditLogger]:
    yield LoggingAuditLogger()


@asynccontextmanager
async def _open_recording() -> AsyncIterator[ProxyAuditLogger]:
    yield RecordingAuditLogger()


@pytest.mark.parametrize("open_logger", [_open_logging, _open_recording])
@pytest.mark.parametrize("check", audit_logger, ids=str)
async def test_an_audit_logger_keeps_its_contract(
    check: Check[ProxyAuditLogger], open_logger: Opener[ProxyAuditLogger]
) -> None:
    """
    Every promise of the port holds for every logger.
    """
    await check(open_logger)

"""
One blocking orchestrator for the process; nothing is opened before its first call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from proxy_orchestration import BulkRegistrationOrchestrator
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.storage.sql import SqlActivityRepository

from .register import OwnMentors, VisitRegister


@asynccontextmanager
async def open_orchestrator() -> AsyncIterator[BulkRegistrationOrchestrator]:
    """
    Open the library's tables, beside the project's own.
    """
    async with SqlActivityRepository.open(settings.BATCH_STORE, prefix="bulk_") as repository:
        yield BulkRegistrationOrchestrator(
            registration_service=VisitRegister(), repository=repository, access_policy=OwnMentors()
        )


bulk = BlockingOrchestrator(open_orchestrator)

"""
The same pushes from a web process: `uvicorn --factory examples.nightly.served:create_app` serves it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import create_engine

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    ExpiryPolicy,
    NotificationOrchestrator,
    PushDispatcher,
    StandardRegistrationService,
)
from proxy_orchestration.push.fcm import FcmPushSender
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository, create_schema
from proxy_orchestration.web import create_health_router, lifespan

from .directories import Chapter
from .night import PREFIX, ZONE, settings
from .tables import tables


def create_app() -> FastAPI:
    """
    Return the application over the database of `DATABASE_URL`; it drives batches, and sends pushes.
    """
    # Twelve connections for each of two repositories, and twelve for the chapter's own questions.
    engine = create_engine(
        os.environ.get("DATABASE_URL", "sqlite:///nightly.db"), pool_size=36, max_overflow=0
    )
    tables.create_all(engine)
    create_schema(engine, prefix=PREFIX)
    batches = SqlActivityRepository(engine, prefix=PREFIX)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=StandardRegistrationService(repository=batches), repository=batches
    )
    chapter, notices = Chapter(engine), SqlNotificationRepository(engine, prefix=PREFIX)
    nightly = NotificationOrchestrator(
        repository=notices, recipients=chapter, policy=ExpiryPolicy(timezone=ZONE)
    )
    sender = FcmPushSender(targets=chapter, device_answers=notices)
    dispatcher = PushDispatcher(
        repository=notices,
        sender=sender,
        eligibility=chapter,
        locales=chapter,
        words=nightly.words,
        settings=settings(),
    )
    serves = lifespan(orchestrator, dispatcher=dispatcher, end_process=True)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with sender, serves(app):  # the sender first: without a key the process does not start
            yield
        engine.dispose()

    app = FastAPI(lifespan=running)
    app.include_router(create_health_router(orchestrator))
    return app

"""
The application: its own tables and the library's in one database, the REST interface, pages, and health.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import create_engine

from proxy_orchestration import BulkRegistrationOrchestrator, BulkSettings
from proxy_orchestration.console import create_console
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.web import create_health_router, create_router, lifespan

from . import sign_in
from .people import OwnMentors, signed_in
from .register import VisitRegister, tables
from .sign_in import signed_in_here

MOST_CALLS = 10


def create_app(url: str) -> FastAPI:
    """
    Return the application over the database at that address.
    """
    engine = create_engine(
        url, pool_size=12 + MOST_CALLS, max_overflow=0
    )  # for the repository, and for calls
    tables.create_all(engine)
    create_schema(engine, prefix="bulk_")  # beside the host's own tables; in a fleet, a step of the deploy
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=VisitRegister(engine),
        repository=SqlActivityRepository(engine, prefix="bulk_"),
        access_policy=OwnMentors(),
        settings=BulkSettings(max_concurrency=5, max_calls_in_flight=MOST_CALLS, call_timeout=10.0),
    )
    drives = lifespan(orchestrator, end_process=True)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with drives(app):  # what is accepted is driven here, beside the requests
            yield
        engine.dispose()

    app = FastAPI(title="The chapter's visits", lifespan=running)
    app.include_router(create_router(orchestrator, actor=signed_in))
    app.include_router(create_health_router(orchestrator))
    app.include_router(sign_in.router)
    app.mount("/console", create_console(orchestrator, actor=signed_in_here, title="The chapter's visits"))
    return app

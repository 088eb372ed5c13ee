"""
What a host's engineer copies: a store, an orchestrator and Procrastinate, over one PostgreSQL.
"""

from __future__ import annotations

import anyio
import attrs
from procrastinate import App, PsycopgConnector
from sqlalchemy import Engine, create_engine, make_url

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    ProxyRegistration,
    RegistrationReceipt,
    StandardRegistrationService,
)
from proxy_orchestration.engines.procrastinate import WakeUps, register
from proxy_orchestration.storage.sql import SqlActivityRepository

SERVICE_TAKES = 0.005
LEASE = 5.0
"""Seconds until a killed worker's runs are free."""


@attrs.define(eq=False)
class RemoteService:
    """
    The standard service, as far away as a remote one.
    """

    standard: StandardRegistrationService

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register, after the time that a network takes.
        """
        await anyio.sleep(SERVICE_TAKES)
        return await self.standard.register(registration)


@attrs.frozen(eq=False)
class Host:
    """
    All that a process of the host has.
    """

    engine: Engine
    app: App
    orchestrator: BulkRegistrationOrchestrator


def open_host(url: str) -> Host:
    """
    Return a process's parts for the database at this address (`postgresql://…`).
    """
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    app = App(connector=PsycopgConnector(conninfo=url))
    repository = SqlActivityRepository(engine, on_run_opened=WakeUps(app).wake_within)
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=RemoteService(StandardRegistrationService(repository=repository)),
        repository=repository,
        settings=BulkSettings(lease_ttl=LEASE),
    )
    register(app, orchestrator, sweep_every=5)
    return Host(engine, app, orchestrator)

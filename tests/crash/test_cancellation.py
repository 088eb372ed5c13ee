from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint
from waits import LONGEST_WAIT

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkSubmissionResult,
    ItemState,
    ProxyActivity,
    ProxyRegistration,
    RetryPolicy,
    Role,
)
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    FakeClock,
    FaultyActivityRepository,
    LookupRegistrationService,
    RecordingAuditLogger,
    Reply,
    ScriptedRegistrationService,
    WritePoint,
    lose_reply,
    reject,
    succeed,
    unavailable,
)

_COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
_MENTORS = ("calm-1", "lost-1", "busy-1", "poor-1", "calm-2", "lost-2")
_REQUEST = BulkRegistrationRequest.for_mentors(_MENTORS, _VISIT, idempotency_key="night")
_ENDS = {name: ItemState.FAILED if name.startswith("poor") else ItemState.SUCCEEDED for name in _MENTORS}
_SETTINGS = BulkSettings(
    max_concurrency=2, max_undurable=1, lease_ttl=30.0, audit_timeout=2.0, retry=RetryPolicy(initial=0.0)
)
_AUDIT_HOLD = 2 * _SETTINGS.audit_timeout


def _script(registration: ProxyRegistration, attempt: int) -> Reply:
    first_replies = {"calm": succeed(), "lost": lose_reply(), "busy": unavailable(), "poor": reject()}
    reply = first_replies[registration.mentor_id.partition("-")[0]]
    return succeed() if attempt > 1 and not isinstance(reply.error, type(reject().error)) else reply


@attrs.define(eq=False)
class World:
    """
    What outlives a cancelled task: the store, the service's records, the audit trail.
    """

    repository: ActivityRepository
    clock: FakeClock
    service: ScriptedRegistrationService
    audit: RecordingAuditLogger = attrs.field(factory=RecordingAuditLogger)

    def orchestrator(self) -> BulkRegistrationOrchestrator:
        """
        Return a new orchestrator, as a new process would make it.
        """
        return BulkRegistrationOrchestrator(
            registration_service=self.service,
            repository=self.repository,
            audit_logger=self.audit,
            clock=self.clock,
            settings=_SETTINGS,
        )

    async def check_left(self) -> None:
        """
        Check that no lease is held by the task that is gone.
        """
        found = await self.repository.find_drivable(limit=10)

        assert [] == [run for run in found if run.lease_remaining > 0]

    async def finish(self) -> None:
        """
        Resume, submit again as the host does, and check the end.
        """
        with anyio.fail_after(LONGEST_WAIT):
            await self.orchestrator().resume_interrupted()
            result = await self.orchestrator().submit_bulk_registration(_REQUEST, actor=_COORDINATOR)
        await self._check(result)

    async def _check(self, result: BulkSubmissionResult) -> None:
        log = await self.repository.read_updates(result.batch_id, after=0, limit=100)
        records = [record.registration.mentor_id for record in self.service.records.values()]
        taken = [event.event_id for event in self.audit.events]

        assert _ENDS == {outcome.mentor_id: outcome.state for outcome in result.outcomes}
        assert sorted(name for name, state in _ENDS.items() if state is ItemState.SUCCEEDED) == sorted(
            records
        )
        assert list(range(1, len(_MENTORS) + 1)) == [update.sequence for update in log]
        assert sorted(_MENTORS) == sorted(update.outcome.mentor_id for update in log)
        assert {f"{result.batch_id}:run-1"} == set(taken)
        assert await self.repository.audit_wait() is None


async def _submit(orchestrator: BulkRegistrationOrchestrator) -> None:
    await orchestrator.submit_bulk_registration(_REQUEST, actor=_COORDINATOR)


async def _stream(orchestrator: BulkRegistrationOrchestrator) -> None:
    async with orchestrator.stream_bulk_registration(_REQUEST, actor=_COORDINATOR) as run:
        async for _update in run:
            pass


async def _drive(orchestrator: BulkRegistrationOrchestrator) -> None:
    accepted = await orchestrator.submit_bulk_registration(_REQUEST, actor=_COORDINATOR, drive=False)
    async with orchestrator.drive_batch(accepted.batch_id) as run:
        async for _update in run:
            pass


async def _resume(orchestrator: BulkRegistrationOrchestrator) -> None:
    await orchestrator.submit_bulk_registration(_REQUEST, actor=_COORDINATOR, drive=False)
    await orchestrator.resume_interrupted()


@pytest.mark.parametrize("verb", [_submit, _stream, _drive, _resume], ids=lambda verb: verb.__name__[1:])
@pytest.mark.parametrize(
    "service", [ScriptedRegistrationService, LookupRegistrationService], ids=["plain", "look-up"]
)
async def test_a_task_cancelled_at_any_step_leaves_a_free_batch_that_ends_well(
    verb: Callable[[BulkRegistrationOrchestrator], Awaitable[None]],
    service: type[ScriptedRegistrationService],
) -> None:
    """
    However many steps of the event loop the verb was given, the rest is done by a resume.
    """
    for steps in count():
        clock = FakeClock()
        world = World(
            repository=MemoryActivityRepository(clock),
            clock=clock,
            service=service(script=_script, clock=clock),
        )
        finished = await _cancelled_after(steps, lambda: verb(world.orchestrator()))  # noqa: B023 - awaited here
        await world.check_left()
        clock.advance(_AUDIT_HOLD)
        await world.finish()
        if finished:
            break

    assert steps > len(_MENTORS)


async def _cancelled_after(steps: int, work: Callable[[], Awaitable[None]]) -> bool:
    finished = False
    async with anyio.create_task_group() as crew:

        async def run() -> None:
            nonlocal finished
            await work()
            finished = True

        crew.start_soon(run)
        for _ in range(steps):
            await checkpoint()
        crew.cancel_scope.cancel()
    return finished


@pytest.mark.parametrize("side", ["before", "after", "call"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_task_cancelled_around_any_write_or_call_leaves_a_free_batch_that_ends_well(
    side: str, kind: str, tmp_path: Path
) -> None:
    """
    Cancelled while a write is begun, done, or the service is called, nothing is lost or doubled.
    """
    for number in count(1):
        async with _open_world(kind, tmp_path / f"{number}.db") as (world, end_holds):
            finished = await _cancelled_at(world, side, number)
            await world.check_left()
            await end_holds()
            await world.finish()
        if finished:
            break

    assert number > len(_MENTORS)


async def _cancelled_at(world: World, side: str, number: int) -> bool:
    inner, script = world.repository, world.service.script
    with anyio.CancelScope() as scope:

        def strike(point: WritePoint) -> None:
            if point.number == number:
                scope.cancel()

        def answer(registration: ProxyRegistration, attempt: int) -> Reply:
            if len(world.service.calls) == number:
                scope.cancel()
            return script(registration, attempt)

        if side == "call":
            world.service.script = answer
        else:
            world.repository = FaultyActivityRepository(inner, **{side: strike})
        await _submit(world.orchestrator())
    world.repository, world.service.script = inner, script
    return not scope.cancel_called


@asynccontextmanager
async def _open_world(kind: str, file: Path) -> AsyncIterator[Any]:
    clock = FakeClock()
    service = LookupRegistrationService(script=_script, clock=clock)
    if kind == "memory":

        async def advance() -> None:
            clock.advance(_AUDIT_HOLD)

        yield World(repository=MemoryActivityRepository(clock), clock=clock, service=service), advance
        return
    sql = pytest.importorskip("proxy_orchestration.storage.sql", exc_type=ImportError)
    async with sql.SqlActivityRepository.open(f"sqlite:///{file}") as store:

        async def forget() -> None:
            with store.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE audit_events SET held_until = 0")

        yield World(repository=store, clock=clock, service=service), forget

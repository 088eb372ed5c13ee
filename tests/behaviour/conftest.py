"""
A coordinator, a store, a scripted service and a clock that a test holds in its hand.
"""

import importlib.util
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkSubmissionResult,
    CoordinatorAccess,
    ItemState,
    ProxyActivity,
    Role,
)
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.ports import AccessPolicy
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    FakeClock,
    LookupRegistrationService,
    RecordingAuditLogger,
    ScriptedRegistrationService,
)

T = TypeVar("T")

_COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)

_QUIET = 60
"""Checkpoints after which everything that can run without time passing has run."""


@attrs.define(eq=False)
class Scene:
    """
    One orchestrator and all that stands around it.
    """

    clock: FakeClock = attrs.field(factory=FakeClock)
    service: ScriptedRegistrationService = attrs.field(factory=ScriptedRegistrationService)
    repository: ActivityRepository = attrs.field(init=False)
    audit: RecordingAuditLogger = attrs.field(factory=RecordingAuditLogger)
    access: AccessPolicy = attrs.field(factory=CoordinatorAccess)
    settings: BulkSettings = attrs.field(factory=BulkSettings)
    actor: Actor = _COORDINATOR
    activity: ProxyActivity = _VISIT

    def __attrs_post_init__(self) -> None:
        self.repository = MemoryActivityRepository(self.clock)
        self.service.clock = self.clock
        self.audit.clock = self.clock

    def orchestrator(self) -> BulkRegistrationOrchestrator:
        """
        Return a new orchestrator, as a new process would make it.
        """
        return BulkRegistrationOrchestrator(
            registration_service=self.service,
            repository=self.repository,
            audit_logger=self.audit,
            clock=self.clock,
            access_policy=self.access,
            settings=self.settings,
        )

    def request(self, mentors: int | Iterable[str] = 3, key: str | None = None) -> BulkRegistrationRequest:
        """
        Return a request for that many mentors, or for these.
        """
        names = [f"mentor-{number}" for number in range(mentors)] if isinstance(mentors, int) else mentors
        return BulkRegistrationRequest.for_mentors(names, self.activity, idempotency_key=key)

    async def quiet(self) -> None:
        """
        Let everything run that does not wait for time.
        """
        for _ in range(_QUIET):
            await checkpoint()

    async def serve_to_the_end_of(self, batch_id: str) -> BulkSubmissionResult:
        """
        Serve until that batch has ended, watched by another orchestrator; return its result.
        """
        async with anyio.create_task_group() as crew:
            await crew.start(lambda task_status: self.orchestrator().serve(task_status=task_status))
            async with self.orchestrator().watch_batch(batch_id, actor=self.actor) as run:
                async for _ in run:
                    pass
            crew.cancel_scope.cancel()
        return run.result

    async def while_time_passes(self, work: Callable[[], Awaitable[T]]) -> T:
        """
        Do the work, moving the clock to the next alarm whenever nothing else is left to do.
        """
        results: list[T] = []
        async with open_task_group() as crew:

            async def run() -> None:
                results.append(await work())
                crew.cancel_scope.cancel()

            crew.start_soon(run)
            with anyio.CancelScope():
                while not results:
                    await self.quiet()
                    if not results and self.clock.sleepers:
                        self.clock.advance(self.clock._sleepers[0].deadline - self.clock.monotonic())
        return results[0]

    async def interrupt(self, work: Callable[[], Awaitable[object]]) -> None:
        """
        Begin the work and, once it waits for something, cancel it, as a host that shuts down does.
        """
        async with anyio.create_task_group() as crew:
            crew.start_soon(work)
            await self.quiet()
            crew.cancel_scope.cancel()

    def states(self, outcomes: Iterable[object]) -> dict[str, ItemState]:
        """
        Return the state of each mentor.
        """
        return {outcome.mentor_id: outcome.state for outcome in outcomes}


@pytest.fixture
def scene() -> Scene:
    """
    Return a scene whose service knows no look-up.
    """
    return Scene()


@pytest.fixture
def lookup_scene() -> Scene:
    """
    Return a scene whose service can be asked whether a record exists.
    """
    return Scene(service=LookupRegistrationService())


@pytest.fixture
def scene_with() -> Callable[[ScriptedRegistrationService], Scene]:
    """
    Return a function that makes a scene with a service of one's own.
    """
    return lambda service: Scene(service=service)


@pytest.fixture(scope="session")
def canaries() -> ModuleType:
    """
    Load the invented personal data and the witness.
    """
    path = Path(__file__).with_name("canaries.py")
    spec = importlib.util.spec_from_file_location("behaviour_canaries", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def witness(canaries: ModuleType) -> Iterator[Any]:
    """
    Let the witness hear every logger at every level.
    """
    heard, root = canaries.Witness(), logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    yield heard
    root.removeHandler(heard)
    root.setLevel(level)

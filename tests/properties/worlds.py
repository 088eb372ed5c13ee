"""
Stores whose time passes at a word, a service of many characters, and processes that die.

Loaded by `conftest.py`, since test folders are no packages.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import attrs
from anyio.lowlevel import checkpoint
from waits import LONGEST_WAIT

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ItemState,
    ProxyActivity,
    ProxyRegistration,
    RepositoryUnavailableError,
    RetryPolicy,
    Role,
)
from proxy_orchestration._concurrency import open_task_group
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
    duplicate,
    fail,
    lose_reply,
    reject,
    succeed,
    unavailable,
)

T = TypeVar("T")

COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
VISIT: Final = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
PHONE_CALL: Final = attrs.evolve(VISIT, activity_type="call")

_SETTINGS: Final = BulkSettings(max_concurrency=2, max_undurable=1, retry=RetryPolicy(initial=0.0))
_A_LONG_TIME: Final = 1000.0
_A_WHILE: Final = 20.0
_QUIET: Final = 60
"""Checkpoints after which everything over a store in memory that needs no time has run."""


@attrs.frozen
class Character:
    """
    How the service answers for a mentor: the first call, every later one, and how that may end.
    """

    first: Callable[[], Reply]
    later: Callable[[], Reply]
    ends: Collection[ItemState]


CHARACTERS: Final[Mapping[str, Character]] = {
    "calm": Character(succeed, succeed, {ItemState.SUCCEEDED}),
    "poor": Character(reject, reject, {ItemState.FAILED}),
    "busy": Character(unavailable, succeed, {ItemState.SUCCEEDED}),
    "late": Character(lambda: unavailable(_A_WHILE), succeed, {ItemState.SUCCEEDED}),
    "dull": Character(unavailable, unavailable, {ItemState.FAILED}),
    "lost": Character(lose_reply, succeed, {ItemState.SUCCEEDED}),
    "torn": Character(lambda: lose_reply(RuntimeError()), succeed, {ItemState.FAILED, ItemState.SUCCEEDED}),
    "odd": Character(lambda: fail(ValueError()), succeed, {ItemState.FAILED, ItemState.SUCCEEDED}),
    "dark": Character(lambda: fail(TimeoutError()), lambda: fail(TimeoutError()), {ItemState.UNKNOWN}),
    "twin": Character(lambda: duplicate("other"), lambda: duplicate("other"), {ItemState.NEEDS_REVIEW}),
}


def character_of(mentor_id: str) -> str:
    """
    Return the name of the mentor's character.
    """
    return mentor_id.partition("-")[0]


def answer(registration: ProxyRegistration, attempt: int) -> Reply:
    """
    Answer as the mentor's character does.
    """
    character = CHARACTERS[character_of(registration.mentor_id)]
    return character.first() if attempt == 1 else character.later()


def request_for(
    key: str, mentors: tuple[str, ...], activity: ProxyActivity = VISIT
) -> BulkRegistrationRequest:
    """
    Return the request of these mentors under that key.
    """
    return BulkRegistrationRequest.for_mentors(mentors, activity, idempotency_key=key)


@attrs.define(eq=False)
class Death:
    """
    A process that ends at its n-th write: `before` it, `after` it, or `cancelled` there.
    """

    number: int
    kind: str
    came: bool = False
    scope: anyio.CancelScope | None = None

    def before(self, point: WritePoint) -> None:
        """
        Strike at the write, and refuse whatever a dead process would still write.
        """
        if self.kind == "cancelled":
            if point.number == self.number and self.scope is not None:
                self.came = True
                self.scope.cancel()
        elif point.number > self.number or (self.kind == "before" and point.number == self.number):
            self._die()

    def after(self, point: WritePoint) -> None:
        """
        Lose the answer of the write.
        """
        if self.kind == "after" and point.number == self.number:
            self._die()

    def _die(self) -> None:
        self.came = True
        reason = "The process is dead."
        raise RepositoryUnavailableError(reason, advice="Start another.")


@attrs.define(eq=False)
class MemoryWorld:
    """
    A store in memory.
    """

    clock: FakeClock = attrs.field(factory=FakeClock)
    _store: MemoryActivityRepository = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._store = MemoryActivityRepository(self.clock)

    def repository(self) -> ActivityRepository:
        """
        Return the one store.
        """
        return self._store

    def let_time_pass(self) -> None:
        """
        Move the clock, by which leases and holds end.
        """
        self.clock.advance(_A_LONG_TIME)

    def close(self) -> None:
        """
        Do nothing: memory is forgotten by itself.
        """


@attrs.define(eq=False)
class SqlWorld:
    """
    A store in a database, which is empty. Needs the extra `sql`.
    """

    url: Any
    clock: FakeClock = attrs.field(factory=FakeClock)
    _engine: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        from sqlalchemy import create_engine  # noqa: PLC0415 - an extra

        from proxy_orchestration.storage.sql import create_schema  # noqa: PLC0415 - an extra

        self._engine = create_engine(self.url)
        create_schema(self._engine)

    def repository(self) -> ActivityRepository:
        """
        Return a new repository over the database, as a new process opens one.
        """
        from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

        return SqlActivityRepository(self._engine)

    def let_time_pass(self) -> None:
        """
        End leases and holds in the database, since they live on the database's own clock.
        """
        with self._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE runs SET lease_until = 0 WHERE settled_at IS NULL")
            connection.exec_driver_sql("UPDATE audit_events SET held_until = 0")

    def close(self) -> None:
        """
        Close all connections.
        """
        self._engine.dispose()


@attrs.define(eq=False)
class SqliteWorld(SqlWorld):
    """
    A store in a file of its own.
    """

    _folder: tempfile.TemporaryDirectory[str] = attrs.field(init=False, factory=tempfile.TemporaryDirectory)
    url: str = attrs.field(init=False)

    @url.default
    def _a_file(self) -> str:
        return f"sqlite:///{Path(self._folder.name) / 'store.db'}"

    def close(self) -> None:
        """
        Remove the file too.
        """
        super().close()
        self._folder.cleanup()


@attrs.define(eq=False)
class Host:
    """
    Starts a process for each command: a new event loop, a new orchestrator, the same store.
    """

    world: MemoryWorld | SqlWorld
    backend: str
    look_up: bool
    audit: RecordingAuditLogger = attrs.field(init=False)
    service: ScriptedRegistrationService = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        kind = LookupRegistrationService if self.look_up else ScriptedRegistrationService
        self.service = kind(script=self._answer, clock=self.world.clock)
        self.audit = RecordingAuditLogger(clock=self.world.clock)

    def _answer(self, registration: ProxyRegistration, attempt: int) -> Reply:
        reply = answer(registration, attempt)
        # Nobody can tell when threads are quiet, so over a database no time passes within one life.
        is_late = character_of(registration.mentor_id) == "late" and attempt == 1
        return unavailable() if is_late and not isinstance(self.world, MemoryWorld) else reply

    async def _let_time_pass_when_quiet(self) -> None:
        clock = self.world.clock
        while True:
            asleep = [*clock._sleepers]
            for _ in range(_QUIET):
                await checkpoint()
            # Who set an alarm just now is not quiet: a store would have no turn of the loop to answer in.
            if asleep == clock._sleepers:
                clock.advance(clock.next_alarm or 0.0)

    def ask(self, question: Callable[[ActivityRepository], Awaitable[T]]) -> T:
        """
        Read from the store.
        """

        async def ask() -> T:
            return await question(self.world.repository())

        return anyio.run(ask, backend=self.backend)

    def run(
        self, verb: Callable[[BulkRegistrationOrchestrator], Awaitable[T]], death: Death | None = None
    ) -> T | None:
        """
        Do what one process does, from its start to its end or death; return `None` when it died.
        """
        result: T | None = None

        async def live() -> None:
            nonlocal result
            with anyio.fail_after(LONGEST_WAIT), anyio.CancelScope() as scope:
                async with open_task_group() as crew:
                    if isinstance(self.world, MemoryWorld):
                        crew.start_soon(self._let_time_pass_when_quiet)
                    result = await verb(self._orchestrator(self._mortal(death, scope)))
                    crew.cancel_scope.cancel()

        try:
            anyio.run(live, backend=self.backend)
        except RepositoryUnavailableError:
            if death is None or not death.came:
                raise
        finally:
            if death is not None and death.came:
                self.world.let_time_pass()
        return result

    def _mortal(self, death: Death | None, scope: anyio.CancelScope) -> ActivityRepository:
        if death is None:
            return self.world.repository()
        death.scope = scope
        return FaultyActivityRepository(self.world.repository(), before=death.before, after=death.after)

    def _orchestrator(self, repository: ActivityRepository) -> BulkRegistrationOrchestrator:
        return BulkRegistrationOrchestrator(
            registration_service=self.service,
            repository=repository,
            audit_logger=self.audit,
            clock=self.world.clock,
            settings=_SETTINGS,
        )


async def served_for_a_while(orchestrator: BulkRegistrationOrchestrator, steps: int) -> None:
    """
    Serve until the host shuts down, in the middle of whatever is going on.
    """
    async with open_task_group() as crew:
        await crew.start(lambda task_status: orchestrator.serve(task_status=task_status))
        for _ in range(steps):
            await checkpoint()
        crew.cancel_scope.cancel()


async def updates_of(opened: Any) -> list[Any]:
    """
    Return every update until the end.
    """
    async with opened as run:
        return [update async for update in run]

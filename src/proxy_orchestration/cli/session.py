"""
Opens the store for a command, runs the command, and turns errors and interrupts into exit codes.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, NoReturn, TypeAlias, TypeVar

import anyio
import attrs
import typer
from anyio.abc import TaskStatus

from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.cli.csv.problems import CsvFileError
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.hosts import open_host
from proxy_orchestration.cli.options import Common, IfAbsent
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.pace import PacedBulkService, PacedRegistrationService
from proxy_orchestration.cli.signals import terminating_like_ctrl_c
from proxy_orchestration.cli.stores import Store
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import OrchestrationError, RepositoryUnavailableError, SchemaVersionError
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.ports import ActivityRepository, ProxyRegistrationService
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage import memory, sql

T = TypeVar("T")

NOTHING_CHANGED: Final = "This command changed nothing."
COMMAND_LINE: Final = "proxy-orchestration"
"""What the standard service is called in the batches that the command line accepts."""

EXAMPLE: Final = "proxy-orchestration-example"
"""Under this name the console's example accepts, so that `serve` without it leaves its batches alone."""

LEASE_TTL: Final = 5.0
"""Seconds: short, since a person waits for it after a kill."""


NoticeStore: TypeAlias = memory.MemoryNotificationRepository | sql.SqlNotificationRepository
"""What the commands about notices and pushes store, with what a provider says about devices."""


def _standard(session: Session) -> BulkRegistrationOrchestrator:
    """
    Return an orchestrator of the standard service over the session's own store.
    """
    return BulkRegistrationOrchestrator(
        registration_service=_service(session),
        repository=_own(session.repository),
        clock=session.clock,
        settings=settings_for(session.common),
        service_name=COMMAND_LINE,
    )


def _service(session: Session) -> ProxyRegistrationService:
    standard = StandardRegistrationService(repository=session.repository, clock=session.clock)
    if not session.common.pace:
        return standard
    paced = PacedBulkService if session.common.atomic else PacedRegistrationService
    return paced(service=standard, clock=session.clock, seconds=session.common.pace)


@attrs.define(eq=False, kw_only=True)
class Session:
    """
    What a command works with.

    Attributes:
        common: what the command was told.
        repository: batches and activities in the store, which is open; everybody's.
        notices: notices and pushes in the same store.
        visibility: who is hidden, in the same store.
        clock: the machine's.
        orchestrator: the verbs about batches; the host's own where it was named.
    """

    common: Common
    repository: ActivityRepository
    notices: NoticeStore
    visibility: VisibilityRegistry
    clock: Clock = attrs.field(factory=SystemClock)
    orchestrator: BulkRegistrationOrchestrator = attrs.field(
        default=attrs.Factory(_standard, takes_self=True)
    )

    @property
    def notifications(self) -> NotificationOrchestrator:
        """
        Return the verbs about notices and who is hidden, over the session's own store.
        """
        return NotificationOrchestrator(repository=self.notices, visibility=self.visibility, clock=self.clock)

    @property
    def output(self) -> Output:
        """
        Return where the command's text goes.
        """
        return self.common.output


def _own(repository: ActivityRepository) -> ActivityRepository:
    """
    Return the store in which recovery sees what the command line accepted, and nothing of a host's.
    """
    if isinstance(repository, sql.SqlActivityRepository):
        return repository.only_accepted_by(COMMAND_LINE)
    return repository


def settings_for(common: Common) -> BulkSettings:
    """
    Return the settings of the command line: a lease that a person can wait for.
    """
    return BulkSettings(
        lease_ttl=LEASE_TTL,
        max_concurrency=common.concurrency,
        max_calls_in_flight=max(50, common.concurrency),
    )


def run_command(
    common: Common, work: Callable[[Session], Awaitable[ExitCode]], *, if_interrupted: str
) -> NoReturn:
    """
    Open the store, do the work and leave the program with the work's exit code.

    Args:
        common: what the command was told.
        work: the command, once the store is open.
        if_interrupted: what to do then, told after an interrupt.
    """
    raise typer.Exit(do_in_session(common, work, if_interrupted=if_interrupted))


def do_in_session(common: Common, work: Callable[[Session], Awaitable[T]], *, if_interrupted: str) -> T:
    """
    Open the store, do the work and return what comes of it.

    On Ctrl-C or a request to terminate the work is cancelled, which releases
    what it drives; then the program ends with `ExitCode.INTERRUPTED`.
    """
    with ending_on_interrupt(common.output, if_interrupted):
        with ending_on_errors(common.output), _log_to(common.output):
            done = anyio.run(_run, common, work)
        if not done:  # the work was cancelled by a signal
            raise KeyboardInterrupt
        return done[0]


@contextmanager
def ending_on_interrupt(output: Output, if_interrupted: str) -> Iterator[None]:
    """
    End the program with what to do then, not a traceback, at Ctrl-C.
    """
    try:
        with terminating_like_ctrl_c():
            yield
    except KeyboardInterrupt:
        output.end(ExitCode.INTERRUPTED, f"Interrupted. {if_interrupted}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


@contextmanager
def ending_on_errors(output: Output) -> Iterator[None]:
    """
    End the program with a message and a code, not a traceback, at an error that is foreseen.
    """
    try:
        yield
    except (OrchestrationError, CsvFileError) as error:
        raise typer.Exit(output.fail(error)) from None
    except ExceptionGroup as group:
        # driver and onlooker both meet a store that is gone: one message is enough
        if group.split(OrchestrationError)[1] is not None:
            raise
        raise typer.Exit(output.fail(_first_of(group))) from None


def _first_of(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(common: Common, work: Callable[[Session], Awaitable[T]]) -> list[T]:
    """
    Return what comes of the work, alone in a list; an empty one after an interrupt.
    """
    done: list[T] = []
    async with open_task_group() as group:
        await group.start(_cancel_at_signal, group.cancel_scope)
        async with _open_session(common) as session:
            done.append(await work(session))
        group.cancel_scope.cancel()
    return done


async def _cancel_at_signal(
    scope: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    if sys.platform == "win32":  # pragma: no cover - no signals there: Ctrl-C is a KeyboardInterrupt
        task_status.started()
        return
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


@asynccontextmanager
async def _open_session(common: Common) -> AsyncIterator[Session]:
    store, if_absent = common.store, common.if_absent
    if common.app is not None:
        async with open_host(common.app) as orchestrator:
            yield _in_memory(common, orchestrator)
        return
    if store is None or (if_absent is IfAbsent.PRETEND and store.is_missing):
        yield _in_memory(common)
        return
    if if_absent is IfAbsent.REFUSE and store.is_missing:
        reason, advice = (
            f"There is no store at {store}.",
            "Give --db the file that register or notify wrote, or the address of a server.",
        )
        raise RepositoryUnavailableError(reason, advice=advice)
    async with open_repository(common, store) as repository:
        where = attrs.asdict(store.names)
        yield Session(
            common=common,
            repository=repository,
            notices=sql.SqlNotificationRepository(repository.engine, **where),
            visibility=sql.SqlVisibilityRegistry(repository.engine, **where),
        )


def _in_memory(common: Common, orchestrator: BulkRegistrationOrchestrator | None = None) -> Session:
    """
    Return a session without a database of ours: the host's orchestrator has its own, or there is none.
    """
    notices, visibility = memory.MemoryNotificationRepository(), memory.MemoryVisibilityRegistry()
    if orchestrator is None:
        return Session(
            common=common,
            repository=memory.MemoryActivityRepository(clock=SystemClock()),
            notices=notices,
            visibility=visibility,
        )
    return Session(
        common=common,
        repository=orchestrator.repository,
        notices=notices,
        visibility=visibility,
        clock=orchestrator.clock,
        orchestrator=orchestrator,
    )


@asynccontextmanager
async def open_repository(common: Common, store: Store) -> AsyncIterator[sql.SqlActivityRepository]:
    """
    Open the store; a server's schema is never changed by the way, a file's is brought up to date.
    """
    migrate = common.migrates and store.file is not None
    async with AsyncExitStack() as opened:
        try:
            repository = await opened.enter_async_context(
                sql.SqlActivityRepository.open(store.url, migrate=migrate, **attrs.asdict(store.names))
            )
        except SchemaVersionError as error:
            if "create_schema" not in error.advice:  # this program is what is too old
                raise
            advice = f"Upgrade it:  {common.command('upgrade', with_actor=False)}"
            raise SchemaVersionError(error.reason, advice=advice) from None
        yield repository


class _SayHandler(logging.Handler):
    """
    Shows the library's errors as lines, each once, where a bar cannot be torn apart by them.
    """

    def __init__(self, output: Output) -> None:
        super().__init__(logging.ERROR)
        self._output = output
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """
        Write the record's message to standard error, unless it was written before.
        """
        message = record.getMessage()
        if message not in self._said:  # the same failure may be logged at each attempt
            self._said.add(message)
            self._output.say(message, style="red")


@contextmanager
def _log_to(output: Output) -> Iterator[None]:
    handler = _SayHandler(output)
    logger = logging.getLogger("proxy_orchestration")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """
    Let nobody hear what the logger of that name says meanwhile.
    """
    logger: logging.Logger = logging.getLogger(name)
    logger.addFilter(_says_nothing)
    try:
        yield
    finally:
        logger.removeFilter(_says_nothing)


def _says_nothing(_record: logging.LogRecord) -> bool:
    return False

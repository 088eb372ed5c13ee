"""
Opens the store of notices for a command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import attrs
import typer
from sqlalchemy import URL

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import Common, IfAbsent
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.session import work_in
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.ports import NotificationRepository, VisibilityRegistry
from proxy_orchestration.storage.memory import MemoryNotificationRepository, MemoryVisibilityRegistry
from proxy_orchestration.storage.sql import SqlNotificationRepository, SqlVisibilityRegistry


@attrs.define(eq=False, kw_only=True)
class NoticeSession:
    """
    What a command about notices works with.

    Attributes:
        common: what the command was told.
        repository: the store, open.
        visibility: who is hidden, in the same store.
        clock: the machine's.
    """

    common: Common
    repository: NotificationRepository
    visibility: VisibilityRegistry
    clock: Clock = attrs.field(factory=SystemClock)

    @property
    def output(self) -> Output:
        """
        Return where the command's text goes.
        """
        return self.common.output


def run_notice_command(
    common: Common, work: Callable[[NoticeSession], Awaitable[ExitCode]], *, if_interrupted: str
) -> NoReturn:
    """
    Open the store, do the work and leave the program with the work's exit code.

    Args:
        common: what the command was told.
        work: the command.
        if_interrupted: what to do then, told after an interrupt.
    """
    raise typer.Exit(work_in(_open_session, common, work, if_interrupted=if_interrupted))


def run_without_store(
    common: Common, work: Callable[[NoticeSession], Awaitable[ExitCode]], *, if_interrupted: str
) -> NoReturn:
    """
    Do the same over an empty store that nobody keeps.
    """
    raise typer.Exit(work_in(_open_empty, common, work, if_interrupted=if_interrupted))


@asynccontextmanager
async def _open_empty(common: Common) -> AsyncIterator[NoticeSession]:
    yield NoticeSession(
        common=common, repository=MemoryNotificationRepository(), visibility=MemoryVisibilityRegistry()
    )


@asynccontextmanager
async def _open_session(common: Common) -> AsyncIterator[NoticeSession]:
    if common.if_absent is IfAbsent.PRETEND and not common.store.exists():
        async with _open_empty(common) as session:
            yield session
        return
    if common.if_absent is IfAbsent.REFUSE and not common.store.exists():
        reason = f"There is no store at {common.store}."
        raise RepositoryUnavailableError(reason, advice="Name the file that notify wrote to with --db.")
    url = URL.create("sqlite", database=str(common.store))
    async with SqlNotificationRepository.open(url) as repository:
        yield NoticeSession(
            common=common, repository=repository, visibility=SqlVisibilityRegistry(repository.engine)
        )

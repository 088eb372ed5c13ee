"""
Processes that register mentors and strike themselves down at a chosen moment.

Run as a script, this is the clean, single-threaded helper from which they are
forked, so that one starts in a few milliseconds: it reads orders from its
standard input, one JSON object a line, and answers each with one number.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import trio  # noqa: F401 - imported once, here, and not in every fork
from sqlalchemy import event

from proxy_orchestration import (
    Actor,
    AuditEvent,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    RepositoryUnavailableError,
    Role,
)
from proxy_orchestration.registration.ports import ActivityRepository, ProxyRegistrationService
from proxy_orchestration.registration.requests import RegistrationEntry
from proxy_orchestration.registration.service import StandardRegistrationService
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, WritePoint

COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
ACCEPTED: Final = tuple(f"mentor-{number:02}" for number in range(10))
REFUSED: Final = (COORDINATOR.user_id, "mentor-of-tomorrow")
MAX_CONCURRENCY: Final = 3
MAX_UNDURABLE: Final = 2
UNAVAILABLE: Final = 3
"""The exit status of a process that says its store is unavailable."""

_FAR_AHEAD: Final = date(9999, 12, 31)


class DriverError(Exception):
    """
    A database driver's own word for a lost connection: no `TimeoutError`, no `OSError`.
    """


@attrs.define(eq=False)
class Moments:
    """
    Counts the moments of one process, writes each to a file, and strikes at the chosen one.

    Attributes:
        trace: the file; what is written outlives the process.
        strike: `signal`, and either `number` among all moments or `name` and `nth` of that name.
        database: held by whoever uses a connection, where the process is to be stopped: no
            transaction may stay open meanwhile, or nobody else could write.
    """

    trace: Path
    strike: Mapping[str, Any]
    database: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _seen: Counter[str] = attrs.field(init=False, factory=Counter)

    def reach(self, name: str, detail: str = "") -> None:
        """
        Note the moment, and strike if it is the one.
        """
        self._seen[name] += 1
        with self.trace.open("a", encoding="utf-8") as lines:
            lines.write(f"{name} {detail}".strip() + "\n")
        due = (name, self._seen[name]) == (self.strike.get("name"), self.strike.get("nth"))
        if due or self._seen.total() == self.strike.get("number"):
            with self.database if self.stops else nullcontext():
                os.kill(os.getpid(), self.strike["signal"])

    @property
    def stops(self) -> bool:
        """
        Return whether the strike stops the process and does not kill it.
        """
        return bool(self.strike["signal"] == signal.SIGSTOP)


@attrs.define(eq=False)
class PlainService:
    """
    The standard service without its look-up; notes when a call begins and ends.
    """

    inner: StandardRegistrationService
    moments: Moments

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Hand the call on.
        """
        self.moments.reach("call begins", registration.mentor_id)
        receipt = await self.inner.register(registration)
        self.moments.reach("call ends", registration.mentor_id)
        return receipt


@attrs.define(eq=False)
class LookupService(PlainService):
    """
    The standard service with its look-up.
    """

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Hand the question on.
        """
        return await self.inner.find_registration(registration_id)


@attrs.define(eq=False)
class ForgetfulService(PlainService):
    """
    Loses the answer of every call that writes, by an error of its driver's own.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write, and lose the reply; answer only where the record stood before.
        """
        standing = await self.inner.find_registration(registration.registration_id)
        receipt = await super().register(registration)
        if standing is None:
            raise DriverError
        return receipt


@attrs.define(eq=False)
class ForgetfulLookupService(ForgetfulService, LookupService):
    """
    Loses answers, and can be asked afterwards.
    """


SERVICES: Final[Mapping[str, Callable[..., ProxyRegistrationService]]] = {
    "plain": PlainService,
    "look-up": LookupService,
    "forgetful": ForgetfulService,
    "forgetful with look-up": ForgetfulLookupService,
}


@attrs.define(eq=False)
class FileAuditLogger:
    """
    Appends each event's id to a file.
    """

    file: Path
    moments: Moments

    async def log_bulk_submission(self, taken: AuditEvent, /) -> None:
        """
        Take the event durably.
        """
        self.moments.reach("audit begins")
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(f"{taken.event_id}\n")
            lines.flush()
            os.fsync(lines.fileno())
        self.moments.reach("audit ends")


def request_for(key: str, day: str) -> BulkRegistrationRequest:
    """
    Return the same request for the same key and day, in whatever process.
    """
    today = ProxyActivity(activity_type="visit", activity_date=date.fromisoformat(day), duration_minutes=45)
    someday = attrs.evolve(today, activity_date=_FAR_AHEAD)
    return BulkRegistrationRequest(
        entries=(
            RegistrationEntry(REFUSED[1], someday),
            *(RegistrationEntry(mentor_id, today) for mentor_id in ACCEPTED),
            RegistrationEntry(REFUSED[0], today),
        ),
        idempotency_key=key,
        label=key,
    )


def orchestrator_over(
    repository: ActivityRepository,
    *,
    service: str,
    audit_file: Path,
    moments: Moments,
    settings: BulkSettings,
) -> BulkRegistrationOrchestrator:
    """
    Return an orchestrator whose service writes into the repository itself.
    """
    return BulkRegistrationOrchestrator(
        registration_service=SERVICES[service](
            StandardRegistrationService(repository=repository, duplicate_rule=lambda _registration: None),
            moments,
        ),
        repository=repository,
        audit_logger=FileAuditLogger(audit_file, moments),
        settings=settings,
    )


def settings_with(lease_ttl: float) -> BulkSettings:
    """
    Return settings with windows so small that a batch needs several claims.
    """
    return BulkSettings(
        max_concurrency=MAX_CONCURRENCY,
        max_undurable=MAX_UNDURABLE,
        lease_ttl=lease_ttl,
        poll_interval=0.05,
        audit_timeout=0.2,
    )


async def live(order: Mapping[str, Any]) -> None:
    """
    Do what the order says, on its database.
    """
    moments = Moments(Path(order["trace"]), order["strike"])

    def before(point: WritePoint) -> None:
        moments.reach(f"before {point.method}")

    def after(point: WritePoint) -> None:
        moments.reach(f"after {point.method}")

    async with SqlActivityRepository.open(order["url"]) as store:
        if order["statements"]:
            event.listen(store.engine, "after_cursor_execute", lambda *_: moments.reach("statement"))
        if moments.stops:
            event.listen(store.engine, "checkout", lambda *_: moments.database.acquire())
            event.listen(store.engine, "checkin", lambda *_: moments.database.release())
        orchestrator = orchestrator_over(
            FaultyActivityRepository(store, before=before, after=after),
            service=order["service"],
            audit_file=Path(order["audit"]),
            moments=moments,
            settings=settings_with(order["lease_ttl"]),
        )
        await _VERBS[order["verb"]](orchestrator, order)


async def _submit(orchestrator: BulkRegistrationOrchestrator, order: Mapping[str, Any]) -> None:
    await orchestrator.submit_bulk_registration(request_for(order["key"], order["day"]), actor=COORDINATOR)


async def _resume(orchestrator: BulkRegistrationOrchestrator, _order: Mapping[str, Any]) -> None:
    await orchestrator.resume_interrupted()


async def _serve(orchestrator: BulkRegistrationOrchestrator, order: Mapping[str, Any]) -> None:
    """
    Serve until every batch of the order is settled and audited.
    """
    async with anyio.create_task_group() as crew:
        await crew.start(partial(orchestrator.serve))
        for batch_id in order["batches"]:
            async with orchestrator.watch_batch(batch_id, actor=COORDINATOR) as run:
                async for _update in run:
                    pass
        while await orchestrator.repository.audit_wait() is not None:
            await orchestrator.clock.sleep(orchestrator.settings.poll_interval)
        crew.cancel_scope.cancel()


_VERBS: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {
    "submit": _submit,
    "resume": _resume,
    "serve": _serve,
}


def _live_and_die(order: Mapping[str, Any]) -> None:
    status = 1
    try:
        anyio.run(live, order, backend=order["backend"])
        status = 0
    except RepositoryUnavailableError:
        status = UNAVAILABLE
    except BaseException:  # noqa: BLE001 - a fork must never fall back into its helper's loop
        traceback.print_exc()
    finally:
        os._exit(status)


def _ended(pid: int) -> int:
    """
    Return the exit status: negative for the signal that ended or stopped the process.
    """
    _, status = os.waitpid(pid, os.WUNTRACED)
    return -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)


def main() -> None:
    """
    Fork a process for each order with a verb, and wait for the one that another order names.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "wait" in order:
            answer = _ended(order["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                _live_and_die(order)
        print(answer, flush=True)


if __name__ == "__main__":
    main()

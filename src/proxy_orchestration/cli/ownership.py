"""
Refuses to drive batches with a service other than the one that accepted them.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.session import COMMAND_LINE, EXAMPLE, Session
from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.registration.requests import BulkRegistrationRequest, fingerprint_of

_MOST: Final = 1000


async def check_batch(session: Session, batch_id: str, actor: Actor) -> None:
    """
    Accept a batch that the session's own service accepted.

    Raises:
        MisconfiguredError: another one did; the message says whose it is and what to do.
        BatchNotFoundError, NotAuthorizedError: it is not for this actor, who learns no more of it.
    """
    await session.orchestrator.get_batch_summary(batch_id, actor=actor)
    await _check(session, batch_id)


async def check_request(session: Session, request: BulkRegistrationRequest, actor: Actor) -> None:
    """
    Accept a request that is new, or that joins a batch of the session's own service.

    Raises:
        MisconfiguredError: as `check_batch`.
        IdempotencyKeyReusedError: its key stands for another request.
    """
    if request.idempotency_key is None:
        return
    known = await session.repository.find_by_key(actor, request.idempotency_key, fingerprint_of(request))
    if known is not None:
        await _check(session, known)


async def others_waiting(session: Session) -> int:
    """
    Return how many batches of other services wait for a driver; 0 where a host drives all of its store.
    """
    if session.common.app is not None:
        return 0
    ours = {run.batch_id for run in await session.orchestrator.repository.find_drivable(limit=_MOST)}
    found = await session.repository.find_drivable(limit=_MOST)
    return sum(run.lease_remaining <= 0 and run.batch_id not in ours for run in found)


def told_of_others(waiting: int) -> str:
    """
    Say that they are left alone, and what drives them.
    """
    verb = "waits" if waiting == 1 else "wait"
    return (
        f"{waiting} of other services {verb} for a driver and are left alone, because the standard service "
        "would write to the wrong tables. Give their host with --app module:factory."
    )


async def _check(session: Session, batch_id: str) -> None:
    record = await session.repository.get(batch_id)
    problem = None if record is None else _problem(session, record.service_name)
    if problem is not None:
        app = session.common.app
        owner = "The standard service" if app is None else f"The service of {app}"
        raise MisconfiguredError(owner, f"batch {batch_id}", problem)


def _problem(session: Session, accepted_by: str | None) -> str | None:
    whose = "a service without a name" if accepted_by is None else f"the service {accepted_by!r}"
    if accepted_by == EXAMPLE and session.common.app is None:
        command = session.common.command("console", "--example")
        return f"it is one of the console's example. Work with it there:  {command}\nNothing was changed."
    if session.common.app is None:
        told = f"it was accepted by {whose}. Give its host with --app module:factory. Nothing was changed."
        return None if accepted_by == COMMAND_LINE else told
    if accepted_by in {None, session.orchestrator.service_name}:
        return None
    if accepted_by == COMMAND_LINE:
        return "it was accepted by the command line's own service. Omit --app. Nothing was changed."
    return f"it was accepted by {whose}. Give that service's host with --app. Nothing was changed."

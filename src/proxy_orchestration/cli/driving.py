"""
The commands that drive a batch: register, retry, review, resume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.exits import ExitCode, code_of_batch, worst
from proxy_orchestration.cli.json_output import results_document
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.progress import RunView, show_progress
from proxy_orchestration.cli.rendering import conclude, show_outcomes, show_result
from proxy_orchestration.cli.repeats import submitted_otherwise
from proxy_orchestration.cli.session import Session
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictPolicy
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.runs import DrivableRun

_MOST_RESUMED: Final = 1000
_PAGE: Final = 500
_POLL_INTERVAL: Final = 0.2


async def register(
    session: Session, request: BulkRegistrationRequest, *, actor: Actor, own_key: bool
) -> ExitCode:
    """
    Submit the request, or join its batch, and show it to the end.

    An override of what the same file registered before counts everybody twice.
    It is refused, unless the actor gave the submission a key of its own.
    """
    if request.on_conflict is ConflictPolicy.OVERRIDE and not own_key:
        other = await submitted_otherwise(session, request, actor)
        if other is not None:
            session.output.end(ExitCode.BAD_INPUT, _twice(other, session.common))
            return ExitCode.BAD_INPUT
    began = session.clock.now()
    async with session.orchestrator.stream_bulk_registration(request, actor=actor) as run:
        record = await session.repository.get(run.batch_id)
        if record is not None and record.submitted_at < began:
            when = f"{record.submitted_at:%Y-%m-%d at %H:%M:%S} UTC"
            session.output.say(f"This was submitted before, on {when}; joining its batch.")
        await _show_run(session, run, title="Registering")
    show_result(session.output, run.result, session.common)
    return code_of_batch(run.result)


def _twice(other: BatchRecord, common: Common) -> str:
    return (
        f"This file was registered before as batch {other.batch_id}; to override would register its mentors "
        f"a second time. Nothing was stored.\n"
        f"Decide about those of the batch who wait:  {common.command('review', other.batch_id)}\n"
        "If everybody is to be registered a second time, say so with a --key."
    )


async def retry(
    session: Session,
    batch_id: str,
    *,
    actor: Actor,
    mentor_ids: Sequence[str] | None,
    expected_run: int | None,
) -> ExitCode:
    """
    Open the next run over what failed and show it to the end.
    """
    await session.orchestrator.retry_failed_items(
        batch_id, actor=actor, mentor_ids=mentor_ids, expected_run=expected_run, drive=False
    )
    async with session.orchestrator.drive_batch(batch_id) as run:
        await _show_run(session, run, title="Retrying")
    show_result(session.output, run.result, session.common)
    return code_of_batch(run.result)


async def review(
    session: Session,
    batch_id: str,
    *,
    actor: Actor,
    decisions: Mapping[str, ConflictDecision],
    expected_run: int | None,
) -> ExitCode:
    """
    Carry out what was decided about conflicts and show it to the end.
    """
    before = await session.repository.get(batch_id)
    after = await session.orchestrator.resolve_conflicts(
        batch_id, decisions, actor=actor, expected_run=expected_run, drive=False
    )
    if before is not None and before.run == after.run:
        session.output.say("These decisions are in force already; nothing was changed.")
    async with session.orchestrator.drive_batch(batch_id) as run:
        await _show_run(session, run, title="Carrying out")
    show_result(session.output, run.result, session.common)
    return code_of_batch(run.result)


async def resume(session: Session) -> ExitCode:
    """
    Drive all that was interrupted to its end, waiting for leases of killed drivers.
    """
    found = await session.repository.find_drivable(limit=_MOST_RESUMED)
    _tell_of_waiting(session, found)
    driven = await _drive_in_view(session, [run.batch_id for run in found])
    batch_ids = list(dict.fromkeys((*(run.batch_id for run in found), *driven)))
    return await _show_resumed(session, batch_ids)


async def _show_run(session: Session, run: BatchRun, *, title: str) -> None:
    with show_progress(session.output) as board:
        view = board.view(title, total=run.total)
        async for update in run:
            view.take(update)


def _tell_of_waiting(session: Session, found: Sequence[DrivableRun]) -> None:
    for run in found:
        if run.lease_remaining > 0:
            session.output.say(
                f"Batch {run.batch_id} is still held, perhaps by a process that was killed; "
                f"waiting up to {run.lease_remaining:.1f} s for its lease to end."
            )


@attrs.define(eq=False, kw_only=True)
class _Follower:
    """
    Reads a batch's log from a point on and shows it.
    """

    repository: ActivityRepository
    batch_id: str
    after: int
    view: RunView

    async def catch_up(self) -> None:
        """
        Show all that was logged since the last time.
        """
        while page := await self.repository.read_updates(self.batch_id, after=self.after, limit=_PAGE):
            for update in page:
                self.view.take(update)
            self.after = page[-1].sequence


async def _drive_in_view(session: Session, batch_ids: Sequence[str]) -> Sequence[str]:
    driven: Sequence[str] = ()
    with show_progress(session.output) as board:
        followers = [
            _Follower(
                repository=session.repository,
                batch_id=record.batch_id,
                after=record.base,
                view=board.view(f"Resuming {record.batch_id}", total=record.total, settled=_settled(record)),
            )
            for batch_id in batch_ids
            if (record := await session.repository.get(batch_id)) is not None
        ]

        async def follow() -> None:
            while True:
                for follower in followers:
                    await follower.catch_up()
                await session.clock.sleep(_POLL_INTERVAL)

        async with open_task_group() as crew:
            crew.start_soon(follow)
            driven = await session.orchestrator.resume_interrupted()
            crew.cancel_scope.cancel()
        for follower in followers:
            await follower.catch_up()
    return driven


def _settled(record: BatchRecord) -> int:
    return record.total - record.run_items + record.tail - record.base


async def _show_resumed(session: Session, batch_ids: Sequence[str]) -> ExitCode:
    results = []
    for batch_id in batch_ids:
        record = await session.repository.get(batch_id)
        result = await session.repository.read_result(batch_id)
        if record is None or result is None:
            continue  # somebody deleted it meanwhile
        results.append(result)
        if not session.output.as_json:
            show_outcomes(session.output, result)
        conclude(session.output, result, attrs.evolve(session.common, actor=_owner(record)))
    if not results:
        session.output.conclude("Nothing was interrupted; there is nothing to resume.")
    if session.output.as_json:
        session.output.document(results_document(results))
    return worst(results)


def _owner(record: BatchRecord) -> Actor:
    return Actor(
        user_id=record.coordinator_id,
        roles=frozenset({Role.COORDINATOR}),
        organization_id=record.organization_id,
    )

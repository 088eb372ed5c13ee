"""
The command that carries on with every batch that was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from proxy_orchestration._concurrency import open_crew
from proxy_orchestration.cli.exits import ExitCode, worst
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    Common,
    ConcurrencyOption,
    JsonOption,
    StoreOption,
    coordinator,
)
from proxy_orchestration.cli.progress import RunView, show_progress
from proxy_orchestration.cli.rendering import conclude, show_outcomes
from proxy_orchestration.cli.session import Session, run_command
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import ActivityRepository

_MOST_RESUMED: Final = 1000
_PAGE: Final = 500
_POLL_INTERVAL: Final = 0.2


def resume(
    *, store: StoreOption = DEFAULT_STORE, concurrency: ConcurrencyOption = 5, as_json: JsonOption = False
) -> None:
    """
    Carry on with every batch of the store that was interrupted.
    """
    common = Common(store=store, as_json=as_json, concurrency=concurrency)
    run_command(common, _resume, if_interrupted=common.carry_on)


async def _resume(session: Session) -> ExitCode:
    """
    Drive all that was interrupted to its end, waiting for leases of killed drivers.
    """
    found = await session.repository.find_drivable(limit=_MOST_RESUMED)
    for run in found:
        if run.lease_remaining > 0:
            session.output.say(
                f"Batch {run.batch_id} is still held, perhaps by a process that was killed; "
                f"waiting up to {run.lease_remaining:.1f} s for its lease to end."
            )
    batch_ids = [run.batch_id for run in found]
    driven = await _drive_in_view(session, batch_ids)
    return await _show_resumed(session, list(dict.fromkeys((*batch_ids, *driven))))


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

        async with open_crew() as crew:
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
        owner = coordinator(record.coordinator_id, record.organization_id)
        conclude(attrs.evolve(session.common, actor=owner), result)
    if not results:
        session.output.conclude("Nothing was interrupted; there is nothing to resume.")
    if session.output.as_json:
        session.output.document({"batches": results})
    return worst(results)

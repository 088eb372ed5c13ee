"""
A lease that comes with its first claim, and too late for a host that leaves.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import anyio
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ItemState,
    ProxyActivity,
    Role,
)
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository, ScriptedRegistrationService, WritePoint

_ANNA = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)


async def test_what_came_with_a_lease_that_nobody_takes_is_given_back(tmp_path: Path) -> None:
    """
    Nobody was called, so nobody is claimed, and the next driver begins at once.
    """
    scope = anyio.CancelScope()
    service = ScriptedRegistrationService()

    def leave(point: WritePoint) -> None:
        if point.method == "begin":
            scope.cancel()

    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'late.db'}") as store:
        late, sound = (
            BulkRegistrationOrchestrator(registration_service=service, repository=repository)
            for repository in (FaultyActivityRepository(store, after=leave), store)
        )
        request = BulkRegistrationRequest.for_mentors(["mentor-1", "mentor-2"], _VISIT)
        accepted = await sound.submit_bulk_registration(request, actor=_ANNA, drive=False)
        with scope:
            await late.resume_interrupted()
        (run,) = await store.find_drivable(limit=9)
        between = await sound.get_bulk_submission_status(accepted.batch_id, actor=_ANNA)
        await sound.resume_interrupted()
        result = await sound.get_bulk_submission_status(accepted.batch_id, actor=_ANNA)

    assert scope.cancelled_caught
    assert (0.0, {ItemState.PENDING: 2}) == (run.lease_remaining, dict(between.counts))
    assert {ItemState.SUCCEEDED: 2} == dict(result.counts)
    assert 2 == len(service.calls)

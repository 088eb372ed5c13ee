"""
Ours: an orchestrator over SQLite, or over PostgreSQL where the scene has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Final

import _job
import attrs
from _batches import Submitting

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    Role,
)
from proxy_orchestration.storage.sql import SqlActivityRepository

COORDINATOR: Final = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
ACTIVITY: Final = ProxyActivity(
    activity_type="group_meeting", activity_date=date(2026, 11, 3), duration_minutes=90
)
_MENTOR: Final = "mentor-"


def request_for(items: Iterable[int]) -> BulkRegistrationRequest:
    """
    Return a request with a mentor for each item; a bare 0 would be nobody's id.
    """
    return BulkRegistrationRequest.for_mentors([f"{_MENTOR}{item}" for item in items], ACTIVITY)


@attrs.frozen
class Service:
    """
    The service of the job: one call per item.
    """

    delay: float

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register one item.
        """
        answer = await _job.register(int(registration.mentor_id.removeprefix(_MENTOR)), self.delay)
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id=answer)


@attrs.frozen
class ServiceOfMany(Service):
    """
    The same with a call for many: it goes through them one after the other, like a peer's job.
    """

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt]:
        """
        Register every one.
        """
        assert not atomic
        return [await self.register(registration) for registration in registrations]


@asynccontextmanager
async def opened(
    scene: _job.Scene, per_call: int, **settings: int
) -> AsyncIterator[BulkRegistrationOrchestrator]:
    """
    Open the store, bring its schema up, and lend an orchestrator with the standard settings but for these.
    """
    url = scene.sqlalchemy_url if scene.postgresql else f"sqlite:///{Path(scene.folder, 'ours.db')}"
    if per_call > 1:
        # As much in flight, and in doubt after a kill, as a peer's cap of jobs of that size.
        settings.setdefault("max_undurable", scene.cap * per_call)
    async with SqlActivityRepository.open(url) as repository:
        yield BulkRegistrationOrchestrator(
            registration_service=Service(scene.delay) if per_call == 1 else ServiceOfMany(scene.delay),
            repository=repository,
            settings=BulkSettings(max_per_call=per_call, **settings),
        )


async def _done(orchestrator: BulkRegistrationOrchestrator, numbers: range) -> list[str]:
    result = await orchestrator.submit_bulk_registration(request_for(numbers), actor=COORDINATOR)
    return [str(item.activity_id) for item in result.succeeded]


def submit(scene: _job.Scene, items: int, per_job: int) -> float:
    """
    Submit a batch and take its result.
    """
    with asyncio.Runner() as runner:
        lending = opened(scene, per_job, max_concurrency=scene.cap)
        orchestrator = runner.run(lending.__aenter__())
        seconds = _job.timed(lambda numbers, _: runner.run(_done(orchestrator, numbers)), items, per_job)
        runner.run(lending.__aexit__(None, None, None))
    return seconds


@asynccontextmanager
async def batches(scene: _job.Scene) -> AsyncIterator[Submitting]:
    """
    Lend what submits one batch, by the standard settings, and takes its result.
    """
    async with opened(scene, 1) as orchestrator:

        async def submit_one(items: range, _per_job: int) -> list[str]:
            return await _done(orchestrator, items)

        yield submit_one


async def _resume(scene: _job.Scene, per_call: int) -> int:
    async with opened(scene, per_call, max_concurrency=scene.cap) as orchestrator:
        (batch_id,) = await orchestrator.resume_interrupted()
        result = await orchestrator.get_bulk_submission_status(batch_id, actor=COORDINATOR)
        return len(result.succeeded)


def resume(scene: _job.Scene, per_call: int) -> int:
    """
    Drive what a killed process left, once its lease has run out.
    """
    return asyncio.run(_resume(scene, per_call))


if __name__ == "__main__":
    _job.main(submit=submit, batches=batches, resume=resume)

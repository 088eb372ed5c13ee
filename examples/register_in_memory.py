"""
Register one activity for eight mentors and print every outcome as it is stored.

Needs the core alone. Run it with `python examples/register_in_memory.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
    Role,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository


class ChapterRegister:
    """
    Stands in for the system that holds activities; takes a moment for each call.
    """

    def __init__(self) -> None:
        self._records: dict[str, str] = {}

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write one record per registration, and refuse a mentor whose agreement has ended.
        """
        await anyio.sleep(0.05)
        if registration.mentor_id == "mentor-2093":
            code, message = "no_agreement", "The mentor's agreement has ended."
            raise RegistrationRejected(code, message)
        known = f"activity-{len(self._records) + 1}"
        return RegistrationReceipt(
            registration_id=registration.registration_id,
            activity_id=self._records.setdefault(registration.registration_id, known),
        )


async def main() -> None:
    """
    Submit, follow the progress, and say how it ended.
    """
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=ChapterRegister(),
        repository=MemoryActivityRepository(),
    )
    coordinator = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
    meeting = ProxyActivity(
        activity_type="group_meeting",
        activity_date=datetime.now(UTC).date(),
        duration_minutes=90,
        notes="Tuesday group at the library",
    )
    mentor_ids = [f"mentor-{number}" for number in range(2090, 2098)]
    request = BulkRegistrationRequest.for_mentors(mentor_ids, meeting, label="Tuesday group")

    async with orchestrator.stream_bulk_registration(request, actor=coordinator) as run:
        async for update in run:
            outcome = update.outcome
            reason = f": {outcome.failure.message}" if outcome.failure else ""
            print(f"{update.settled} of {update.total}  {outcome.mentor_id} {outcome.state.value}{reason}")

    result = run.result
    print(f"{result.status.value}: {len(result.succeeded)} registered, {len(result.failed)} failed")


if __name__ == "__main__":
    anyio.run(main)

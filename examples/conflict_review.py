"""
Fifteen took part in a meeting, four of them are registered already: see it first, then decide about each.

Needs the core alone. Run it with `python examples/conflict_review.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ConflictDecision,
    ItemState,
    ProxyActivity,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository

PARTICIPANTS = [f"mentor-{number}" for number in range(3001, 3016)]
REGISTERED_BEFORE = ["mentor-3003", "mentor-3008", "mentor-3012", "mentor-3015"]

DECISIONS = {
    # these two were at the afternoon group as well: two meetings on one day, and both count
    "mentor-3008": ConflictDecision.OVERRIDE,
    "mentor-3012": ConflictDecision.OVERRIDE,
    # these two were put in on the evening itself: it is the same meeting
    "mentor-3003": ConflictDecision.SKIP,
    "mentor-3015": ConflictDecision.SKIP,
}


async def main() -> None:
    """
    Register four, look before registering fifteen, decide about the four, and count the records.
    """
    repository = MemoryActivityRepository()
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=StandardRegistrationService(repository=repository),
        repository=repository,
    )
    coordinator = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
    meeting = ProxyActivity(
        activity_type="group_meeting", activity_date=datetime.now(UTC).date(), duration_minutes=120
    )
    earlier = await orchestrator.submit_bulk_registration(
        BulkRegistrationRequest.for_mentors(REGISTERED_BEFORE, meeting), actor=coordinator
    )

    request = BulkRegistrationRequest.for_mentors(PARTICIPANTS, meeting, label="Tuesday group")
    report = await orchestrator.preview(request, actor=coordinator)
    print(f"preview: {len(report.clean)} clean, {len(report.conflicts)} in conflict, nothing stored")
    for conflict in report.conflicts:
        print(f"  {conflict.mentor_id}: {conflict.kind.value} of {conflict.existing_activity_id}")

    first = await orchestrator.submit_bulk_registration(request, actor=coordinator)
    print(f"submitted: {len(first.succeeded)} registered, {len(first.needs_review)} wait for a decision")

    final = await orchestrator.resolve_conflicts(
        first.batch_id, DECISIONS, actor=coordinator, expected_run=first.run
    )
    for mentor_id, decision in DECISIONS.items():
        state = next(outcome.state for outcome in final.outcomes if outcome.mentor_id == mentor_id)
        print(f"  {mentor_id}: {decision.value}, {state.value}")

    batches = (earlier.batch_id, final.batch_id)
    records = [record for batch_id in batches for record in await repository.activities_of_batch(batch_id)]
    twice = len(records) - len({record.registration.mentor_id for record in records})
    print(f"records: {len(records)}, of {len(PARTICIPANTS)} mentors, {twice} of them for two meetings")
    skipped = final.counts[ItemState.SKIPPED]
    print(f"{final.status.value}: {len(final.succeeded)} registered, {skipped} skipped")


if __name__ == "__main__":
    anyio.run(main)

"""
What a host writes, checked by mypy and pyright; nothing here is run.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import assert_type

from proxy_orchestration import (
    Actor,
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkSubmissionResult,
    CancelReport,
    ProxyActivity,
    ProxyRegistration,
    PurgedBatches,
    RegistrationEntry,
    RegistrationReceipt,
    RetryPolicy,
    Role,
)
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.ports import (
    AccessPolicy,
    Action,
    AuditEvent,
    Clock,
    ProxyAuditLogger,
    ProxyRegistrationService,
    SupportsLookup,
    Visibility,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository


class HostService:
    """
    A service with one optional ability; it inherits from nothing.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer with a receipt.
        """
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Have seen one record.
        """
        if registration_id != "batch-1:mentor-1":
            return None
        return RegistrationReceipt(registration_id=registration_id, activity_id="activity-1")


class HostAudit:
    """
    An audit logger.
    """

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        """
        Take the event.
        """
        assert_type(event.counts["succeeded"], int)


class HostClock:
    """
    A clock that stands still.
    """

    def now(self) -> datetime:
        """
        Return one moment.
        """
        return datetime(2026, 11, 2, tzinfo=UTC)

    def monotonic(self) -> float:
        """
        Return no time at all.
        """
        return 0.0

    async def sleep(self, seconds: float, /) -> None:
        """
        Return at once.
        """
        del seconds


class HostAccess:
    """
    A policy that lets everybody do everything in their organization.
    """

    def allows(self, actor: Actor, action: Action, /) -> bool:
        """
        Allow it.
        """
        return bool(actor.roles) or action is Action.READ

    def visibility(self, actor: Actor, /) -> Visibility:
        """
        Show the organization.
        """
        return Visibility(organization_id=actor.organization_id)

    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Refuse the actor's own id.
        """
        return [mentor_id for mentor_id in mentor_ids if mentor_id == actor.user_id]


service: ProxyRegistrationService = HostService()
lookup: SupportsLookup = HostService()
audit: ProxyAuditLogger = HostAudit()
clock: Clock = HostClock()
access: AccessPolicy = HostAccess()

orchestrator = BulkRegistrationOrchestrator(
    registration_service=service,
    repository=MemoryActivityRepository(),
    audit_logger=audit,
    clock=clock,
    access_policy=access,
    settings=BulkSettings(max_concurrency=10, retry=RetryPolicy(max_attempts=2)),
)
coordinator = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
activity = ProxyActivity(
    activity_type="phone_call", activity_date=date(2026, 11, 2), duration_minutes=20, details={"room": 4}
)
request = BulkRegistrationRequest(
    entries=[RegistrationEntry("mentor-1", activity)], idempotency_key="key-1", label="Calls"
)


async def use_the_verbs() -> None:
    """
    Call each verb and say what it returns.
    """
    result = await orchestrator.submit_bulk_registration(request, actor=coordinator, drive=False)
    assert_type(result, BulkSubmissionResult)
    async with orchestrator.drive_batch(result.batch_id) as run:
        async for update in run:
            assert_type(update, BulkProgressUpdate)
        assert_type(run.total, int)
    assert_type(await orchestrator.cancel_batch("batch-1", actor=coordinator), CancelReport)
    assert_type(await orchestrator.pause_batch("batch-1", actor=coordinator), BatchSummary)
    assert_type(await orchestrator.resume_batch("batch-1", actor=coordinator), BatchSummary)
    assert_type(await orchestrator.list_batches(actor=coordinator), BatchPage)
    assert_type(await orchestrator.purge(settled_before=datetime.now(UTC)), PurgedBatches)
    await orchestrator.retry_failed_items("batch-1", actor=coordinator, mentor_ids=["mentor-1"])
    await orchestrator.serve()


def use_the_blocking_verbs() -> None:
    """
    The same, in a host that is not async.
    """
    with BlockingOrchestrator(orchestrator, backend="trio") as blocking:
        result = blocking.submit_bulk_registration(request, actor=coordinator, drive=False)
        assert_type(result, BulkSubmissionResult)
        with blocking.drive_batch(result.batch_id) as run:
            for update in run:
                assert_type(update, BulkProgressUpdate)
            assert_type(run.total, int)
        assert_type(blocking.cancel_batch("batch-1", actor=coordinator, reason="Wrong day"), CancelReport)
        assert_type(blocking.list_batches(actor=coordinator, limit=5), BatchPage)
        blocking.list_batches()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
        blocking.serve()

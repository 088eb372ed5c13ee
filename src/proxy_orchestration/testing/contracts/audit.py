"""
What an audit logger promises.
"""

from __future__ import annotations

from proxy_orchestration.audit import AuditEvent, ProxyAuditLogger, audit_event_id
from proxy_orchestration.testing.contracts.checks import Check, at_once, rule_of
from proxy_orchestration.testing.contracts.registration.samples import NOON

logging: list[Check[ProxyAuditLogger]] = []


def _event(run: int) -> AuditEvent:
    return AuditEvent(
        event_id=audit_event_id("batch-1", run),
        batch_id="batch-1",
        run=run,
        coordinator_id="coordinator-1",
        actor_id="coordinator-1",
        organization_id="org-1",
        status="partial_success",
        total=3,
        counts={"succeeded": 2, "failed": 1},
        settled_at=NOON,
    )


@rule_of(logging)
async def an_event_is_taken(logger: ProxyAuditLogger) -> None:
    await logger.log_bulk_submission(_event(1))


@rule_of(logging)
async def an_event_may_come_again(logger: ProxyAuditLogger) -> None:
    for _ in range(2):
        await logger.log_bulk_submission(_event(1))


@rule_of(logging)
async def events_are_taken_at_once(logger: ProxyAuditLogger) -> None:
    await at_once(*[lambda run=run: logger.log_bulk_submission(_event(run)) for run in (1, 2, 2, 3)])

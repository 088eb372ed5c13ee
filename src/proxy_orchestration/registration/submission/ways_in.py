"""
Combines the three ways to open a run: submission, retry and review.
"""

from __future__ import annotations

from proxy_orchestration.clock import Clock
from proxy_orchestration.ids import IdRule
from proxy_orchestration.registration.ports import BatchLedger, ProxyRegistrationService
from proxy_orchestration.registration.service_errors import ServiceHooks
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.submission.authorization import Authorization
from proxy_orchestration.registration.submission.conflict_check import ConflictCheck
from proxy_orchestration.registration.submission.further_run import FurtherRun
from proxy_orchestration.registration.submission.retry import Retry
from proxy_orchestration.registration.submission.review import Review
from proxy_orchestration.registration.submission.submit import Submission


def ways_in(  # noqa: PLR0913 - what an orchestrator is made of
    *,
    ledger: BatchLedger,
    service: ProxyRegistrationService,
    clock: Clock,
    authorization: Authorization,
    settings: BulkSettings,
    hooks: ServiceHooks,
    service_name: str | None = None,
    id_rule: IdRule,
) -> tuple[Submission, Retry, Review]:
    """
    Return the ways in of one orchestrator; they ask one conflict check and one authorization.
    """
    conflict_check = ConflictCheck(service=service, clock=clock, timeout=settings.call_timeout, hooks=hooks)
    submission = Submission(
        ledger=ledger,
        service=service,
        clock=clock,
        authorization=authorization,
        conflict_check=conflict_check,
        settings=settings,
        service_name=service_name,
        id_rule=id_rule,
    )
    further_run = FurtherRun(
        ledger=ledger,
        service=service,
        clock=clock,
        authorization=authorization,
        conflict_check=conflict_check,
        service_name=service_name,
    )
    retry = Retry(authorization=authorization, further_run=further_run)
    return submission, retry, Review(authorization=authorization, further_run=further_run)

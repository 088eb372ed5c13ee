"""
Checks that the parts of an orchestrator are suitable.
"""

from __future__ import annotations

from proxy_orchestration._wiring import check_abilities, check_functions, check_hooks, check_parts
from proxy_orchestration.access import AccessPolicy
from proxy_orchestration.audit import ProxyAuditLogger
from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.ports import (
    BatchLedger,
    ProxyRegistrationService,
    SupportsBulk,
    SupportsConflictCheck,
    SupportsLookup,
)
from proxy_orchestration.registration.settings import BulkSettings


def check_wiring(orchestrator: object) -> None:
    """
    Accept an orchestrator whose parts fit their ports.

    Raises:
        MisconfiguredError: one does not; the message says what to do.
    """
    # The ledger alone: activity records are the standard service's, which asks for them itself.
    check_parts(
        orchestrator,
        registration_service=ProxyRegistrationService,
        repository=BatchLedger,
        audit_logger=ProxyAuditLogger,
        clock=Clock,
        access_policy=AccessPolicy,
        settings=BulkSettings,
    )
    check_abilities(orchestrator, "registration_service", SupportsLookup, SupportsBulk, SupportsConflictCheck)
    check_arguments(service_name=getattr(orchestrator, "service_name", None))
    check_hooks(orchestrator, "on_run_settled")
    check_functions(orchestrator, "classify_error", "on_service_error", optional=True)
    check_functions(orchestrator, "id_rule")

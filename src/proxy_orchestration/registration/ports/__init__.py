"""
The ports that a host implements for registration. Their docstrings are binding.

Every port speaks this library's values only and may raise
`RepositoryUnavailableError` where it stands on a store. Unless a method says
otherwise, any number of tasks and processes may call it at once.
"""

from typing import Protocol

from proxy_orchestration.registration.ports.free_runs import SupportsTakingFreeRuns
from proxy_orchestration.registration.ports.ledger import (
    AuditOutbox,
    BatchCatalogue,
    BatchLedger,
    EndingsOutbox,
    Retention,
    RunLedger,
)
from proxy_orchestration.registration.ports.ledger_abilities import (
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
    SupportsGettingMany,
    SupportsHostTransactions,
    SupportsMarkingMany,
)
from proxy_orchestration.registration.ports.records import ActivityRecords
from proxy_orchestration.registration.ports.services import (
    ClassifyError,
    ErrorKind,
    OnRunSettled,
    OnServiceError,
    ProxyRegistrationService,
    SupportsBulk,
    SupportsBulkLookup,
    SupportsCallLimit,
    SupportsConflictCheck,
    SupportsLookup,
    call_limit_of,
)


class ActivityRepository(BatchLedger, ActivityRecords, Retention, Protocol):
    """
    The store: the orchestrator's ledger and the standard service's records in one.
    """


__all__ = [
    "ActivityRecords",
    "ActivityRepository",
    "AuditOutbox",
    "BatchCatalogue",
    "BatchLedger",
    "ClassifyError",
    "EndingsOutbox",
    "ErrorKind",
    "OnRunSettled",
    "OnServiceError",
    "ProxyRegistrationService",
    "Retention",
    "RunLedger",
    "SupportsAcceptAndBegin",
    "SupportsBulk",
    "SupportsBulkLookup",
    "SupportsCallLimit",
    "SupportsConflictCheck",
    "SupportsFusedWrites",
    "SupportsGettingMany",
    "SupportsHostTransactions",
    "SupportsLookup",
    "SupportsMarkingMany",
    "SupportsTakingFreeRuns",
    "call_limit_of",
]

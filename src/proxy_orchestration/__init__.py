"""
Register on behalf of others, in bulk: durable, resumable, never twice.
"""

from proxy_orchestration.access import AccessPolicy, Action, Actor, CoordinatorAccess, Role, Visibility
from proxy_orchestration.audit import AuditEvent, LoggingAuditLogger, ProxyAuditLogger
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import (
    BatchLeasedError,
    BatchNotFoundError,
    BatchStateError,
    BatchTooLargeError,
    DuplicateActivityError,
    DuplicateSelectionError,
    EmptySelectionError,
    IdempotencyKeyReusedError,
    LeaseLostError,
    MissingExtraError,
    NotAuthorizedError,
    OrchestrationError,
    OutcomeUnknownError,
    RegistrationError,
    RegistrationRejected,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    SchemaVersionError,
    StaleRunError,
    UnknownMentorError,
)
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.batches import (
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    BulkSubmissionResult,
    CancelReport,
    Failure,
    MentorOutcome,
)
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.ports import (
    ActivityRecords,
    ActivityRepository,
    AuditOutbox,
    BatchCatalogue,
    BatchLedger,
    ProxyRegistrationService,
    RunLedger,
    SupportsBulk,
    SupportsConflictCheck,
    SupportsLookup,
)
from proxy_orchestration.registration.requests import BulkRegistrationRequest, RegistrationEntry
from proxy_orchestration.registration.retries import RetryPolicy
from proxy_orchestration.registration.service import RegistrationRules, StandardRegistrationService
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.registration.watching import BatchRun

__all__ = [
    "AccessPolicy",
    "Action",
    "ActivityRecord",
    "ActivityRecords",
    "ActivityRepository",
    "Actor",
    "AuditEvent",
    "AuditOutbox",
    "BatchCatalogue",
    "BatchLeasedError",
    "BatchLedger",
    "BatchNotFoundError",
    "BatchPage",
    "BatchRun",
    "BatchStateError",
    "BatchSummary",
    "BatchTooLargeError",
    "BulkProgressUpdate",
    "BulkRegistrationOrchestrator",
    "BulkRegistrationRequest",
    "BulkSettings",
    "BulkStatus",
    "BulkSubmissionResult",
    "CancelReport",
    "Clock",
    "Conflict",
    "ConflictKind",
    "CoordinatorAccess",
    "DuplicateActivityError",
    "DuplicateSelectionError",
    "EmptySelectionError",
    "Failure",
    "IdempotencyKeyReusedError",
    "ItemState",
    "LeaseLostError",
    "LoggingAuditLogger",
    "MentorOutcome",
    "MissingExtraError",
    "NotAuthorizedError",
    "OrchestrationError",
    "OutcomeUnknownError",
    "ProxyActivity",
    "ProxyAuditLogger",
    "ProxyRegistration",
    "ProxyRegistrationService",
    "RegistrationEntry",
    "RegistrationError",
    "RegistrationFailure",
    "RegistrationReceipt",
    "RegistrationRejected",
    "RegistrationRules",
    "RegistrationUnavailable",
    "RepositoryUnavailableError",
    "RetryPolicy",
    "Role",
    "RunLedger",
    "SchemaVersionError",
    "StaleRunError",
    "StandardRegistrationService",
    "SupportsBulk",
    "SupportsConflictCheck",
    "SupportsLookup",
    "SystemClock",
    "UnknownMentorError",
    "Visibility",
]
